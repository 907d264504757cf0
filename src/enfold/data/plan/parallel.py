"""One pass over the data by several processes.

    rows of the base    | head: what the first batches took | alone | task | task | ... | task |
    written             | 00000-00000.arrow ..................... | 00001-00000.arrow | ...

A task is a stretch of rows whose borders no batch crosses, so that a function is given the same
batches however many processes there are.  Functions that are known to be harmless (`tame`) are run
by this process too: alone, until what is left is worth workers, and then as one of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from enfold.data.executor import run_parallel
from enfold.data.executor.run import worth
from enfold.data.features import Features
from enfold.data.frame import Frame
from enfold.data.plan.engine import engine_now
from enfold.data.plan.job import PassJob
from enfold.data.plan.ops import UserOp, copied
from enfold.data.plan.segments import Segment, Writer
from enfold.data.plan.stages import Base, Step, pipeline
from enfold.data.plan.tame import tame

_TASKS = 16  # per process
_LARGEST = 1 << 18  # rows in a task
_BEGIN, _MOST = 1 << 10, 1 << 14  # rows that are done alone between two looks at the clock
_BELIEVED = 0.02  # seconds after which the time per row is believed


class Parallel:
    """A pass of `chain` over `base` by `count` processes.

    unit: of how many rows a stretch must be a multiple, None where it can only be all.  folder:
    where results go, None for nowhere.  bar: told rows.
    """

    def __init__(self, chain: Sequence[Any], base: Frame, unit: int | None, folder: Path | None,
                 count: int, bar: Callable[[int], None]) -> None:
        self.chain, self.base, self.folder, self.count, self.bar = chain, base, folder, count, bar
        self.rows = unit or max(1, base.num_rows)
        self.features = chain[0].below.features
        self.ranked = any(isinstance(step.op, UserOp) and step.op.call.with_rank for step in chain)
        self.here = engine_now() is None and not self.ranked and all_tame(chain)
        self.found: list[Features] = []
        self.writer = Writer(folder, f"{0:05d}-")

    def run(self) -> tuple[list[Segment], list[Features]]:
        """(what was written, the features of its parts)."""
        taken = sum(result.rows_in for result in self.chain[0].done)
        at, left = self._head(taken), math.inf
        if self.here:
            at, left = self._alone(at)
        written: dict[int, list[Segment]] = {0: self.writer.close()}
        if at < self.base.num_rows or self.ranked:
            self._shared(at, taken, left, written)
        return [segment for number in sorted(written) for segment in written[number]], self.found

    def _head(self, taken: int) -> int:
        """Give out what was done when the plan was made; the row where others go on."""
        if self.ranked:
            for step in self.chain:
                step.op.call = replace(step.op.call, rank=0)
        head = min(self.base.num_rows, math.ceil(taken / self.rows) * self.rows)
        self._add(self.chain, Base(self.base, self.features, 0, taken if self.ranked else head,
                                   ahead=True))
        return head

    def _add(self, steps: Sequence[Any], below: Base, replay: bool = True) -> None:
        at = below.at
        for chunk in pipeline(steps, below, replay=replay):
            self.bar(below.at - at)
            at = below.at
            if not self.found or self.found[-1] is not chunk.features:
                self.found.append(chunk.features)
            if self.folder is not None:
                self.writer.add(chunk)

    def _alone(self, start: int) -> tuple[int, float]:
        """(the row reached in this process, the seconds that one would take for those left)."""
        steps = [Step(copied(step.op)) for step in self.chain]
        at, stop = start, self.base.num_rows
        pace = max(step.pace for step in self.chain)
        stretch = max(1, min(_BEGIN, int(_BELIEVED / pace))) if pace > 0 else _BEGIN
        needed, began = worth(self.count), perf_counter()
        while at < stop:
            until = min(at + math.ceil(stretch / self.rows) * self.rows, stop)
            self._add(steps, Base(self.base, self.features, at, until, ahead=True), replay=False)
            at, stretch = until, min(2 * stretch, _MOST)
            spent = perf_counter() - began
            left = spent / (at - start) * (stop - at)
            if spent > _BELIEVED and left > needed:
                return at, left
        return at, 0.0

    def _shared(self, start: int, taken: int, seconds: float,
                written: dict[int, list[Segment]]) -> None:
        spans = shards(self.base.num_rows, self.count, taken) if self.ranked else spans_of(
            start, self.base.num_rows, self.rows, self.count)

        def keep(number: int, result: Any) -> None:
            notes, shown = result
            written[number + 1] = [Segment(**note) for note in notes]
            self.found.extend([shown] if shown is not None else [])

        tasks = [(number + 1, *span) for number, span in enumerate(spans)]
        ranks = [rank for rank, _ in enumerate(spans)] if self.ranked else None
        ops = [copied(step.op) if self.here else step.op for step in self.chain]
        job = PassJob(self.base, self.features, ops, self.folder, self.ranked)
        if (engine := engine_now()) is not None:
            engine.run(job, tasks, ranks, keep, self.bar)
            return
        with TemporaryDirectory(prefix="enfold-") as scratch:  # for what workers need of the base
            job.scratch = Path(scratch)
            run_parallel(job, tasks, self.count, on_result=keep, on_progress=self.bar,
                         seconds=seconds, here=self.here, stays=self.here, ranks=ranks)


def all_tame(steps: Sequence[Any]) -> bool:
    """Whether this process may run the functions of these steps too."""
    return all(tame(step.op.call) for step in steps if isinstance(step.op, UserOp))


def spans_of(start: int, stop: int, rows: int, count: int) -> list[tuple[int, int]]:
    """Stretches of rows for tasks."""
    wanted = max(1, min((stop - start) // (count * _TASKS), _LARGEST))
    size = max(rows, wanted // rows * rows if wanted >= rows else rows)
    if rows == 1:
        size = max(size, min(1000, max(1, (stop - start) // (count * 2))))
    return [(first, min(first + size, stop)) for first in range(start, stop, size)]


def shards(rows: int, count: int, taken: int) -> list[tuple[int, int]]:
    """One stretch per process, as `Dataset.shard` cuts them; less what is done."""
    size, more = divmod(rows, count)
    spans, start = [], 0
    for number in range(count):
        stop = start + size + (number < more)
        spans.append((max(start, taken), max(stop, taken)))
        start = stop
    return spans
