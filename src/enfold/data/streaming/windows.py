"""Parts of a stream: skip, take, every n-th row, repetition, and tables cut to a size."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from enfold.data.streaming.node import (
    Batcher,
    Chunk,
    Cursor,
    Node,
    OrderFixed,
    Over,
    Remaking,
    State,
    even,
)


@dataclass(frozen=True, eq=False)
class _Window(Over):
    """n: rows.  split: workers share these rows, rather than each having as many."""

    n: int
    split: bool = True

    def shuffled(self, generator: np.random.Generator) -> Node:
        raise OrderFixed

    def sharded(self, num_shards: int, index: int, contiguous: bool = True) -> Node:
        child = self.child.sharded(num_shards, index, contiguous)
        n, filled = self.n, min(num_shards, self.num_shards)  # shards beyond that are empty
        if self.split:
            n = even(self.n, filled)[index] if index < filled else 0
        return replace(self, child=child, n=n)


class Skip(_Window):
    """Without the first n rows."""

    def open(self, state: State = None) -> Cursor:
        if state is not None and state["skipped"]:
            return _Skipped(self.child.open(state["child"]), 0)
        return _Skipped(self.child.open(state and state["child"]), self.n)


class _Skipped(Cursor):

    def __init__(self, cursor: Cursor, count: int) -> None:
        self.input, self.count = Batcher(cursor), count

    def chunk(self) -> Chunk | None:
        self.input.skip(self.count)
        self.count = 0
        if not self.input.fill():
            return None
        chunk, self.input.left = self.input.left, ()
        return chunk

    def state(self, back: int = 0) -> State:
        return {"skipped": not self.count, "child": self.input.cursor.state(back)}

    def advance(self, count: int) -> int:
        return 0 if self.count else self.input.cursor.advance(count)


class Take(_Window):
    """The first n rows."""

    def open(self, state: State = None) -> Cursor:
        taken = state["taken"] if state else 0
        return _Taking(self.child.open(state and state["child"]), taken, self.n)


class _Taking(Cursor):

    def __init__(self, cursor: Cursor, taken: int, n: int) -> None:
        self.cursor, self.taken, self.n = cursor, taken, n
        self.surplus = 0  # rows of the latest chunk that are beyond n

    def chunk(self) -> Chunk | None:
        if self.taken >= self.n:
            return None
        chunk = self.cursor.chunk()
        if chunk is None:
            return None
        self.surplus = max(0, len(chunk) - (self.n - self.taken))
        self.taken += len(chunk) - self.surplus
        return chunk[:len(chunk) - self.surplus] if self.surplus else chunk

    def state(self, back: int = 0) -> State:
        return {"taken": self.taken - back, "child": self.cursor.state(self.surplus + back)}

    def advance(self, count: int) -> int:
        passed = self.cursor.advance(min(count, self.n - self.taken)) if not self.surplus else 0
        self.taken += passed
        return passed


@dataclass(frozen=True, eq=False)
class Step(Over):
    """Row `offset` of every `step` rows."""

    step: int
    offset: int

    def open(self, state: State = None) -> Cursor:
        return _Stepping(self, state or {"passed": 0, "child": None})


class _Stepping(Cursor):

    def __init__(self, node: Step, state: State) -> None:
        self.node, self.cursor = node, node.child.open(state["child"])
        self.passed: int = state["passed"]  # rows of the child
        self.length = self.first = 0  # of the latest chunk, and its first row that was taken

    def chunk(self) -> Chunk | None:
        while (chunk := self.cursor.chunk()) is not None:
            self.length = len(chunk)
            self.first = (self.node.offset - self.passed) % self.node.step
            self.passed = (self.passed + self.length) % self.node.step
            if self.first < self.length:
                return chunk[self.first::self.node.step]
        return None

    def state(self, back: int = 0) -> State:
        rows = 0  # of the child that are to be read again
        if back:
            count = len(range(self.first, self.length, self.node.step))
            rows = self.length - self.first - (count - back) * self.node.step
        return {"passed": (self.passed - rows) % self.node.step, "child": self.cursor.state(rows)}


@dataclass(frozen=True, eq=False)
class Repeat(Over):
    """All rows `times` times; None: without end."""

    times: int | None

    def open(self, state: State = None) -> Cursor:
        return _Repeating(self, state or {"round": 0, "child": None})


class _Repeating(Cursor):

    def __init__(self, node: Repeat, state: State) -> None:
        self.node, self.round = node, state["round"]
        self.cursor = node.child.open(state["child"])
        self.whole = self.found = False  # this round: from its start; with any row

    def chunk(self) -> Chunk | None:
        times = self.node.times
        while times is None or self.round < times:
            chunk = self.cursor.chunk()
            if chunk is not None:
                self.found = True
                return chunk
            if times is None and self.whole and not self.found:
                return None
            self.round += 1
            self.cursor, self.whole, self.found = self.node.child.open(), True, False
        return None

    def state(self, back: int = 0) -> State:
        return {"round": self.round, "child": self.cursor.state(back)}


@dataclass(frozen=True, eq=False)
class Cut(Over):
    """Chunks of `size` rows; None: one of all."""

    size: int | None

    def open(self, state: State = None) -> Cursor:
        return _Cutting(self, state)


class _Cutting(Remaking):

    def __init__(self, node: Cut, state: State) -> None:
        super().__init__(state)
        self.input, self.rows = Batcher(node.child.open(state and state["child"])), node.size

    def where(self) -> State:
        return {"child": self.input.state()}

    def make(self) -> Chunk | None:
        return self.input.take(self.rows)
