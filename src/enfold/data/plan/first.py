"""The first batch of a step: run here, or by a worker where several processes were asked for.

A function that was given to several processes is run in this one only if it is known to be harmless
(`tame`), and on a copy: what it does to its process (a crash, a device taken, memory, a variable
set) is not done to the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from enfold.data.executor import run_parallel
from enfold.data.features import Features
from enfold.data.frame import Frame
from enfold.data.frame.state import frame_of, frame_state
from enfold.data.plan.job import spilled
from enfold.data.plan.mapop import MapOp
from enfold.data.plan.ops import bare, copied
from enfold.data.plan.stages import Base, Stage, Step, pipeline

_HEAD = 10_000  # rows of a base in memory that a worker is given


def first_batch(steps: Sequence[Step], below: Base, limit: int | None) -> bool:
    """Run the first batch of the last step, and what it needs of those before it.

    What is computed is added to `done` of each.  Returns whether the input went on after it.
    """
    *lower, last = steps
    stream: Any = pipeline(lower, below, record=True) if lower else below
    stage = Stage(last.op, stream, record=last.done)
    stage.limit = limit
    while (chunk := stage.next()) is not None:
        if chunk.num_rows or not isinstance(last.op, MapOp):
            break
    return below.at < below.stop


def by_a_worker(steps: Sequence[Step], base: Frame, features: Features, limit: int | None,
                count: int) -> None:
    """The same, run by one of `count` workers."""
    wanted = max(_HEAD, 4 * (steps[-1].op.size or base.num_rows))
    in_files = all(column.files is not None for column in base.columns.values())
    whole = in_files or wanted >= base.num_rows
    with TemporaryDirectory(prefix="enfold-") as scratch:
        head = base if whole else base.select(range(wanted))
        found = _found(steps, spilled(head, Path(scratch)), features, limit, count)
        if not whole and not found[1]:  # the rows given did not suffice
            found = _found(steps, spilled(base, Path(scratch)), features, limit, count)
    _keep(steps, found[0])


def on_copies(steps: Sequence[Step], below: Base) -> None:
    """The same, run here by copies of the functions."""
    twins = [Step(copied(step.op), step.done) for step in steps]
    first_batch(twins, below, None)
    _keep(steps, _told(twins))


def _keep(steps: Sequence[Step], told: Sequence[Any]) -> None:
    for step, (done, out, silent) in zip(steps, told, strict=True):
        step.done[:] = done
        if isinstance(step.op, MapOp):
            step.op.out, step.op.silent = out, silent


def _told(steps: Sequence[Step]) -> list[Any]:
    """Of each step what it has done, its features, whether it is silent."""
    return [(step.done, getattr(step.op, "out", None), getattr(step.op, "silent", False))
            for step in steps]


def _found(steps: Sequence[Step], base: Frame, features: Features, limit: int | None,
           count: int) -> Any:
    results: list[Any] = []
    run_parallel(FirstJob(steps, base, features, limit), [0], max(2, count),
                 on_result=lambda _, result: results.append(result), here=False, ranks=[0])
    return results[0]


class FirstJob:
    """The first batch, for a worker."""

    def __init__(self, steps: Sequence[Step], base: Frame, features: Features,
                 limit: int | None) -> None:
        self.steps, self.base, self.features, self.limit = list(steps), base, features, limit

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "base": frame_state(self.base),
                "steps": [Step(bare(step.op), step.done) for step in self.steps]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.base = frame_of(state["base"])

    def open(self, rank: int) -> None:
        """Nothing to do; the rank is 0."""

    def run(self, task: int, progress: Callable[[int], None]) -> Any:
        """(what `_told` tells of the steps, whether rows are left)."""
        more = first_batch(self.steps, Base(self.base, self.features), self.limit)
        return _told(self.steps), more
