"""Which part of a tensor a rank has.

    [ q q q q | k k | v v ]    joint projections are cut segment by segment,
    [ q q | k | v ]            so that rank 0 has this
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Cut:
    """Along `dim`, each of the `segments` (lengths, one after the other) in `ranks` equal parts."""

    dim: int
    segments: tuple[int, ...]
    ranks: int

    @property
    def length(self) -> int:
        """Of the whole tensor along `dim`."""
        return sum(self.segments)

    def spans(self, rank: int) -> list[tuple[int, int]]:
        """(start, length) in the whole tensor of what a rank has."""
        found, start = [], 0
        for segment in self.segments:
            part = segment // self.ranks
            found.append((start + rank * part, part))
            start += segment
        return found

    def take(self, whole: Tensor, rank: int) -> Tensor:
        """A rank's part: a view where it is one piece, else a copy."""
        pieces = [whole.narrow(self.dim, start, length) for start, length in self.spans(rank)]
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, self.dim)

    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """The whole tensor of all ranks' parts."""
        shape = list(parts[0].shape)
        shape[self.dim] = self.length
        whole = parts[0].new_empty(shape)
        for rank, part in enumerate(parts):
            taken = 0
            for start, length in self.spans(rank):
                whole.narrow(self.dim, start, length).copy_(part.narrow(self.dim, taken, length))
                taken += length
        return whole
