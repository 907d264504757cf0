"""CSV and TSV.

Blocks are parsed by pyarrow with the types the schema says.  A block that it refuses is read again
as text, then by Python's csv, and converted column by column: so a short row, `+5` or a value of
another type costs its own block only.  Types, missing values and names of columns are pandas':

    missing          "", NA, NaN, null, None, ... (`dialect.NULLS`)
    int with missing float64, if one is missing in the first 10,000 rows
    dates            stay text
    names            a, a -> a, a.1;  an empty name -> "Unnamed: 2"
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
from pyarrow import types as t

from enfold.data.sources import cells
from enfold.data.sources.blocks import (
    BOM,
    Mark,
    Piece,
    Readable,
    ahead,
    blocks,
    line_of,
    utf8,
)
from enfold.data.sources.cells import TEXT
from enfold.data.sources.dialect import Dialect
from enfold.data.sources.headers import header
from enfold.data.sources.opening import DataFile, not_text
from enfold.data.sources.quoting import RecordCut, UnclosedQuote, line_start
from enfold.data.sources.source import START, Reader
from enfold.errors import DataError, DataFileError, nearest

HEAD = 1 << 20  # bytes read at a time to infer types
SIZE = 4 << 20  # bytes parsed at a time: few, which are in a core's cache until they are written


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records of one file, without its header."""

    file: DataFile
    names: list[str]
    data: bytearray
    mark: Mark


