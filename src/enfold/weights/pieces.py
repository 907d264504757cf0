"""Tensors that files hold in pieces: experts one by one, which the model has stacked.

    Pieces("mlp.experts.gate_up_proj", 8, ("moe.experts.*.w1.weight", "moe.experts.*.w3.weight"))

means that gate_up_proj [8, 2F, D] is, for each of 8 experts, w1 [F, D] and then w3 [F, D].  Names
are ends of names.  A file may hold the stack itself, too; saving always writes the pieces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Pieces:
    """One tensor of the model and what files call its parts.

    count: how many are stacked; 0 for a tensor that only has another name in files.  layers:
    whether adapters may speak of the parts as the layers that they were, as peft does mostly.
    """

    name: str
    count: int
    parts: tuple[str, ...]
    layers: bool = True

    def split(self, name: str) -> tuple[str, ...] | None:
        """The names in a file of the model's tensor `name`, in order; None if it is another."""
        start = _start(name, self.name)
        if start is None:
            return None
        return tuple(start + part.replace("*", str(number)) for number in range(self.count or 1)
                     for part in self.parts)

    def whole(self, key: str) -> str | None:
        """The model's name of what `key` of a file is a piece of."""
        for part in self.parts:
            found = re.fullmatch(r"(|.*\.)" + re.escape(part).replace(r"\*", r"(\d+)"), key)
            if found and (not self.count or int(found[2]) < self.count):
                return found[1] + self.name
        return None

    def cut(self, tensor: Tensor) -> Iterator[Tensor]:
        """The pieces of the model's tensor, as views."""
        if not self.count:
            yield tensor
            return
        for one in tensor:
            yield from one.chunk(len(self.parts))

    def join(self, pieces: Sequence[Tensor]) -> Tensor:
        """The model's tensor of its pieces."""
        import torch

        if not self.count:
            return pieces[0]
        width = len(self.parts)
        return torch.stack([torch.cat(tuple(pieces[start : start + width]))
                            for start in range(0, len(pieces), width)])


def _start(name: str, end: str) -> str | None:
    if name != end and not name.endswith(f".{end}"):
        return None
    return name[: -len(end)]


def in_pieces(tensors: Mapping[str, Tensor], table: Iterable[Pieces]) -> dict[str, Tensor]:
    """Tensors by the model's names as files hold them."""
    table, found = tuple(table), dict[str, "Tensor"]()
    for name, tensor in tensors.items():
        held = next((pieces for pieces in table if pieces.split(name)), None)
        found |= {name: tensor} if held is None else dict(
            zip(held.split(name) or (), held.cut(tensor), strict=True))
    return found


def in_file(module: str, table: Iterable[Pieces]) -> str:
    """What files call a module of one weight."""
    names = (pieces.split(f"{module}.weight") for pieces in table if not pieces.count)
    return next((found[0].removesuffix(".weight") for found in names if found), module)


def apart(state: Mapping[str, Tensor],
          table: Iterable[Pieces]) -> tuple[dict[str, Callable[[], Tensor]], dict[str, Tensor]]:
    """(the model's name -> what joins its pieces, the other tensors) of a state of either kind."""
    rest, found, table = dict(state), dict[str, "Callable[[], Tensor]"](), tuple(table)
    if not table:
        return found, rest
    for key in state:
        for pieces in table:
            name = pieces.whole(key)
            names = () if name is None or name in state else pieces.split(name) or ()
            if name is not None and names and all(part in rest for part in names):
                found[name] = partial(pieces.join, [rest.pop(part) for part in names])
    return found, rest
