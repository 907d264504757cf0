"""The steps of a pass as a pipeline that is pulled from its end, batch by batch.

Each step asks the one below for as many rows as it wants at once.  What the step computed when
the plan was made (its first batch) is not computed again but given out from `node.done`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from enfold.data.features import Features
from enfold.data.frame import Frame
from enfold.data.frame.ahead import Ahead
from enfold.data.plan.chunk import Chunk, Result


class Op(Protocol):
    """A step: a function of the user, or a change of columns.

    size: how many rows it wants at once, None for all.  drop_last: whether a last batch of fewer
    is left out.
    """

    size: int | None
    drop_last: bool

    def apply(self, chunk: Chunk, start: int) -> Result: ...


class Step:
    """A step without its plan: what it does, and what it has done."""

    def __init__(self, op: Any, done: Sequence[Result] = ()) -> None:
        self.op, self.done = op, list(done)


class Stream(Protocol):
    """Where a step gets its rows."""

    def read(self, count: int | None) -> Chunk | None:
        """The next `count` rows (None: all), fewer at the end; None after that."""


class Base:
    """Rows start to stop of a frame.  ahead: whether all of them will be read, in order."""

    def __init__(self, frame: Frame, features: Features, start: int = 0,
                 stop: int | None = None, ahead: bool = False) -> None:
        self.features, self.at = features, start
        self.stop = frame.num_rows if stop is None else stop
        self.frame = Ahead.over(frame, self.stop) if ahead else frame

    def read(self, count: int | None) -> Chunk | None:
        """The next rows."""
        if self.at >= self.stop:
            return None
        stop = self.stop if count is None else min(self.at + count, self.stop)
        chunk = Chunk.of(self.frame, self.at, stop, self.features)
        self.at = stop
        return chunk


class Stage:
    """One step above a stream.  record: keep what is computed, in `done`."""

    def __init__(self, op: Op, below: Stream, done: Sequence[Result] = (), start: int = 0,
                 record: list[Result] | None = None) -> None:
        self.op, self.below, self.replay = op, below, deque(done)
        self.position, self.record = start, record
        self.limit: int | None = None  # of rows in a batch, less than the step wants
        self.waiting: deque[Chunk] = deque()

    def next(self) -> Chunk | None:
        """What the step makes of its next batch."""
        if self.replay:
            result = self.replay.popleft()
            chunk = self.below.read(result.rows_in)
        else:
            chunk = self._batch()
            if chunk is None:
                return None
            result = self.op.apply(chunk, self.position)
            if self.record is not None:
                self.record.append(result)
        self.position += result.rows_in
        return result.on(chunk)  # type: ignore[arg-type]

    def _batch(self) -> Chunk | None:
        size = self.op.size
        if self.limit is not None:
            size = self.limit if size is None else min(size, self.limit)
        chunk = self.below.read(size)
        if chunk is None or (self.op.drop_last and size is not None and chunk.num_rows < size):
            return None
        return chunk

    def read(self, count: int | None) -> Chunk | None:
        """The next rows that come out of the step, for the step above."""
        held = sum(chunk.num_rows for chunk in self.waiting)
        while count is None or held < count:
            chunk = self.next()
            if chunk is None:
                break
            if chunk.num_rows:
                self.waiting.append(chunk)
                held += chunk.num_rows
        return self._taken(held if count is None else min(count, held))

    def _taken(self, count: int) -> Chunk | None:
        if not self.waiting:
            return None
        parts, need = [], count
        while self.waiting and need > 0:
            chunk = self.waiting.popleft()
            if chunk.num_rows > need:
                self.waiting.appendleft(chunk.slice(need, chunk.num_rows))
                chunk = chunk.slice(0, need)
            need -= chunk.num_rows
            parts.append(chunk)
        return Chunk.join(parts)

    def __iter__(self) -> Iterator[Chunk]:
        while (chunk := self.next()) is not None:
            yield chunk


def pipeline(nodes: Sequence[Any], base: Base, *, replay: bool = True,
             record: bool = False) -> Stage:
    """The steps of `nodes`, lowest first, over a frame; at least one.

    replay: begin with what each has done.  record: add what is computed to that.
    """
    stream: Any = base
    start = 0 if replay else base.at
    for node in nodes:
        stream = Stage(node.op, stream, node.done if replay else (), start,
                       node.done if record else None)
    return stream  # type: ignore[no-any-return]
