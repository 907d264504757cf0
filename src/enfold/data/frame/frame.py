"""`Frame`: columns of one length, each an Arrow column behind row numbers, or as it is.

    text   data ─ 1M rows in a mapped file     rows ─ [7, 2, 9, ..]   after a shuffle
    n      data ─ what a map added after it    rows ─ None

Selecting, shuffling and filtering change the row numbers only; adding, dropping and renaming
columns share all others.  Row numbers are read with a gather, where they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, cast

import numpy as np
import pyarrow as pa

from enfold.data.frame.gather import Rows, gather, joined

_SMALL = 16 << 20  # bytes; a column up to this is joined into one chunk when it is gathered from


class Piece(NamedTuple):
    """Rows of a column of an Arrow file."""

    path: str
    name: str
    start: int
    length: int


@dataclass(frozen=True, eq=False, slots=True)
class Column:
    """Arrow data, and which rows of it, in which order (None: all as they are).

    files: where the data is, if it is in files, so that another process may map it too.
    """

    data: pa.ChunkedArray
    rows: Rows | None = None
    files: tuple[Piece, ...] | None = None
    joined: list[pa.ChunkedArray] = field(default_factory=list, repr=False)

    def slice(self, start: int, count: int) -> Column:
        """Rows of the data, zero-copy; there must be no row numbers."""
        return Column(self.data.slice(start, count), None, _cut(self.files, start, count))

    def behind(self, rows: Rows) -> Column:
        """The same data behind these row numbers."""
        return Column(self.data, rows, self.files, self.joined)

    def whole(self) -> pa.ChunkedArray:
        """The data to gather from: in one chunk where that costs little memory."""
        if self.data.num_chunks > 1 and not self.joined and _small(self.data):
            chunk = joined(self.data.chunks, self.data.type)
            self.joined.append(pa.chunked_array([chunk], self.data.type))
        return self.joined[0] if self.joined else self.data


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """Columns by name.  holds: what must live as long as the data does, such as leases of files."""

    columns: Mapping[str, Column]
    num_rows: int
    holds: tuple[Any, ...] = ()

    @classmethod
    def of(cls, table: pa.Table | pa.RecordBatch, holds: Iterable[Any] = (),
           path: str | None = None) -> Frame:
        """The columns of a table; path: the file that it is a map of."""
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        columns = {}
        for number, name in enumerate(table.column_names):
            files = (Piece(path, name, 0, table.num_rows),) if path is not None else None
            columns[name] = Column(table.column(number), None, files)
        return cls(columns, table.num_rows, tuple(holds))

    @property
    def column_names(self) -> list[str]:
        """Names in order."""
        return list(self.columns)

    @property
    def contiguous(self) -> bool:
        """Whether no column is behind row numbers."""
        return all(column.rows is None for column in self.columns.values())

    @property
    def nbytes(self) -> int:
        """Bytes of the data that it refers to, row numbers aside."""
        return sum(int(column.data.nbytes) for column in self.columns.values())

    # -- reading

    def slice(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows start to stop; zero-copy where there are no row numbers."""
        start, stop = max(0, start), max(0, min(stop, self.num_rows))
        count = max(0, stop - start)
        return self._read(columns, lambda data: data.slice(start, count),
                          lambda rows: rows[start:start + count], count)

    def take(self, indices: Rows, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of these numbers, which must be within 0 to num_rows."""
        return self._read(columns, None, lambda rows: rows[indices], len(indices), indices)

    def table(self, columns: Sequence[str] | None = None) -> pa.Table:
        """All rows."""
        return self._read(columns, lambda data: data, lambda rows: rows, self.num_rows)

    def column(self, name: str) -> pa.ChunkedArray:
        """All rows of a column."""
        return self.table([name]).column(0)

    def batches(self, size: int, start: int = 0, stop: int | None = None,
                columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Tables of `size` rows, the last one shorter."""
        stop = self.num_rows if stop is None else min(stop, self.num_rows)
        for first in range(start, stop, size):
            yield self.slice(first, min(first + size, stop), columns)

    def _read(self, names: Sequence[str] | None, plain: Callable[[Any], Any] | None,
              narrowed: Callable[[Rows], Rows], count: int, direct: Rows | None = None) -> pa.Table:
        """A table of columns, those behind the same row numbers gathered together."""
        names = self.column_names if names is None else names
        found: dict[str, Any] = {}
        behind: dict[int, list[str]] = {}
        for name in names:
            column = self.columns[name]
            if column.rows is None and plain is not None:
                found[name] = plain(column.data)
            else:
                behind.setdefault(id(column.rows), []).append(name)
        for group in behind.values():
            rows = self.columns[group[0]].rows
            numbers = direct if rows is None else narrowed(rows)
            data = [self.columns[name].whole() for name in group]
            found.update(zip(group, gather(data, cast(Rows, numbers)), strict=True))
        return table_of({name: found[name] for name in names}, count)

    # -- changing

    def select(self, indices: Rows | range) -> Frame:
        """These rows, in this order; a range of step 1 is a slice."""
        if isinstance(indices, range) and indices.step == 1:
            start, count = indices.start, len(indices)
            if start == 0 and count == self.num_rows:
                return self
            return self._with_rows(lambda column: column.slice(start, count),
                                   lambda rows: rows[start:start + count], count)
        numbers = np.asarray(indices, dtype=np.int64)
        return self._with_rows(lambda column: column.behind(numbers),
                               lambda rows: rows[numbers], len(numbers))

    def _with_rows(self, plain: Callable[[Column], Column], narrowed: Callable[[Rows], Rows],
                   count: int) -> Frame:
        seen: dict[int, Rows] = {}
        columns = {}
        for name, column in self.columns.items():
            if column.rows is None:
                columns[name] = plain(column)
                continue
            if id(column.rows) not in seen:
                seen[id(column.rows)] = narrowed(column.rows)
            columns[name] = column.behind(seen[id(column.rows)])
        return replace(self, columns=columns, num_rows=count)

    def pick(self, names: Iterable[str]) -> Frame:
        """These columns, in this order."""
        return replace(self, columns={name: self.columns[name] for name in names})

    def rename(self, names: Mapping[str, str]) -> Frame:
        """Columns under other names; those not in `names` keep theirs."""
        return replace(self, columns={names.get(name, name): column
                                      for name, column in self.columns.items()})

    def put(self, columns: Mapping[str, Column | pa.ChunkedArray | pa.Array],
            holds: Iterable[Any] = ()) -> Frame:
        """With these columns put in the place of those of the same name, new ones at the end."""
        fresh = {name: column if isinstance(column, Column) else Column(_chunked(column))
                 for name, column in columns.items()}
        return replace(self, columns={**self.columns, **fresh}, holds=(*self.holds, *holds))

    def flat(self) -> Frame:
        """Without row numbers: what is behind them is gathered, in memory."""
        if self.contiguous:
            return self
        return Frame.of(self.table(), self.holds)

    # -- joining

    @classmethod
    def below(cls, frames: Sequence[Frame]) -> Frame:
        """Rows after rows; all must have the same columns of the same types."""
        if len(frames) == 1:
            return frames[0]
        columns = {name: _stacked([frame.columns[name] for frame in frames])
                   for name in frames[0].columns}
        if any(column.rows is not None for column in columns.values()):
            _share_rows(columns)
        holds = tuple({id(hold): hold for frame in frames for hold in frame.holds}.values())
        return cls(columns, sum(frame.num_rows for frame in frames), holds)

    @classmethod
    def beside(cls, frames: Sequence[Frame]) -> Frame:
        """Columns beside columns; all must have as many rows."""
        columns = {name: column for frame in frames for name, column in frame.columns.items()}
        holds = tuple({id(hold): hold for frame in frames for hold in frame.holds}.values())
        return cls(columns, frames[0].num_rows, holds)


def table_of(columns: Mapping[str, Any], count: int) -> pa.Table:
    """A table of columns by name; without columns it still has `count` rows."""
    if not columns:
        return pa.table({"": pa.nulls(count)}).select([])
    fields = [pa.field(name, column.type) for name, column in columns.items()]
    return pa.Table.from_arrays([_chunked(column) for column in columns.values()],
                                schema=pa.schema(fields))


def _chunked(column: Any) -> pa.ChunkedArray:
    return column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column],
                                                                              column.type)


