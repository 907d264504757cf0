"""Where rows come from: generators, frames in memory or mapped, files of any format.

State: {"shard", "row"}, the next row to read, and for files a "mark", where its block begins.
Frames and files are opened there; a Python generator has to run up to there.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, islice
from logging import getLogger
from typing import Any, TypeAlias, TypeVar

import numpy as np
import pyarrow as pa

from enfold.data.features import Features
from enfold.data.frame import Frame
from enfold.data.sources import Position, Source
from enfold.data.sources.blocks import Mark
from enfold.data.streaming import arguments
from enfold.data.streaming.node import Chunk, Cursor, Node, State, even, shard_numbers

_log = getLogger(__name__)
T = TypeVar("T", bound="Origin")
Piece: TypeAlias = tuple[int, Any, Chunk]  # its first row, where its block begins, the rows
WINDOW = 1000  # rows of a chunk


@dataclass(frozen=True, eq=False)
class Origin(Node):
    """A list of shards."""

    shards: tuple[Any, ...]

    @property
    def num_shards(self) -> int:
        return len(self.shards)

    def _with(self: T, shards: Sequence[Any]) -> T:
        other = copy(self)  # dataclasses.replace would call the constructor of a subclass
        object.__setattr__(other, "shards", tuple(shards))
        return other

    def shuffled(self, generator: np.random.Generator) -> Node:
        order = arguments.order(len(self.shards), deepcopy(generator))
        return self._with([self.shards[number] for number in order])

    def sharded(self, num_shards: int, index: int, contiguous: bool = True) -> Node:
        numbers = shard_numbers(len(self.shards), num_shards, index, contiguous)
        return self._with([self.shards[number] for number in numbers])

    def resharded(self) -> Node:
        return self

    def open(self, state: State = None) -> Cursor:
        return Reading(self, state)

    @abstractmethod
    def read(self, shard: Any, state: dict[str, Any]) -> Iterator[Piece]:
        """The chunks of a shard, from the one with row state["row"] on or from an earlier one."""

    def length(self, shard: Any) -> int:
        """How many rows a shard has, where reading can begin at any of them; else 0."""
        return 0


class Reading(Cursor):
    """One pass over shards, in order."""

    def __init__(self, node: Origin, state: State) -> None:
        self.node = node
        self.start: dict[str, Any] = dict(state or {"shard": 0, "row": 0})
        self.shard: int = self.start["shard"]
        self.row: int = self.start["row"]  # the next row of the shard
        self.mark: Any = self.start.get("mark")
        self.pieces: Iterator[Piece] | None = None

    def chunk(self) -> Chunk | None:
        while self.shard < len(self.node.shards):
            if self.pieces is None:
                shard = self.node.shards[self.shard]
                self.pieces = iter(self.node.read(shard, self._where(0)))
            for first, mark, chunk in self.pieces:
                wanted = chunk[self.row - first:] if self.row > first else chunk
                if len(wanted):
                    self.row, self.mark = first + len(chunk), mark
                    return wanted
            self.shard, self.row, self.mark, self.pieces = self.shard + 1, 0, None, None
        return None

    def state(self, back: int = 0) -> State:
        return self._where(back)

    def advance(self, count: int) -> int:
        if self.shard >= len(self.node.shards):
            return 0
        passed = min(count, self.node.length(self.node.shards[self.shard]) - self.row)
        if passed > 0:
            self.row, self.pieces = self.row + passed, None
        return max(0, passed)

    def _where(self, back: int) -> dict[str, Any]:
        where = {"shard": self.shard, "row": self.row - back}
        return where if self.mark is None else {**where, "mark": self.mark}


@dataclass(frozen=True, eq=False)
class Examples(Origin):
    """Rows that a generator function yields.  shards: its keyword arguments.

    keyed: it yields (key, row).  more: splits the arguments of a shard further.
    """

    function: Callable[..., Any]
    keyed: bool = False
    more: Callable[..., Any] | None = None

    @property
    def arrow(self) -> bool:
        return False

    def read(self, shard: Any, state: dict[str, Any]) -> Iterator[Piece]:
        start = state["row"]
        for row, found in enumerate(islice(self.function(**shard), start, None), start):
            yield row, None, [found[1] if self.keyed else found]

    def resharded(self) -> Node:
        return self._with(_split(self.shards, self.more))


@dataclass(frozen=True, eq=False)
class Tables(Origin):
    """Tables that a generator function yields; as `Examples`."""

    function: Callable[..., Any]
    keyed: bool = False
    more: Callable[..., Any] | None = None

    @property
    def arrow(self) -> bool:
        return True

    def read(self, shard: Any, state: dict[str, Any]) -> Iterator[Piece]:
        first = 0
        for found in self.function(**shard):
            table = found[1] if self.keyed else found
            yield first, None, table
            first += len(table)

    def resharded(self) -> Node:
        return self._with(_split(self.shards, self.more))


@dataclass(frozen=True, eq=False)
class Frames(Origin):
    """A frame.  shards: (start, stop) rows of it."""

    frame: Frame

    @classmethod
    def of(cls, frame: Frame, num_shards: int = 1) -> Frames:
        """In `num_shards` shards, the first ones a row longer where it does not divide."""
        stops = list(accumulate(even(frame.num_rows, num_shards)))
        return cls(tuple(zip([0, *stops], stops, strict=False)), frame)

    @property
    def arrow(self) -> bool:
        return True

    def read(self, shard: Any, state: dict[str, Any]) -> Iterator[Piece]:
        start, stop = shard
        for first in range(start + state["row"], stop, WINDOW):
            yield first - start, None, self.frame.slice(first, min(first + WINDOW, stop))

    def length(self, shard: Any) -> int:
        return int(shard[1] - shard[0])


@dataclass(frozen=True, eq=False)
class Files(Origin):
    """Files of any format.  shards: keyword arguments of `function`, which returns a `Source`.

    A column that later rows of a shard widen is wider from there on; `mark` keeps that too.
    more: splits the arguments of a shard further.
    """

    function: Callable[..., Source]
    more: Callable[..., Any] | None = None

    @classmethod
    def of(cls, source: Source) -> Files:
        """A shard per file of a source."""
        return cls(tuple({"number": number} for number in range(len(source.files))),
                   partial(_file, source))

    @property
    def arrow(self) -> bool:
        return True

    def read(self, shard: Any, state: dict[str, Any]) -> Iterator[Piece]:
        end, mark = state["row"], state.get("mark") or {"file": 0, "before": 0, "at": [0, 0]}
        file, before = mark["file"], mark["before"]  # rows of the shard's files before this one
        source = self.function(**shard)
        if "known" in mark:
            source = _with(source, source.files, Features.from_dict(mark["known"]))
        first = source.features
        start = Position(file, end - before, Mark(*mark["at"]))
        for at, batch in source.positions(start, grow=True):
            if at.file != file:
                file, before = at.file, end
            row, end = before + at.row, before + at.row + batch.num_rows
            mark = {"file": file, "before": before, "at": [at.mark.row, at.mark.offset],
                    **({"known": mark["known"]} if "known" in mark else {})}
            if source.features is not first:
                first, mark["known"] = source.features, source.features.to_dict()
                _log.warning("A column was widened: %s", source.promotions[-1])
            yield row, mark, pa.Table.from_batches([batch])

    def resharded(self) -> Node:
        return self._with(_split(self.shards, self.more))


def _file(source: Source, number: int) -> Source:
    """One file of a source, with the columns that its first file shows."""
    return _with(source, [source.files[number]], source.features)


def _with(source: Source, files: Sequence[Any], known: Features) -> Source:
    return Source(source.reader, files, features=source.asked, columns=source.columns,
                  strict=source.strict, known=known)


def _split(shards: Sequence[Mapping[str, Any]], more: Callable[..., Any] | None) -> list[Any]:
    if more is None:
        return list(shards)
    parts = [part for shard in shards for part in more(**shard)]
    return arguments.single(arguments.merged(parts)) if parts else []
