"""The order of the data: a pure function of (seed, epoch, number of the batch).

    order = Order(rows=10**7, batch_size=8, seed=42)
    order.set_epoch(3)
    order.begin(12_500)              # batches 0 to 12 499 are never looked at
    for rows in order: ...           # [7, 1032, ...], the row numbers of batch 12 500 on

The permutation of epoch e is `torch.randperm` of a generator seeded with seed + e, which is the
order of the reference.  Ranks take turns: together, W ranks with batches of B read what one
process with batches of W * B reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

MEGABATCHES = 50  # batches that are sorted by length together, as in the reference


class Ticket(list[int]):
    """The row numbers of a batch, with the seed of what is random in preparing it."""

    seed: int = 0
    ghost: bool = False


class Order(Sampler[list[int]]):
    """Batches of row numbers, for the `batch_sampler` of a DataLoader.

    rows: how many there are.  shuffle: else they come as they are.  lengths: of the rows; rows of
    similar length come together then, in groups of `group` rows.  drop_last: leave out a last
    batch that is shorter.  sampler: takes the place of the permutation; anything to iterate over
    row numbers.  A rank that has no row in the last batch gets a ghost: one row that must not
    count.
    """

    def __init__(self, rows: int, batch_size: int, *, seed: int = 0, shuffle: bool = True,
                 lengths: Sequence[int] | None = None, group: int | None = None,
                 drop_last: bool = False, sampler: Iterable[int] | None = None, rank: int = 0,
                 world_size: int = 1) -> None:
        self.rows, self.batch_size, self.seed, self.shuffle = rows, batch_size, seed, shuffle
        self.lengths = None if lengths is None else torch.as_tensor(np.asarray(lengths))
        self.group = group or batch_size
        self.drop_last, self.sampler = drop_last, sampler
        self.rank, self.world_size = rank, world_size
        self.epoch = self._first = 0

    def __len__(self) -> int:
        together = self.batch_size * self.world_size
        return self.rows // together if self.drop_last else -(-self.rows // together)

    def set_epoch(self, epoch: int) -> None:
        """The epoch of the next passes."""
        self.epoch = epoch
        follow = getattr(self.sampler, "set_epoch", None)
        if follow is not None:
            follow(epoch)

    def begin(self, batch: int) -> None:
        """Let the next pass, and only that, begin at this batch."""
        self._first = batch

    def __iter__(self) -> Iterator[list[int]]:
        first, self._first = self._first, 0
        rows, size = self.permutation(), self.batch_size
        for number in range(first, len(self)):
            place = (number * self.world_size + self.rank) * size
            ticket = Ticket(rows[place:place + size].tolist() or rows[:1].tolist())
            ticket.ghost = place >= len(rows)
            ticket.seed = seed_of(self.seed, self.epoch, number * self.world_size + self.rank)
            yield ticket

    def is_ghost(self, number: int) -> bool:
        """Whether this rank's batch of that number is a row that must not count."""
        return (number * self.world_size + self.rank) * self.batch_size >= self.rows

    def permutation(self) -> Tensor:
        """All row numbers in the order of this epoch, [rows]."""
        if self.sampler is not None:
            return torch.as_tensor(list(self.sampler), dtype=torch.long)
        if not self.shuffle and self.lengths is None:
            return torch.arange(self.rows)
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        rows = torch.randperm(self.rows, generator=generator)
        return rows if self.lengths is None else by_length(rows, self.lengths, self.group)


def by_length(rows: Tensor, lengths: Tensor, group: int) -> Tensor:
    """Shuffled row numbers, sorted from long to short within blocks of many groups.

    The longest of all comes first, so that a batch that does not fit in memory is the first one.
    """
    block = group * max(1, min(len(rows) // (group * 4), MEGABATCHES))
    blocks = [part[lengths[part].argsort(descending=True, stable=True)]
              for part in torch.split(rows, block)]
    ordered = torch.cat(blocks) if blocks else rows
    if len(ordered):
        longest = int(lengths[ordered].argmax())
        ordered[[0, longest]] = ordered[[longest, 0]]
    return ordered


def seed_of(seed: int, epoch: int, number: int) -> int:
    """The seed of a batch: 32 bits that differ for each of (seed, epoch, number)."""
    mixed = np.random.SeedSequence([seed % 2**64, epoch, number])
    return int(mixed.generate_state(1)[0])
