"""Columns chosen and renamed, and rows grouped into rows of lists; tables stay tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from enfold.data.features import Features, cast_table
from enfold.data.streaming.node import (
    Batcher,
    Chunk,
    Cursor,
    Over,
    Remaking,
    Row,
    State,
    joined,
)
from enfold.errors import DataError


@dataclass(frozen=True, eq=False)
class Columns(Over):
    """Some of the columns, some under other names.

    keep: these, in this order; None: all.  drop: not these.  names: {old: new}, put last.
    """

    keep: Sequence[str] | None = None
    drop: Sequence[str] = ()
    names: Mapping[str, str] | None = None

    @property
    def features(self) -> Features | None:  # type: ignore[override]
        before = self.child.features
        return None if before is None else Features({
            new: before[old] for new, old in self.chosen(list(before)).items()})

    @property
    def by_row(self) -> bool:
        return self.child.by_row or self.keep is None

    def chosen(self, have: Sequence[str]) -> dict[str, str]:
        """The new columns, each with its old name.  Raises DataError."""
        names = self.names or {}
        missing = [name for name in [*(self.keep or ()), *names] if name not in have]
        if missing:
            raise DataError(f"there are no columns {missing}. The dataset has {list(have)}")
        taken = [new for new in names.values() if new in have]
        if taken:
            raise DataError(f"rename_columns: columns {taken} are there already. The dataset has "
                            f"{list(have)}. Expected new names")
        kept = have if self.keep is None else self.keep
        chosen = {name: name for name in kept if name not in self.drop and name not in names}
        return {**chosen, **{new: old for old, new in names.items()}}

    def open(self, state: State = None) -> Cursor:
        return _Choosing(self, self.child.open(state))


class _Choosing(Cursor):

    def __init__(self, node: Columns, cursor: Cursor) -> None:
        self.node, self.cursor = node, cursor
        self.have: Sequence[str] | None = None
        self.chosen: dict[str, str] = {}

    def chunk(self) -> Chunk | None:
        chunk = self.cursor.chunk()
        if chunk is None:
            return None
        if isinstance(chunk, list):
            return [self._row(row) for row in chunk]
        self._look(chunk.column_names)
        return chunk.select(list(self.chosen.values())).rename_columns(list(self.chosen))

    def state(self, back: int = 0) -> State:
        return self.cursor.state(back)

    def advance(self, count: int) -> int:
        return self.cursor.advance(count)

    def _look(self, have: Sequence[str]) -> None:
        if have != self.have:
            self.have, self.chosen = have, self.node.chosen(have)

    def _row(self, row: Row) -> Row:
        self._look(list(row))
        return {new: row[old] for new, old in self.chosen.items()}


@dataclass(frozen=True, eq=False)
class Fitted(Over):
    """Tables with the columns of these features, as others have them that they are put with."""

    known: Features

    def open(self, state: State = None) -> Cursor:
        return _Fitting(self, self.child.open(state))


class _Fitting(Cursor):

    def __init__(self, node: Fitted, cursor: Cursor) -> None:
        self.known, self.cursor = node.known, cursor
        self.schema = node.known.arrow_schema

    def chunk(self) -> Chunk | None:
        chunk = self.cursor.chunk()
        if chunk is None or isinstance(chunk, list) or chunk.schema.equals(self.schema):
            return chunk
        return cast_table(chunk, self.known, fill_missing=True)

    def state(self, back: int = 0) -> State:
        return self.cursor.state(back)

    def advance(self, count: int) -> int:
        return self.cursor.advance(count)


@dataclass(frozen=True, eq=False)
class Grouped(Over):
    """Tables of rows that each hold `size` rows as lists.

    keys: groups are runs of rows with the same values in these columns, instead.  counted: a
    shuffle counts the groups.
    """

    size: int | None
    drop_last: bool = False
    keys: Sequence[str] = ()
    counted: bool = False

    @property
    def arrow(self) -> bool:
        return True

    @property
    def by_row(self) -> bool:
        return self.counted

    def open(self, state: State = None) -> Cursor:
        return (_Runs if self.keys else _Groups)(self, state)


class _Groups(Remaking):

    def __init__(self, node: Grouped, state: State) -> None:
        super().__init__(state)
        self.node = node
        self.input = Batcher(node.child.open(state and state["child"]))

    def where(self) -> State:
        return {"child": self.input.state()}

    def make(self) -> Chunk | None:
        table = self.input.take(self.node.size)
        size = self.node.size
        if table is None or (self.node.drop_last and size and len(table) < size):
            return None
        return grouped(table, [0, len(table)])


class _Runs(_Groups):
    """Runs of equal keys, also over the bounds of tables."""

    def make(self) -> Chunk | None:
        parts: list[pa.Table] = []
        while self.input.fill():
            table = self.input.left
            run = run_length(table, self.node.keys, parts[0] if parts else table)
            run = run if parts else max(run, 1)  # NaN is unequal to itself
            if run:
                parts.append(self.input.take(run))
            if run < len(table):
                break
        whole = joined(parts) if parts else None
        return None if whole is None else grouped(whole, [0, len(whole)])


def run_length(table: pa.Table, keys: Sequence[str], first: pa.Table) -> int:
    """How many rows, from the start, have the keys of the first row of `first`."""
    length = len(table)
    for key in keys:
        differs = pc.fill_null(pc.not_equal(table[key], first[key][0]), True)
        if not first[key][0].is_valid:
            differs = pc.is_valid(table[key])
        found = pc.index(differs, True).as_py()
        length = length if found < 0 else min(length, found)
    return length


def grouped(table: pa.Table, offsets: list[int]) -> pa.Table:
    """A row per group, each column a list of its values."""
    bounds = pa.array(offsets, pa.int32())
    lists = [pa.ListArray.from_arrays(bounds, _whole(column)) for column in table.columns]
    return pa.Table.from_arrays(lists, names=table.column_names)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


