"""What a call asks for, resolved: padding and truncation, as transformers reads the arguments."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, Protocol

from enfold.errors import TokenizerError
from enfold.text.engine import Cut

UNLIMITED = int(1e30)  # model_max_length where a tokenizer declares none
NO_LIMIT = int(1e20)  # anything above is no limit
PADDING = ("longest", "max_length", "do_not_pad")
TRUNCATION = ("longest_first", "only_first", "only_second", "do_not_truncate")


class Defaults(Protocol):
    """What a plan takes from the tokenizer."""

    model_max_length: int
    padding_side: str
    truncation_side: str

    @property
    def pad_token(self) -> str | None: ...
    @property
    def pad_token_id(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Pad:
    """Pad rows on `side` to `length`, or to the longest if None, rounded up to a `multiple`."""

    length: int | None
    multiple: int | None
    side: str

    def width(self, lengths: list[int]) -> int:
        """The width that rows of these lengths are padded to; longer rows stay longer."""
        width = self.length if self.length is not None else max(lengths, default=0)
        return -(-width // self.multiple) * self.multiple if self.multiple else width


@dataclass(frozen=True, slots=True)
class Plan:
    """How to pad (None: don't) and to truncate (None: don't), and the limit that was in force."""

    pad: Pad | None
    cut: Cut | None
    max_length: int | None


def resolve(tokenizer: Defaults, padding: Any = False, truncation: Any = None,
            max_length: int | None = None, stride: int = 0, multiple: int | None = None,
            side: str | None = None, verbose: bool = True) -> Plan:
    """A Plan from the arguments of a call; the tokenizer's own limits and sides fill the gaps."""
    if max_length is not None and padding is False and truncation is None:
        truncation = "longest_first"  # max_length alone asks for truncation
    how = _choice("padding", padding, {True: "longest", False: "do_not_pad"}, PADDING)
    cut = _choice("truncation", truncation, {True: "longest_first", False: "do_not_truncate",
                                             None: "do_not_truncate"}, TRUNCATION)
    if padding is True and max_length is not None and cut == "do_not_truncate" and verbose:
        warnings.warn("max_length has no effect with padding=True and no truncation. Do: "
                      "padding='max_length', or truncation=True", stacklevel=4)
    limit = max_length
    if limit is None and tokenizer.model_max_length <= NO_LIMIT:
        limit = tokenizer.model_max_length
    if limit is None:  # nothing to cut or fill to
        how = "do_not_pad" if how == "max_length" else how
        cut = "do_not_truncate"
    side = tokenizer.padding_side if side is None else side
    pad = None
    if how != "do_not_pad":
        _check_pad(tokenizer, side, multiple, limit if cut != "do_not_truncate" else None)
        pad = Pad(limit if how == "max_length" else None, multiple, side)
    if cut == "do_not_truncate" or limit is None:
        return Plan(pad, None, max_length)
    return Plan(pad, Cut(limit, stride, cut, checked_side("truncation", tokenizer.truncation_side)),
                limit)


def checked_side(what: str, side: str) -> str:
    """`side`, which must be left or right."""
    if side not in ("left", "right"):
        raise TokenizerError(f"{what}_side={side!r}: expected 'left' or 'right'")
    return side


def _choice(name: str, value: Any, spelled: dict[Any, str], options: tuple[str, ...]) -> str:
    value = getattr(value, "value", value)  # an enum's
    chosen = spelled.get(value, value) if isinstance(value, (bool, str, type(None))) else value
    if chosen not in options:
        words = ", ".join(map(repr, options))
        raise TokenizerError(f"{name}={value!r} is not known: expected True, False, {words}")
    return str(chosen)


def _check_pad(tokenizer: Defaults, side: str, multiple: int | None, cut: int | None) -> None:
    checked_side("padding", side)
    if tokenizer.pad_token is None or tokenizer.pad_token_id is None:
        missing = ("has no padding token" if tokenizer.pad_token is None else
                   f"has the padding token {tokenizer.pad_token!r}, which is not in its vocabulary")
        raise TokenizerError(
            f"asked to pad, but the tokenizer {missing}. Do: tokenizer.pad_token = "
            "tokenizer.eos_token, or tokenizer.add_special_tokens({'pad_token': '[PAD]'}) and "
            "model.resize_token_embeddings(len(tokenizer))")
    if multiple is not None and multiple < 1:
        raise TokenizerError(f"pad_to_multiple_of={multiple}: expected a positive number")
    if multiple is not None and cut is not None and cut % multiple:
        fits = -(-cut // multiple) * multiple
        raise TokenizerError(f"truncating to {cut} tokens and padding to a multiple of {multiple} "
                             f"contradict each other. Do: max_length={fits}")
