"""Chunks as the rows and batches that users and their functions see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from operator import length_hint
from typing import Any

import pyarrow as pa

from enfold.data.features import Features, cast_table, to_array
from enfold.data.formatting import View, get_formatter, to_list, to_rows
from enfold.data.streaming.node import Batcher, Chunk, Cursor, Node, Over, Remaking, Row, State

WINDOW = 1000  # rows decoded at once
TABLES = ("arrow", "pandas", "polars")


class Presenter:
    """The rows of a node in a format: "numpy", "torch", "arrow", "pandas", ..; None: Python values.

    features: what the dataset says the columns are; None: what the node says, or the data.
    """

    def __init__(self, node: Node, features: Features | None, kind: str | None) -> None:
        self.typed = node.features is not None and features in (None, node.features)
        self.features = node.features if features is None else features
        self.kind = kind
        self.schema: pa.Schema | None = None
        self.tensors: Callable[[Any], Any] | None = None
        if kind is not None and kind not in TABLES:
            formatter: Any = get_formatter(kind)
            self.tensors = formatter.recursive_tensorize
        self.plain = self.tensors is None and (self.typed or not self.features)  # rows stay

    def windows(self, chunk: Chunk) -> Iterator[list[Any]]:
        """The rows of a chunk: dicts, of tensors in such a format, or tables of one row.

        Some at a time, as many as are decoded at once.
        """
        if not isinstance(chunk, list):
            table = self.fit(chunk)
            for start in range(0, len(table), self.window):
                yield self.view.rows(table.slice(start, self.window))
        elif self.plain:
            yield chunk
        else:
            for row in chunk:
                yield [self._row(row)]

    def batch(self, chunk: Chunk) -> Any:
        """All rows of a chunk together: a dict of columns, or a table."""
        if not isinstance(chunk, list):
            table = self.fit(chunk)
            return self.view.batch(table)
        columns = transposed(chunk if self.typed or not self.features
                             else [self._encoded(row) for row in chunk])
        return self.tensors(columns) if self.tensors else columns

    def fit(self, table: pa.Table) -> pa.Table:
        """A table with the columns that the features say; `view` is for that from then on."""
        if not self.features:
            if self.schema is None or not table.schema.equals(self.schema):
                self._show(Features.from_arrow_schema(table.schema), table.schema)
            return table
        if self.schema is None:
            self._show(self.features, self.features.arrow_schema)
        fits = table.schema.equals(self.schema)
        return table if fits else cast_table(table, self.features, fill_missing=True)

    def _show(self, features: Features, schema: pa.Schema) -> None:
        self.view, self.schema = View(features, self.kind), schema
        self.window = 1 if any(features._column_requires_decoding.values()) else WINDOW

    def _row(self, row: Row) -> Row:
        row = row if self.typed or not self.features else self._encoded(row)
        return self.tensors(row) if self.tensors else row

    def _encoded(self, row: Row) -> Row:
        assert self.features is not None
        return self.features.decode_example(self.features.encode_example(row))


class RowReader:
    """The rows of a cursor one by one, decoded a thousand at a time.

    rows: an iterator; from a window to the next it is Python's own loop, which knows how many rows
    are left.
    """

    def __init__(self, cursor: Cursor, presenter: Presenter) -> None:
        self.cursor, self.presenter = cursor, presenter
        self.latest: Chunk = ()
        self.behind = 0  # rows of the latest chunk that are not in the window
        self.window: Iterator[Any] = iter(())
        self.rows = self._from(None)

    @property
    def left(self) -> int:
        """Rows of the cursor's latest chunk that are still to come."""
        return self.behind + length_hint(self.window)

    def state(self, back: int = 0) -> State:
        """Where the rows still to come begin, and the `back` before them."""
        return self.cursor.state(self.left + back)

    def advance(self, count: int) -> int:
        """As that of a cursor."""
        left = self.left
        if not left:
            return self.cursor.advance(count)
        count = min(count, left)
        self.window = iter(())
        self.rows = self._from(self.latest[len(self.latest) - left + count:])
        return count

    def _from(self, chunk: Chunk | None) -> Iterator[Any]:
        self.behind = 0 if chunk is None else len(chunk)
        return chain.from_iterable(self._windows(chunk))

    def _windows(self, chunk: Chunk | None) -> Iterator[Iterator[Any]]:
        plain = self.presenter.plain
        while True:
            if chunk is None or not len(chunk):
                chunk = self.cursor.chunk()
            if chunk is None:
                return
            self.latest, self.behind = chunk, len(chunk)
            for rows in (chunk,) if plain and type(chunk) is list \
                    else self.presenter.windows(chunk):
                self.behind -= len(rows)
                self.window = iter(rows)
                yield self.window
            chunk = None


@dataclass(frozen=True, eq=False)
class Tabled(Over):
    """Rows as tables of `size`, for formats and functions that take tables.

    known: the features of columns, where the dataset says them.
    """

    known: Features | None
    size: int | None

    @property
    def arrow(self) -> bool:
        return True

    def open(self, state: State = None) -> Cursor:
        return _Tabling(self, state)


class _Tabling(Remaking):

    def __init__(self, node: Tabled, state: State) -> None:
        super().__init__(state)
        self.node = node
        self.rows = Batcher(node.child.open(state and state["child"]))

    def make(self) -> Chunk | None:
        rows = self.rows.take(self.node.size)
        return None if rows is None else tabled(rows, self.node.known)

    def where(self) -> dict[str, Any]:
        return {"child": self.rows.state()}


@dataclass(frozen=True, eq=False)
class Rowed(Over):
    """Tables as rows, as they are stored: for streams of tables among streams of rows."""

    @property
    def arrow(self) -> bool:
        return False

    @property
    def by_row(self) -> bool:
        return True

    def open(self, state: State = None) -> Cursor:
        return _Rowing(self, state)


class _Rowing(Remaking):

    def __init__(self, node: Rowed, state: State) -> None:
        super().__init__(state)
        self.tables = Batcher(node.child.open(state and state["child"]))

    def make(self) -> Chunk | None:
        table = self.tables.take(WINDOW)
        if table is None:
            return None
        return to_rows(tuple(table.column_names), map(to_list, table.columns))

    def where(self) -> dict[str, Any]:
        return {"child": self.tables.state()}


def alike(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Nodes that are put together: all of tables, or all of rows."""
    nodes = tuple(nodes)
    if all(node.arrow for node in nodes):
        return nodes
    return tuple(Rowed(node) if node.arrow else node for node in nodes)


def transposed(rows: list[Row]) -> dict[str, list[Any]]:
    """Rows as columns, in the order in which they appear; what a row lacks is None."""
    if not rows:
        return {}
    names = rows[0].keys()
    if all(row.keys() == names for row in rows):
        return {name: [row[name] for row in rows] for name in names}
    every = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in every}


def untransposed(columns: Any) -> list[Row]:
    """Columns of one length as rows."""
    names = list(columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def tabled(rows: list[Row], features: Features | None) -> pa.Table:
    """Rows as a table; features: of some of its columns."""
    known: Mapping[str, Any] = features or {}
    columns = transposed(rows)
    return pa.table({name: to_array(values, known.get(name), column=name)
                     for name, values in columns.items()})
