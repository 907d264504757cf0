"""Writing a split: rows or tables in, files of a bounded size out.

    with ShardWriter(name_of, "arrow", features) as writer:
        writer.rows([{"text": "a"}])  or  writer.table(table)
    writer.written.lengths, .bytes, .features

Without features, the first rows show what the columns are; a later row that needs a wider type
widens the column, also in what was written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Any

import pyarrow as pa

from enfold.data.features import (
    CastError,
    FeatureError,
    Features,
    arrow_type,
    cast_table,
    promote,
    to_array,
)
from enfold.data.features.build import infer
from enfold.data.features.errors import shown
from enfold.data.frame.files import BYTES, ROWS, one_batch
from enfold.data.io.embedding import embedded
from enfold.data.io.parquet import ParquetFile

_GROUP = 100_000_000  # bytes of a row group
Opener = Callable[[str], IO[bytes]]  # a name -> a file to write to


@dataclass
class Written:
    """What was written: the rows of each file, bytes of Arrow data, the columns."""

    lengths: list[int] = field(default_factory=list)
    bytes: int = 0
    features: Features | None = None


class ShardWriter:
    """Writes the files `name_of(0)`, `name_of(1)`, ...

    kind: "arrow" (a stream) or "parquet", where files that are named are embedded.  batch: rows
    of a record batch (default: as they come, in large ones).  limit: bytes after which the next
    file begins.  open: opens a name for writing.  reread: the table in a file that was written.
    """

    def __init__(self, name_of: Callable[[int], str], kind: str, features: Features | None, *,
                 batch: int | None = None, limit: int | None = None, open: Opener | None = None,
                 reread: Callable[[str], pa.Table] | None = None) -> None:
        self.name_of, self.kind, self.limit = name_of, kind, limit
        self.given, self.batch = features, batch
        self.written = Written(features=features)
        self._schema = pa.schema([]) if features is None else features.arrow_schema
        self._open = open or (lambda name: pa.OSFile(name, "wb"))
        self._reread = reread
        self._tables: list[pa.Table] = []
        self._held = self._size = self._length = 0  # rows and bytes that wait; rows of the file
        self._in_file = 0  # bytes of this file
        self._sink: Any = None
        self._writer: Any = None

    def rows(self, rows: list[Mapping[str, Any]]) -> None:
        """Write rows, dicts of what the columns take, as one record batch or part of one."""
        if not rows:
            return
        self._turn()
        columns = columns_of(rows)
        if self.given is None:
            arrays = self._shown(columns, len(rows))
        else:
            if more := sorted(columns.keys() - self.given.keys()):
                raise FeatureError(f"rows have the columns {more}, which are not among the "
                                   f"features {list(self.given)}. Do: add them to features, or "
                                   f"leave them out of the rows")
            empty = [None] * len(rows)
            arrays = {name: to_array(columns.get(name, empty), feature, column=name)
                      for name, feature in self.given.items()}
        self._take(pa.table(arrays) if arrays else _no_columns(len(rows)))

    def table(self, table: pa.Table) -> None:
        """Write a table.  Raises CastError where it does not fit the columns."""
        self._turn()
        self._take(table)

    def close(self) -> Written:
        """Write what waits, and end the last file; there is one even without rows.

        Raises FeatureError if neither features nor rows have told what the columns are.
        """
        if self.written.features is None:
            raise FeatureError("there are no rows to show what the columns are. Do: pass "
                               "features=, or yield at least one row")
        self._end()
        return self.written

    def _turn(self) -> None:
        """Begin the next file where this one is full."""
        if self.limit is not None and self._in_file > self.limit:
            self._end()

    def _shown(self, values: dict[str, list[Any]], rows: int) -> dict[str, Any]:
        """The columns as those before, which are widened to what these values show."""
        known = self.written.features or Features()
        wide, arrays = Features(known), {}
        for name, column in values.items():
            if name in known:
                arrays[name] = to_array(column, known[name], column=name, required=False)
            if name not in known or arrays[name].type != arrow_type(known[name]):
                found = infer(column, name)
                wide[name] = promote(known[name], found, column=name) if name in known else found
                arrays[name] = to_array(column, wide[name], column=name)
        for name in wide.keys() - values.keys():
            arrays[name] = pa.nulls(rows, arrow_type(wide[name]))
        self._widen(wide)
        return {name: arrays[name] for name in wide}

    def _take(self, table: pa.Table) -> None:
        if self.written.features is None:
            self._widen(Features.from_arrow_schema(table.schema))
        features = self.written.features or Features()
        if table.schema != self._schema:
            table = cast_table(table, features)
        if self.kind == "parquet":
            table = embedded(table, features)
        size = table.nbytes
        self.written.bytes += size
        self._in_file += size
        if self._held and self._full(len(table), size):
            self._flush()
        self._tables.append(table)
        self._held, self._size = self._held + len(table), self._size + size
        if self.batch is not None or self._full():
            self._flush()

    def _full(self, rows: int = 0, size: int = 0) -> bool:
        """Whether what waits, and so much more, fills a record batch or a row group."""
        if self.kind == "parquet":
            return self._size + size > _GROUP
        return self._held + rows > ROWS or self._size + size > BYTES

    def _flush(self) -> None:
        if not self._tables:
            return
        tables, self._tables, self._held, self._size = self._tables, [], 0, 0
        if self._writer is None:
            self._begin()
        self._length += sum(map(len, tables))
        if self.kind == "parquet":
            self._writer.add(pa.concat_tables(tables))
            return
        batch = one_batch(tables, self._schema)
        step = self.batch or ROWS
        for start in range(0, batch.num_rows, step):
            self._writer.write_batch(batch.slice(start, step))

    def _begin(self) -> None:
        self._sink = self._open(self.name_of(len(self.written.lengths)))
        if self.kind == "parquet":
            self._writer = ParquetFile(self._sink, self.written.features or Features())
        else:
            self._writer = pa.ipc.new_stream(self._sink, self._schema)

    def _end(self) -> None:
        self._flush()
        if self._writer is None:
            if self.written.lengths and not self._length:
                return
            self._begin()
        self._writer.close()
        self._sink.close()
        self.written.lengths.append(self._length)
        self._writer, self._length, self._in_file = None, 0, 0

    def _widen(self, features: Features) -> None:
        """Have the columns be these, also in what was written."""
        if features == self.written.features:
            return
        if self._tables or self._writer is not None:
            self._end()
        self.written.features, self._schema = features, features.arrow_schema
        for number in range(len(self.written.lengths)):
            self.rewrite(number, features)

    def rewrite(self, number: int, features: Features) -> None:
        """Write a file once more with wider columns."""
        name = self.name_of(number)
        if self._reread is None:
            raise CastError(f"{name} would have to be written again as {features}, and can't be "
                            f"read where it is. Do: pass features=")
        table = cast_table(self._reread(name), features, fill_missing=True)
        wider = f"{name}.wider"  # the table may be a map of the file
        with ShardWriter(lambda _: wider, self.kind, features, batch=self.batch) as again:
            again.table(table)
        os.replace(wider, name)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if error is None:
            self.close()
        elif self._writer is not None:
            with suppress(OSError, pa.ArrowException):  # what went wrong first is raised
                self._writer.close()
                self._sink.close()


def together(first: Features, second: Features) -> Features:
    """The columns of both, each with a feature that holds the values of both."""
    names = dict.fromkeys([*first, *second])
    return Features({name: promote(first[name], second[name], column=name)
                     if name in first and name in second else first.get(name, second.get(name))
                     for name in names})


def columns_of(rows: list[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows by column; what a row lacks is None.  Raises FeatureError for rows that are no dicts."""
    if odd := [row for row in rows if not isinstance(row, Mapping)]:
        raise FeatureError(f"a row is a {type(odd[0]).__name__}: {shown(odd[0])}. Expected a dict "
                           f"with a value per column")
    names = list(rows[0])
    try:
        if set(map(len, rows)) == {len(names)}:
            return {name: [row[name] for row in rows] for name in names}
    except KeyError:  # as many columns, but others
        pass
    every = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in every}


def _no_columns(rows: int) -> pa.Table:
    """A table without columns that has rows."""
    return pa.table({"": pa.nulls(rows)}).select([])
