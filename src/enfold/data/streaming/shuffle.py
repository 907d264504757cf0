"""A shuffle buffer, which resumes without having been saved and without a replay.

Rows fill the buffer; full, it is permuted, half of it is handed out, half is kept:

    round 1   [ 0 .. 999 ] -> permutation -> 500 out, 500 kept
    round 2   [500 kept, 1000 .. 1499] -> permutation -> 500 out, 500 kept      ..

A row that is still there after r rounds is one of 2^r: all come from the last ten rounds or so.
So the state is where the oldest round with a row still to come began, the random numbers then, and
the sizes of the rounds since: the permutations are drawn again with row numbers, and the few rows
that remain are read by their numbers, the others passed over.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.streaming.interleave import ONCE, Interleaved, shift
from enfold.data.streaming.node import Batcher, Chunk, Cursor, Node, Over, State, joined
from enfold.data.streaming.several import Turns
from enfold.data.streaming.windows import Cut


@dataclass(frozen=True, eq=False)
class Spread(Over):
    """Rows of up to `limit` shards at a time, for a buffer of `size` rows."""

    size: int
    limit: int

    def open(self, state: State = None) -> Cursor:
        child = self.child
        if not child.by_row:
            child = Cut(child, max(1, self.size // max(1, self.limit)))
        shards = min(child.num_shards, self.limit)
        if shards <= 1:
            return child.open(state)
        parts = tuple(child.sharded(shards, index) for index in range(shards))
        return (Interleaved(parts, ONCE) if child.by_row else Turns(parts)).open(state)


@dataclass(frozen=True, eq=False)
class Shuffled(Over):
    """In random order, as far as a buffer of `size` rows mixes them."""

    size: int
    generator: np.random.Generator

    def shifted(self, value: int) -> Node:
        return replace(self, child=self.child.shifted(value),
                       generator=shift(self.generator, value))

    def open(self, state: State = None) -> Cursor:
        return _Buffer(self, state)


@dataclass
class _Round:
    """When a buffer was filled: its rows are numbered, and read again, from there."""

    first: int      # number of the first new row
    kept: int       # older rows that were in the buffer
    child: State
    random: Any
    sizes: list[int]  # new rows of this round, and of later ones that have no _Round


class _Buffer(Cursor):

    def __init__(self, node: Shuffled, state: State) -> None:
        self.size, self.by_row = max(1, node.size), node.by_row
        self.random = deepcopy(node.generator)
        self.input = Batcher(node.child.open(state and state["child"]))
        self.rounds: list[_Round] = []
        self.out = self.kept = np.empty(0, np.int64)  # numbers of rows that are out, and kept
        self.rows: Chunk = ()                         # those that are kept
        self.pending: Chunk | None = None
        self.number = 0                               # of the next row of the input
        if state is not None:
            self._restore(state)

    def chunk(self) -> Chunk | None:
        if self.pending is not None:
            chunk, self.pending = self.pending, None
            return chunk
        start = _Round(self.number, len(self.kept), self.input.state(),
                       self.random.bit_generator.state, [])
        parts = [self.rows] if len(self.rows) else []
        count = len(self.rows)
        while count < self.size:
            part = self.input.take(self.size - count) if self.by_row else self._table()
            if part is None:
                break
            parts.append(part)
            count += len(part)
        if not count:
            return None
        new = count - len(self.rows)
        start.sizes.append(new)
        out, kept = self._permute(new)
        self.rounds = [*self._needed(len(self.out)), start]
        rows = joined(parts)
        self.rows = _picked(rows, kept)
        return _picked(rows, out)

    def state(self, back: int = 0) -> State:
        waiting = back if self.pending is None else len(self.pending)
        rounds = self._needed(waiting)
        if not rounds:
            return {"child": self.input.state(), "random": self.random.bit_generator.state,
                    "kept": 0, "sizes": [], "out": 0}
        sizes = [size for one in rounds for size in one.sizes]
        return {"child": rounds[0].child, "random": rounds[0].random, "kept": rounds[0].kept,
                "sizes": sizes, "out": len(self.out) - waiting}

    def _needed(self, waiting: int) -> list[_Round]:
        """The rounds since the oldest row that is kept, or is one of the last `waiting`."""
        alive = np.concatenate([self.out[len(self.out) - waiting:], self.kept])
        oldest = alive.min(initial=self.number)
        older = [one for one in self.rounds[1:] if one.first <= oldest]
        return self.rounds[len(older):]

    def _table(self) -> Chunk | None:
        return self.input.take(len(self.input.left)) if self.input.fill() else None

    def _permute(self, new: int) -> tuple[np.ndarray, np.ndarray]:
        """Add new rows by number; the places in the buffer of those that go out and that stay."""
        added = np.arange(self.number, self.number + new)
        numbers, self.number = np.concatenate([self.kept, added]), self.number + new
        order = self.random.permutation(len(numbers))
        stay = self.size // 2 if len(numbers) >= self.size else 0
        out, kept = order[:len(order) - stay], order[len(order) - stay:]
        self.out, self.kept = numbers[out], numbers[kept]
        return out, kept

    def _restore(self, state: dict[str, Any]) -> None:
        self.random.bit_generator.state = state["random"]
        if not state["sizes"]:
            return
        self.kept = np.full(state["kept"], -1)  # rows that are out by now
        self.rounds = [_Round(0, state["kept"], state["child"], state["random"],
                              list(state["sizes"]))]
        for size in state["sizes"]:
            self._permute(size)
        out = self.out[state["out"]:]
        wanted = np.sort(np.concatenate([out, self.kept]))
        rows = self._read(wanted)
        if len(out):
            self.pending = _picked(rows, np.searchsorted(wanted, out))
        if len(self.kept):
            self.rows = _picked(rows, np.searchsorted(wanted, self.kept))

    def _read(self, wanted: np.ndarray) -> Chunk:
        """The rows of these numbers, in order; then the input stands where it stood."""
        parts, at = [], 0
        for run in np.split(wanted, np.flatnonzero(np.diff(wanted) != 1) + 1):
            if len(run):
                self.input.skip(int(run[0]) - at)
                parts.append(self.input.take(len(run)))
                at = int(run[-1]) + 1
        self.input.skip(self.number - at)
        return joined(parts) if parts else ()


def _picked(rows: Chunk, places: np.ndarray) -> Chunk:
    if isinstance(rows, list):
        return [rows[place] for place in places.tolist()]
    return rows.take(pa.array(places))
