"""Several streams as one: one after the other, side by side, or chunk by chunk in turn."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pyarrow as pa

from enfold.data.features import Features
from enfold.data.streaming.node import (
    Batcher,
    Chunk,
    Cursor,
    Node,
    Remaking,
    State,
    shard_numbers,
)
from enfold.errors import DataError

T = TypeVar("T", bound="Several")
WINDOW = 1000


@dataclass(frozen=True, eq=False)
class Several(Node):
    """Nodes that are read together."""

    children: tuple[Node, ...]

    @property
    def features(self) -> Features | None:  # type: ignore[override]
        return self.children[0].features if self.children else None

    @property
    def arrow(self) -> bool:
        return all(child.arrow for child in self.children)

    @property
    def by_row(self) -> bool:
        return any(child.by_row for child in self.children)

    def _with(self: T, children: Sequence[Node]) -> T:
        return replace(self, children=tuple(children))

    def resharded(self) -> Node:
        return self._with([child.resharded() for child in self.children])

    def shifted(self, value: int) -> Node:
        return self._with([child.shifted(value) for child in self.children])


@dataclass(frozen=True, eq=False)
class Concatenated(Several):
    """One after the other."""

    @property
    def num_shards(self) -> int:
        return sum(child.num_shards for child in self.children)

    def _single(self) -> list[Node]:
        return [child.sharded(child.num_shards, index) for child in self.children
                for index in range(child.num_shards)]

    def shuffled(self, generator: np.random.Generator) -> Node:
        shards: list[Node] = self._single()
        deepcopy(generator).shuffle(shards)
        return Concatenated(tuple(shards))

    def sharded(self, num_shards: int, index: int, contiguous: bool = True) -> Node:
        shards = self._single()
        numbers = shard_numbers(len(shards), num_shards, index, contiguous)
        return Concatenated(tuple(shards[number] for number in numbers))

    def open(self, state: State = None) -> Cursor:
        return _Following(self, state or {"part": 0, "child": None})


class _Following(Cursor):

    def __init__(self, node: Concatenated, state: State) -> None:
        self.node, self.part = node, state["part"]
        self.cursor = self._open(state["child"])

    def _open(self, state: State) -> Cursor | None:
        there = self.part < len(self.node.children)
        return self.node.children[self.part].open(state) if there else None

    def chunk(self) -> Chunk | None:
        while self.cursor is not None:
            chunk = self.cursor.chunk()
            if chunk is not None:
                return chunk
            self.part += 1
            self.cursor = self._open(None)
        return None

    def state(self, back: int = 0) -> State:
        return {"part": self.part, "child": self.cursor.state(back) if self.cursor else None}

    def advance(self, count: int) -> int:
        return self.cursor.advance(count) if self.cursor else 0


@dataclass(frozen=True, eq=False)
class Beside(Several):
    """Side by side: a row has the columns of all; where one is at its end, they are missing."""

    @property
    def num_shards(self) -> int:
        return 1

    def shuffled(self, generator: np.random.Generator) -> Node:
        return self  # rows would not fit each other any more

    def sharded(self, num_shards: int, index: int, contiguous: bool = True) -> Node:
        return self

    def resharded(self) -> Node:
        return self

    def open(self, state: State = None) -> Cursor:
        return _Beside(self, state)


class _Beside(Remaking):

    def __init__(self, node: Beside, state: State) -> None:
        super().__init__(state)
        states = state["children"] if state else [None] * len(node.children)
        self.arrow, self.checked = node.arrow, False
        self.inputs = [Batcher(child.open(at))
                       for child, at in zip(node.children, states, strict=True)]

    def where(self) -> State:
        return {"children": [part.state() for part in self.inputs]}

    def make(self) -> Chunk | None:
        found = [part.take(WINDOW if self.arrow else 1) for part in self.inputs]
        parts = [part for part in found if part is not None]
        if not parts:
            return None
        if not self.checked:
            unique([name for part in parts for name in
                    (part.column_names if self.arrow else part[0])])
            self.checked = True
        if not self.arrow:
            return [{name: value for part in parts for name, value in part[0].items()}]
        rows = max(map(len, parts))
        return pa.table({name: _padded(column, rows) for part in parts
                         for name, column in zip(part.column_names, part.columns, strict=True)})


def _padded(column: pa.ChunkedArray, rows: int) -> pa.ChunkedArray:
    missing = rows - len(column)
    return column if not missing else pa.chunked_array(
        [*column.chunks, pa.nulls(missing, column.type)])


def unique(names: Sequence[str]) -> None:
    """Raises DataError where a column is there twice."""
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise DataError(f"concatenate_datasets: columns {twice} are duplicated: they are in more "
                        f"than one dataset. Expected each once. Do: remove or rename them")


@dataclass(frozen=True, eq=False)
class Turns(Several):
    """A chunk of each in turn, until all are at their end."""

    @property
    def num_shards(self) -> int:
        return min((child.num_shards for child in self.children), default=0)

    def shuffled(self, generator: np.random.Generator) -> Node:
        return self._with([child.shuffled(generator) for child in self.children])

    def sharded(self, num_shards: int, index: int, contiguous: bool = True) -> Node:
        parts = min(num_shards, self.num_shards)
        if index >= parts:
            return self._with([])
        return self._with([child.sharded(parts, index, contiguous) for child in self.children])

    def open(self, state: State = None) -> Cursor:
        return _Turns(self, state)


class _Turns(Cursor):

    def __init__(self, node: Turns, state: State) -> None:
        state = state or {"next": 0, "children": [None] * len(node.children),
                          "done": [False] * len(node.children)}
        self.next, self.done = state["next"], list(state["done"])
        self.cursors = [child.open(at)
                        for child, at in zip(node.children, state["children"], strict=True)]
        self.latest = 0

    def chunk(self) -> Chunk | None:
        while not all(self.done):
            self.latest = self.next
            self.next = (self.next + 1) % len(self.cursors)
            chunk = None if self.done[self.latest] else self.cursors[self.latest].chunk()
            if chunk is not None:
                return chunk
            self.done[self.latest] = True
        return None

    def state(self, back: int = 0) -> State:
        states = [cursor.state(back if number == self.latest else 0)
                  for number, cursor in enumerate(self.cursors)]
        return {"next": self.latest if back else self.next, "children": states,
                "done": list(self.done)}
