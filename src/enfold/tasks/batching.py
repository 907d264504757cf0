"""The scheduler: token rows of any length through a model in few, full, barely padded batches.

    rows  ->  sorted by length  ->  cut where the budget is full or padding costs more than a batch
          ->  one tensor per input, padded on one side  ->  forward  ->  results in the rows' order

A batch that runs out of memory is halved, and the budget with it for the batches that follow.
Shape legend: B rows, T tokens of the longest row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

CPU_BUDGET, CPU_OVERHEAD = 1024, 48  # tokens: per batch; that a batch costs beside its tokens
GPU_BUDGET, GPU_OVERHEAD = 16384, 2048
MEMORY_WORDS = ("not enough memory", "DefaultCPUAllocator", "out of memory")
PADDING = {"attention_mask": 0, "token_type_ids": 0, "special_tokens_mask": 1}


@dataclass(slots=True)
class Row:
    """A sequence for the model: `item` is its place in the window, `extra` is kept for `post`."""

    item: int
    features: dict[str, Any]
    extra: Any = None

    def __len__(self) -> int:
        return len(self.features["input_ids"])


@dataclass(slots=True)
class Batch:
    """Rows that go through the model together, and their inputs, [B, T] on the model's device."""

    rows: list[Row]
    inputs: dict[str, torch.Tensor]
    lengths: list[int]


Forward = Callable[[Batch], Sequence[Any]]


@dataclass(slots=True)
class Scheduler:
    """Runs rows through `forward` in batches.

    `pad` gives the padding value by input name; `left` pads on the left (for generation).  `budget`
    limits B * T, `overhead` is what starting a batch costs, both in tokens; `rows` limits B.
    """

    pad: dict[str, int]
    device: torch.device
    budget: int = CPU_BUDGET
    overhead: int = CPU_OVERHEAD
    left: bool = False
    rows: int | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def run(self, rows: Sequence[Row], forward: Forward, *, size: int | None = None,
            ragged: bool = True) -> list[Any]:
        """`forward`'s result of every row, in the rows' order.

        `size` fixes the rows per batch; `ragged` says that rows of different lengths may share one.
        """
        results: list[Any] = [None] * len(rows)
        pending = list(self.plan([len(row) for row in rows], size, ragged))[::-1]
        while pending:
            chosen = pending.pop()
            found = self._attempt([rows[index] for index in chosen], forward)
            if found is None:
                half = len(chosen) // 2
                pending += [chosen[half:], chosen[:half]]
                self.budget = max(1, min(self.budget, half * len(rows[chosen[0]])))
                continue
            for index, result in zip(chosen, found, strict=True):
                results[index] = result
        return results

    def plan(self, lengths: Sequence[int], size: int | None, ragged: bool) -> Iterator[list[int]]:
        """Cut the rows, longest first, into batches of indices."""
        batch: list[int] = []
        padding = longest = 0
        for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
            gap = longest - lengths[index]
            full = len(batch) >= (size or self.rows or len(lengths))
            if size is None:
                full |= (len(batch) + 1) * longest > self.budget
            wasteful = padding + gap > self.overhead and size is None
            if batch and (full or wasteful or (gap and not ragged)):
                yield batch
                batch, padding, gap = [], 0, 0
            if not batch:
                longest = lengths[index]
            batch.append(index)
            padding += gap
        if batch:
            yield batch

    def collate(self, rows: list[Row]) -> Batch:
        """Pad the rows' inputs to the longest and move them to the device."""
        import torch

        lengths = [len(row) for row in rows]
        width = max(lengths)
        for row in rows if min(lengths) < width else ():
            row.features.setdefault("attention_mask", [1] * len(row))
        inputs = {name: torch.from_numpy(self._table(rows, name, width)).to(self.device)
                  for name in rows[0].features}
        self._count(lengths, width)
        return Batch(rows, inputs, lengths)

    def _table(self, rows: list[Row], name: str, width: int) -> np.ndarray[Any, np.dtype[np.int64]]:
        value = self.pad.get(name, PADDING.get(name, 0))
        table = np.full((len(rows), width), value, dtype=np.int64)
        for line, row in zip(table, rows, strict=True):
            values = row.features[name]
            line[width - len(values) if self.left else 0:][: len(values)] = values
        return table

    def _count(self, lengths: list[int], width: int) -> None:
        self.counts["batches"] += 1
        self.counts["tokens"] += sum(lengths)
        self.counts["padding"] += width * len(lengths) - sum(lengths)

    def _attempt(self, rows: list[Row], forward: Forward) -> Sequence[Any] | None:
        """`forward`'s results, or None if several rows together did not fit into memory."""
        import torch

        from enfold.nn.tokens import only_tokens

        try:
            with torch.inference_mode(), only_tokens():
                return forward(self.collate(rows))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or len(rows) == 1:
                raise
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that memory ran out, on any device."""
    import torch

    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return any(words in str(error) for words in MEMORY_WORDS)
