"""One pass over the data, in this process or over several."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from enfold.data.executor import Progress
from enfold.data.features import Features, promote
from enfold.data.frame import Frame
from enfold.data.plan.chunk import Chunk
from enfold.data.plan.engine import engine_now
from enfold.data.plan.mapop import MapOp
from enfold.data.plan.ops import ColumnsOp, UserOp
from enfold.data.plan.parallel import Parallel
from enfold.data.plan.segments import Segment, Writer, open_all
from enfold.data.plan.stages import Base, pipeline
from enfold.errors import FunctionError

_SHOWN = 1000  # rows from which a progress bar is drawn


def run_pass(chain: Sequence[Any], base: Frame,
             folder: Path | None) -> tuple[list[Segment], Features | None]:
    """(what was written, the features at the end).

    chain: steps, lowest first.  folder: to write to, None for memory, which takes one process.
    """
    count = processes(chain)
    with _bar(chain, base) as bar:
        if count > 1:
            return _parallel(chain, base, folder, count, bar)
        writer = Writer(folder)
        features = None
        for chunk in _watched(chain, Base(base, chain[0].below.features, ahead=True), bar):
            features = chunk.features
            writer.add(chunk)
    return open_all(folder, writer.close()), features


def run_silently(chain: Sequence[Any], base: Frame) -> None:
    """Run a function that returns nothing over all rows."""
    count = processes(chain)
    with _bar(chain, base) as bar:
        if count > 1:
            _parallel(chain, base, None, count, bar)
        else:
            for _ in _watched(chain, Base(base, chain[0].below.features, ahead=True), bar):
                pass


def processes(chain: Sequence[Any]) -> int:
    """How many processes were asked for; those of the engine, if one runs the passes."""
    if (engine := engine_now()) is not None:
        return engine.workers
    return max(step.settings.num_proc or 1 for step in chain)


def divisible(chain: Sequence[Any]) -> int:
    """How many steps of the chain, from its lowest on, can be run on stretches of rows.

    After a step that changes the number of rows, nobody knows in which batch a row would be, nor
    its number.
    """
    changed = False
    for number, step in enumerate(chain):
        op = step.op
        if isinstance(op, UserOp) and changed and (op.call.batched or op.call.with_indices):
            return number
        changed = changed or changes_count(step)
    return len(chain)


def changes_count(step: Any) -> bool:
    """Whether other numbers of rows may come out than go in."""
    op = step.op
    if isinstance(op, MapOp):
        return op.call.batched and not (step.done and step.done[0].shares)
    return not isinstance(op, ColumnsOp)


def unit(chain: Sequence[Any]) -> int | None:
    """Of how many rows a task must be a multiple; None where it can only be all."""
    rows = 1
    for step in chain:
        if isinstance(step.op, UserOp) and step.op.call.batched:
            if step.op.size is None:
                return None
            rows = math.lcm(rows, step.op.size)
        if changes_count(step):
            break
    return rows


def _parallel(chain: Sequence[Any], base: Frame, folder: Path | None, count: int,
              bar: Callable[[int], None]) -> tuple[list[Segment], Features | None]:
    segments, found = Parallel(chain, base, unit(chain), folder, count, bar).run()
    return open_all(folder, segments), _together(found)


def _watched(chain: Sequence[Any], below: Base, bar: Callable[[int], None]) -> Iterator[Chunk]:
    """The chunks that come out, the rows that went in told to a progress bar."""
    at = below.at
    for chunk in pipeline(chain, below):
        bar(below.at - at)
        at = below.at
        yield chunk


def _bar(chain: Sequence[Any], base: Frame) -> Progress:
    step = chain[-1]
    what = step.op.call.what.capitalize() if isinstance(step.op, UserOp) else step.label()
    count = processes(chain)
    name = step.settings.desc or (f"{what} (num_proc={count})" if count > 1 else what)
    return _Quiet() if base.num_rows <= _SHOWN else Progress(base.num_rows, name)


class _Quiet(Progress):
    def __init__(self) -> None:
        super().__init__(None)

    def __enter__(self) -> Progress:
        return self


def _together(found: Sequence[Features]) -> Features | None:
    """The features of all parts: those of a column of nulls give way to others."""
    if not found:
        return None
    whole = found[0]
    for features in found[1:]:
        if features == whole and list(features) == list(whole):
            continue
        if set(features) != set(whole):
            raise FunctionError(f"map: the function gave the columns {list(features)} for some "
                                f"rows and {list(whole)} for others. Expected the same every time")
        whole = Features({name: promote(whole[name], features[name], column=name)
                          for name in whole})
    return whole

