"""Batches of about as many tokens each, instead of as many rows.

    lengths  3 9 4 8 2 7      budget 18:  [9 8]  [7 4]  [3 2]      longest * rows <= budget

Rows of similar length stand together, so there is little padding, and a batch of short texts is as
much work as one of long ones.  Which rows share a batch is drawn once, by the seed; the order of
the batches anew in each epoch, so that each epoch has the same number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from enfold.errors import DataError
from enfold.train.order import Order, Ticket, by_length, seed_of


class BudgetOrder(Order):
    """Batches of row numbers with at most `budget` tokens, padding included.

    lengths: tokens of each row.  Ranks take turns; a rank without a batch in the last turn gets a
    ghost.  Raises DataError for a row that is longer than the budget.
    """

    def __init__(self, lengths: Sequence[int], budget: int, *, seed: int = 0, shuffle: bool = True,
                 drop_last: bool = False, rank: int = 0, world_size: int = 1) -> None:
        super().__init__(len(lengths), 1, seed=seed, shuffle=shuffle, lengths=lengths,
                         drop_last=drop_last, rank=rank, world_size=world_size)
        self.budget = budget
        self.batches = self._cut()

    def __len__(self) -> int:
        turns, rest = divmod(len(self.batches), self.world_size)
        return turns + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        first, self._first = self._first, 0
        order = self._turns()
        for number in range(first, len(self)):
            place = number * self.world_size + self.rank
            ghost = place >= len(order)
            ticket = Ticket(self.batches[order[0]][:1] if ghost else self.batches[order[place]])
            ticket.ghost, ticket.seed = ghost, seed_of(self.seed, self.epoch, place)
            yield ticket

    def is_ghost(self, number: int) -> bool:
        return number * self.world_size + self.rank >= len(self.batches)

    def mean_rows(self) -> float:
        """Rows of a batch, on average."""
        return self.rows / len(self.batches)

    def _turns(self) -> list[int]:
        """The batches in the order of this epoch."""
        if not self.shuffle:
            return list(range(len(self.batches)))
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        return torch.randperm(len(self.batches), generator=generator).tolist()

    def _cut(self) -> list[list[int]]:
        lengths: Tensor = self.lengths  # type: ignore[assignment]
        if len(lengths) and int(lengths.max()) > self.budget:
            row = int(lengths.argmax())
            raise DataError(f"max_tokens_per_batch={self.budget}, and row {row} of the training "
                            f"data has {int(lengths[row])} tokens. Do: truncate the texts, or "
                            "raise max_tokens_per_batch")
        rows = torch.arange(self.rows)
        if self.shuffle:
            rows = torch.randperm(self.rows, generator=torch.Generator().manual_seed(self.seed))
            typical = max(1, int(self.budget / max(1.0, float(lengths.float().mean()))))
            rows = by_length(rows, lengths, typical)
        batches: list[list[int]] = []
        longest = 0
        for row, length in zip(rows.tolist(), lengths[rows].tolist(), strict=True):
            longest = max(longest, length)
            if not batches or longest * (len(batches[-1]) + 1) > self.budget:
                batches.append([])
                longest = length
            batches[-1].append(row)
        return batches
