"""Rows of several streams in turn or drawn at random; the draws are those of `datasets`.

Of tables, as many rows at once as are at hand: the sources are drawn one by one, their rows
gathered together.  The last row at hand is drawn with a look ahead, since a source is at its end
with its last row, not after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.streaming.node import Batcher, Chunk, Cursor, Node, Remaking, State, joined
from enfold.data.streaming.several import Turns

FIRST, ALL, ONCE = STRATEGIES = ("first_exhausted", "all_exhausted",
                                 "all_exhausted_without_replacement")
DRAWS = 1000  # sources drawn from the generator at once, rows of a table at most


@dataclass(frozen=True, eq=False)
class Interleaved(Turns):
    """stopping: when it ends.  generator, probabilities: how sources are drawn; None: in turn."""

    stopping: str = FIRST
    generator: np.random.Generator | None = None
    probabilities: Sequence[float] | None = None

    def shuffled(self, generator: np.random.Generator) -> Node:
        drawn = self.generator and generator
        return replace(self, children=tuple(child.shuffled(generator) for child in self.children),
                       generator=drawn)

    def shifted(self, value: int) -> Node:
        shifted = super().shifted(value)
        assert isinstance(shifted, Interleaved)
        return replace(shifted, generator=shift(self.generator, value)) if self.generator \
            else shifted

    def open(self, state: State = None) -> Cursor:
        return _Interleaving(self, state)


def shift(generator: np.random.Generator, value: int) -> np.random.Generator:
    """Another generator, one for each value; the given one stays as it is."""
    seed = deepcopy(generator).integers(0, 1 << 63) - value
    return np.random.default_rng(seed)


class _Draws:
    """Numbers of sources, without end."""

    def __init__(self, node: Interleaved, state: State) -> None:
        self.node, self.sources = node, len(node.children)
        self.random = deepcopy(node.generator)
        if self.random is not None and state:
            self.random.bit_generator.state = state["random"]
        self.at: int = state["at"] if state else 0
        self.block: list[int] = []
        self.before = self.random and self.random.bit_generator.state

    def state(self) -> dict[str, Any]:
        """Where the draws go on."""
        return {"at": self.at, "random": self.before}

    def peek(self) -> int:
        """The next source; `at += 1` passes it."""
        while self.at >= len(self.block):
            self.at -= len(self.block)
            self.block = self._block()
        return self.block[self.at]

    def _block(self) -> list[int]:
        if self.random is None:
            return list(range(self.sources))
        self.before = self.random.bit_generator.state
        if self.node.probabilities is None:
            drawn = self.random.integers(0, self.sources, size=DRAWS)
        else:
            drawn = self.random.choice(self.sources, size=DRAWS, p=self.node.probabilities)
        return drawn.tolist()  # type: ignore[no-any-return]


class _Interleaving(Remaking):

    def __init__(self, node: Interleaved, state: State) -> None:
        super().__init__(state)
        self.node = node
        self.draws = _Draws(node, state and state["draws"])
        states = state["children"] if state else [None] * len(node.children)
        self.done: list[bool] = list(state["done"]) if state else [False] * len(node.children)
        self.inputs = [Batcher(child.open(at))
                       for child, at in zip(node.children, states, strict=True)]

    def where(self) -> State:
        return {"draws": self.draws.state(), "done": list(self.done),
                "children": [part.state() for part in self.inputs]}

    def make(self) -> Chunk | None:
        if self._over():
            return None
        picks = self._at_hand() if self.node.arrow else []
        return self._gathered(np.array(picks)) if picks else self._one()

    def _over(self) -> bool:
        return not self.done or (any if self.node.stopping == FIRST else all)(self.done)

    def _at_hand(self) -> list[int]:
        """The next sources, as far as each has more rows at hand than are drawn."""
        spare = [len(part.left) - 1 for part in self.inputs]
        picks: list[int] = []
        while len(picks) < DRAWS:
            number = self.draws.peek()
            if not (self.done[number] and self.node.stopping == ONCE):
                if spare[number] <= 0:
                    break
                spare[number] -= 1
                picks.append(number)
            self.draws.at += 1
        return picks

    def _gathered(self, picks: np.ndarray) -> Chunk:
        """The next rows of these sources, in this order."""
        counts = np.bincount(picks, minlength=len(self.inputs))
        parts = [part.take(int(count)) for part, count in zip(self.inputs, counts, strict=True)
                 if count]
        rows = np.empty(len(picks), np.int64)
        rows[np.argsort(picks, kind="stable")] = np.arange(len(picks))
        return joined(parts).take(pa.array(rows))

    def _one(self) -> Chunk | None:
        """The next row, and whether it was its source's last."""
        while not self._over():
            number = self.draws.peek()
            self.draws.at += 1
            if self.done[number] and self.node.stopping == ONCE:
                continue
            row = self.inputs[number].take(1)
            if not self.inputs[number].fill():
                self.done[number] = True
                if self.node.stopping != ONCE:
                    self.inputs[number] = Batcher(self.node.children[number].open())
            if row is not None:
                return row
        return None