def _small(data: pa.ChunkedArray) -> bool:
    return int(data.nbytes) <= _SMALL


def _stacked(columns: Sequence[Column]) -> Column:
    """Columns one below the other; row numbers count on."""
    arrow = columns[0].data.type
    data = pa.chunked_array([chunk for column in columns for chunk in column.data.chunks], arrow)
    known = [column.files for column in columns if column.files is not None]
    files = tuple(piece for pieces in known for piece in pieces) \
        if len(known) == len(columns) else None
    if all(column.rows is None for column in columns):
        return Column(data, None, files)
    starts = np.cumsum([0, *(len(column.data) for column in columns)])
    rows = [(np.arange(len(column.data)) if column.rows is None else column.rows) + start
            for column, start in zip(columns, starts, strict=False)]
    return Column(data, np.concatenate(rows), files)


def _cut(files: tuple[Piece, ...] | None, start: int, count: int) -> tuple[Piece, ...] | None:
    """The pieces of rows start to start + count."""
    if files is None:
        return None
    found, first = [], 0
    for piece in files:
        low, high = max(start, first), min(start + count, first + piece.length)
        if low < high:
            found.append(piece._replace(start=piece.start + low - first, length=high - low))
        first += piece.length
    return tuple(found) or None


def _share_rows(columns: dict[str, Column]) -> None:
    """Let equal row numbers be one object, so that they are gathered together."""
    kept: list[Rows] = []
    for name, column in columns.items():
        if column.rows is None:
            continue
        same = next((rows for rows in kept if np.array_equal(rows, column.rows)), None)
        if same is None:
            kept.append(column.rows)
        else:
            columns[name] = column.behind(same)