class Csv(Reader):
    """pandas' options, see `Dialect`.  columns: read only these."""

    lacking, surplus = "raise", "drop"

    def __init__(self, columns: Sequence[str] | None = None, **options: Any) -> None:
        self.dialect = Dialect.of(options)
        self.columns = columns

    def infer(self, file: DataFile) -> pa.Schema:
        head: Block | None = None
        for block in self._blocks(file, START, min(SIZE, HEAD)):
            head = replace(block, data=head.data + block.data) if head else block
            if len(head.data) >= SIZE or head.data.count(b"\n") > self.dialect.infer_rows:
                break
        if head is None:
            return pa.schema([])
        head = replace(head, data=self._first_rows(head.data))
        return pa.schema(list(self._inferred(head, self._wanted(head))))

    def read(self, file: DataFile, hint: pa.Schema, start: Mark, row: int) -> Iterator[Piece]:
        types: dict[str, Any] = {}
        base, end = start.row, self.dialect.nrows if self.dialect.nrows is not None else 1 << 62
        for block in ahead(self._blocks(file, start)):
            types = types or self._types(block, hint)
            mark, at = replace(block.mark, row=base), 0
            for batch in self._parsed(block, types):
                batch = batch.slice(0, max(end - base - at, 0))
                yield Piece(batch, base + at, mark, _Lines(self, block, at))
                at += batch.num_rows
            base += at
            if base >= end:
                return

    def _blocks(self, file: DataFile, start: Mark,
                size: int | None = None) -> Generator[Block, None, None]:
        """Blocks of records from `start` on, not knowing their rows; the first has the header."""
        names = self._header(file) if start.offset else None
        stream, last = self._open(file), start.offset
        try:
            cut = RecordCut(self.dialect, 0 if start.offset else self.dialect.skiprows)
            for data, offset in blocks(stream, cut, size or SIZE, start.offset):
                used = 0
                if names is None:
                    names, used = header(data, self.dialect, file)
                    del data[:used]
                last = offset + used + len(data)
                yield Block(file, names, data, Mark(0, offset + used))
            if names is None:
                header(b"", self.dialect, file)  # raises: there is none
        except UnclosedQuote as error:
            line = self.line(file, last) - 1 + error.line
            raise DataFileError(f"{file}, line {line}: a quote opens here and never closes. Do: "
                                f"close it, or pass quoting=3 if quotes mean nothing in this file"
                                ) from error
        finally:
            stream.close()

    def line(self, file: DataFile, offset: int) -> int:
        """The number of the line that begins at a byte of the file's text."""
        return line_of(lambda: self._open(file), offset)

    def _open(self, file: DataFile) -> Readable:
        return utf8(file.open(), self.dialect.encoding, self.dialect.encoding_errors)

    def _header(self, file: DataFile) -> list[str]:
        return next((block.names for block in self._blocks(file, START)), [])

    def _wanted(self, block: Block) -> list[str]:
        """The columns to read, in the file's order."""
        names, usecols = block.names, self.dialect.usecols
        wanted = set(names if self.columns is None else self.columns)
        if usecols is not None:
            chosen = {names[c] if isinstance(c, int) and c < len(names) else c for c in usecols}
            if unknown := sorted(map(str, chosen - set(names))):
                raise DataError(f"{block.file} has no column {unknown[0]!r} of usecols="
                                f"{nearest(unknown[0], names)}. Expected some of {names}")
            wanted &= {str(name) for name in chosen}
        return [name for name in names if name in wanted]

    def _types(self, block: Block, hint: pa.Schema) -> dict[str, Any]:
        """What to read each column as: the schema's type, or what its own head shows."""
        wanted = self._wanted(block)
        known = {f.name: parsed_as(f.type) for f in hint if f.name in wanted}
        if unknown := [name for name in wanted if name not in known]:
            head = replace(block, data=self._first_rows(block.data))
            known |= {f.name: f.type for f in self._inferred(head, unknown)}
        return {name: known[name] for name in wanted}

    def _first_rows(self, data: bytearray) -> bytearray:
        end = line_start(data, self.dialect.infer_rows + 100)
        return data[:RecordCut(self.dialect)(data[:end], end == len(data))] or data

    def _inferred(self, head: Block, names: list[str]) -> Iterable[pa.Field]:
        """The type of each column, as pandas takes it from the first rows."""
        if not head.data or head.data.isspace():
            return [pa.field(name, pa.null()) for name in names]
        text = self._text(head, names).slice(0, self.dialect.infer_rows)
        return [pa.field(name, self._column_type(text[name])) for name in names]

    def _column_type(self, text: Any) -> Any:
        found = cells.natural(text.combine_chunks(), self.dialect)
        if t.is_null(found.type):
            return pa.float64()
        if t.is_integer(found.type) and found.null_count:
            return pa.float64() if t.is_signed_integer(found.type) else TEXT
        return found.type

    def _parsed(self, block: Block, types: dict[str, Any]) -> list[pa.RecordBatch]:
        if not block.data or block.data.isspace():
            return []
        try:
            table = self._table(block, types)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            table = self._rescued(block, types)
        return list(table.to_batches())

    def _table(self, block: Block, types: dict[str, Any]) -> pa.Table:
        dialect, data = self.dialect, block.data
        if data.startswith(BOM):  # which is a cell's here, and pyarrow leaves out one
            data = bytearray(BOM) + data
        return pacsv.read_csv(
            pa.BufferReader(data),
            pacsv.ReadOptions(column_names=block.names, block_size=max(
                1 << 20, len(block.data) // pa.cpu_count() + 4096)),  # few large batches
            pacsv.ParseOptions(
                delimiter=dialect.sep, quote_char=dialect.quotechar or False,
                double_quote=dialect.doublequote, escape_char=dialect.escapechar or False,
                newlines_in_values=bool(dialect.quotechar)
                and (dialect.quotechar or "").encode() in block.data,
                ignore_empty_lines=dialect.skip_blank),
            pacsv.ConvertOptions(
                column_types={name: kind for name, kind in types.items() if kind is not None},
                include_columns=list(types), null_values=list(dialect.nulls),
                true_values=list(dialect.trues), false_values=list(dialect.falses),
                strings_can_be_null=True, quoted_strings_can_be_null=True,
                decimal_point=dialect.decimal))

    def _rescued(self, block: Block, types: dict[str, Any]) -> pa.Table:
        text, columns = self._text(block, list(types)), []
        for name, kind in types.items():
            column = text[name].combine_chunks()
            try:
                columns.append(cells.convert(column, kind, self.dialect))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
                columns.append(cells.natural(column, self.dialect))
        return pa.Table.from_arrays(columns, names=list(types))

    def _text(self, block: Block, names: list[str]) -> pa.Table:
        """A block with every cell as it is written, by Python's csv where pyarrow refuses it."""
        try:
            return self._table(block, dict.fromkeys(names, TEXT))
        except pa.ArrowInvalid:
            found, _ = self.rows(block)
        columns = cells.columns(found, len(block.names), self.dialect)
        return pa.Table.from_arrays(columns, names=block.names).select(names)

    def rows(self, block: Block) -> tuple[list[list[str]], list[int]]:
        """A block's records and the lines before each in it, by Python.  Raises DataFileError."""
        try:
            return cells.rows(block.data, len(block.names), self.dialect)
        except cells.BadRecord as error:
            line = self.line(block.file, block.mark.offset) + error.line
            raise DataFileError(f"{block.file}, line {line}: {error}") from error
        except UnicodeDecodeError as error:
            line = self.line(block.file, block.mark.offset)
            line += block.data.count(b"\n", 0, error.start)
            raise not_text(f"{block.file}, line {line}", error) from error


@dataclass(frozen=True, slots=True)
class _Lines:
    reader: Csv
    block: Block
    first: int

    def __call__(self, row: int) -> int | None:
        first = self.reader.line(self.block.file, self.block.mark.offset)
        return first + self.reader.rows(self.block)[1][self.first + row]


def parsed_as(kind: Any) -> Any:
    """What pyarrow's parser reads a column of the schema as; the rest is a cast."""
    direct = (t.is_integer, t.is_floating, t.is_boolean, t.is_string, t.is_large_string, t.is_null,
              t.is_temporal, t.is_decimal)
    return kind if any(test(kind) for test in direct) and not t.is_duration(kind) else TEXT
