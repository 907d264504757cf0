"""Call arguments as a frozen dataclass per task: its fields are the documentation."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from enfold.errors import nearest, unknown_arguments

O = TypeVar("O")  # noqa: E741
TOKENIZE = frozenset((
    "add_special_tokens", "padding", "truncation", "max_length", "stride", "pad_to_multiple_of",
    "padding_side", "return_token_type_ids", "return_attention_mask", "is_split_into_words",
))  # fmt: skip


class Unset:
    """The default of an argument for which None means something."""

    def __repr__(self) -> str:
        return "unset"


UNSET = Unset()


@dataclass(frozen=True, slots=True)
class Passing:
    """What an `Options` class with a field `rest` lets through: these names, or with None any."""

    names: Collection[str] | None


def parse(cls: Callable[..., O], values: dict[str, Any], where: str,
          also: Collection[str] = ()) -> O:
    """`cls(**values)`.  Names that are no fields go to the field `rest` if the class has one.

    Raises `ArgumentError` with the near names, of `also` too if none is nearer, for what
    neither takes.
    """
    known = {f.name: f for f in fields(cls) if f.name != "rest"}  # type: ignore[arg-type]
    rest = {name: value for name, value in values.items() if name not in known}
    own = {name: value for name, value in values.items() if name in known}
    passing: Passing = getattr(cls, "PASSING", Passing(()))
    unknown = [name for name in rest if passing.names is not None and name not in passing.names]
    if unknown:
        names = [*known, *(passing.names or ())]
        names += [] if all(nearest(name, names) for name in unknown) else also
        raise unknown_arguments(where, unknown, names)
    return cls(**own, rest=rest) if rest else cls(**own)
