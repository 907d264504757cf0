"""Nodes describe a stream, cursors run through it.

    node = Mapped(Frames(...), f)   immutable, picklable: what is done, to which shards
    cursor = node.open(state)       one pass over it, from the start or from a state on
    cursor.chunk()                  some rows: an Arrow table, or a list of dicts; None at the end
    cursor.state(back)              where the stream goes on after them, less the last `back` ones

A state is made of dicts, lists, numbers and strings, and is never a replay: sources are opened at
the row it names.  What has to be made again is at most the batch that was handed out in part.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa

from enfold.data.features import Features

Row: TypeAlias = dict[str, Any]
Chunk: TypeAlias = Any  # pa.Table | list[Row]: both have a length and slices
State: TypeAlias = Any  # dict[str, Any] | None; None: the start
N = TypeVar("N", bound="Over")


class OrderFixed(Exception):  # noqa: N818 - reads as what it says
    """skip() and take() mean rows in the order of the shards: it stays."""


class Cursor(ABC):
    """One pass over a node."""

    @abstractmethod
    def chunk(self) -> Chunk | None:
        """The next rows, at least one; None at the end."""

    @abstractmethod
    def state(self, back: int = 0) -> State:
        """Where to open the node for the rows after these; the last chunk's last `back` again."""

    def advance(self, count: int) -> int:
        """Pass over up to `count` rows without making them; how many were passed, often 0."""
        return 0


class Node(ABC):
    """A stream of rows, in shards that workers and machines can share."""

    features: Features | None = None
    """What the rows hold already, encoded and decoded; None: what the dataset says must be done."""

    @property
    @abstractmethod
    def arrow(self) -> bool:
        """Whether chunks are tables."""

    @property
    def by_row(self) -> bool:
        """Whether a shuffle counts rows; else tables, which it draws from as they come."""
        return not self.arrow

    @property
    @abstractmethod
    def num_shards(self) -> int:
        """Into how many parts it can be shared."""

    @abstractmethod
    def open(self, state: State = None) -> Cursor:
        """A pass, from a state on."""

    @abstractmethod
    def shuffled(self, generator: np.random.Generator) -> Node:
        """The shards in random order.  Raises OrderFixed."""

    @abstractmethod
    def sharded(self, num_shards: int, index: int, contiguous: bool = True) -> Node:
        """One of `num_shards` parts; there must be that many."""

    @abstractmethod
    def resharded(self) -> Node:
        """The same rows in more shards, where files can be split."""

    def shifted(self, value: int) -> Node:
        """With other random numbers, for another worker or epoch."""
        return self


@dataclass(frozen=True, eq=False)
class Over(Node):
    """A node that does something to the rows of another."""

    child: Node

    @property
    def arrow(self) -> bool:
        return self.child.arrow

    @property
    def by_row(self) -> bool:
        return self.child.by_row

    @property
    def num_shards(self) -> int:
        return self.child.num_shards

    def _with(self: N, child: Node) -> N:
        return replace(self, child=child)

    def shuffled(self, generator: np.random.Generator) -> Node:
        return self._with(self.child.shuffled(generator))

    def sharded(self, num_shards: int, index: int, contiguous: bool = True) -> Node:
        return self._with(self.child.sharded(num_shards, index, contiguous))

    def resharded(self) -> Node:
        return self._with(self.child.resharded())

    def shifted(self, value: int) -> Node:
        return self._with(self.child.shifted(value))


class Remaking(Cursor):
    """A cursor whose chunk is made again when it is resumed in the middle of it."""

    def __init__(self, state: State) -> None:
        self.drop: int = (state or {}).get("drop", 0)
        self.before: State = None
        self.size = 0

    @abstractmethod
    def make(self) -> Chunk | None:
        """The next rows, none at all as an empty chunk; None at the end."""

    @abstractmethod
    def where(self) -> dict[str, Any]:
        """The state after what was made."""

    def chunk(self) -> Chunk | None:
        while True:
            self.before = self.where()
            made = self.make()
            if made is None:
                return None
            self.size, dropped = len(made), min(self.drop, len(made))
            self.drop -= dropped
            if self.size > dropped:
                return made[dropped:] if dropped else made

    def state(self, back: int = 0) -> State:
        if back:
            return {**self.before, "drop": self.size - back}
        return {**self.where(), "drop": self.drop} if self.drop else self.where()


class Batcher:
    """The rows of a cursor in batches of any size."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self.left: Chunk = ()  # of the cursor's latest chunk

    def state(self) -> State:
        """Where the rows not yet taken begin."""
        return self.cursor.state(len(self.left))

    def fill(self) -> bool:
        """Have at least one row at hand; False at the end."""
        while not len(self.left):
            chunk = self.cursor.chunk()
            if chunk is None:
                return False
            self.left = chunk
        return True

    def take(self, count: int | None) -> Chunk | None:
        """`count` rows, fewer at the end, None after it; all rows for None."""
        parts: list[Chunk] = []
        missing = count if count is not None and count > 0 else None
        while (missing is None or missing) and self.fill():
            part = self.left if missing is None else self.left[:missing]
            self.left = self.left[len(part):]
            missing = None if missing is None else missing - len(part)
            parts.append(part)
        return joined(parts) if parts else None

    def skip(self, count: int) -> None:
        """Leave out rows."""
        while count:
            if not len(self.left):
                passed = self.cursor.advance(count)
                count -= passed
                if not passed and not self.fill():
                    return
            part = min(count, len(self.left))
            self.left, count = self.left[part:], count - part


def joined(parts: list[Chunk]) -> Chunk:
    """Chunks as one; tables with types that differ are promoted."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], list):
        return [row for part in parts for row in part]
    if all(part.schema.equals(parts[0].schema) for part in parts[1:]):
        return pa.concat_tables(parts)
    return pa.concat_tables(parts, promote_options="permissive")


def chunks(cursor: Cursor) -> Iterator[Chunk]:
    """All chunks of a cursor."""
    while (chunk := cursor.chunk()) is not None:
        yield chunk


def even(total: int, parts: int) -> list[int]:
    """The sizes of `parts` parts that differ by one at most, the larger ones first."""
    return [total // parts + (part < total % parts) for part in range(parts)]


def shard_numbers(total: int, num_shards: int, index: int, contiguous: bool) -> list[int]:
    """Which of `total` shards go to part `index`."""
    if not contiguous:
        return list(range(index, total, num_shards))
    sizes = even(total, num_shards)
    start = sum(sizes[:index])
    return list(range(start, start + sizes[index]))
