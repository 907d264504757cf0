"""JSON: one object a line, arrays of objects, objects over many lines, or one field of a file.

Blocks of lines are parsed by pyarrow with the types the schema says; a block that it refuses is
read again by Python, which also reads arrays and objects that are not one a line.

What has no common type in the first 10 MB (1 and "x", objects with different keys) is kept as JSON
text, the type `Json()`, as in `datasets`; on_mixed_types=None makes text of numbers instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa
from pyarrow import types as t

from enfold.data.sources import jsontables, jsonvalues
from enfold.data.sources import schema as schemas
from enfold.data.sources.blocks import (
    SIZE,
    Mark,
    Piece,
    Readable,
    ahead,
    blocks,
    line_of,
    newline_cut,
    seek,
    utf8,
)
from enfold.data.sources.jsonvalues import BadJson, Values
from enfold.data.sources.opening import DataFile, not_text
from enfold.data.sources.source import START, Reader
from enfold.errors import ArgumentError, DataFileError, nearest, unknown_arguments

ROWS = 10_000  # of a table made from Python values
KNOWN = {"field", "encoding", "encoding_errors", "chunksize", "on_mixed_types"}
WITHOUT_EFFECT = {"use_threads", "block_size", "newlines_in_values", "parse_agent_traces"}


class Json(Reader):
    """field: read what this key of one object holds.  columns: keep only these.

    encoding, encoding_errors: as of `open()`.  chunksize: bytes read at a time.
    on_mixed_types: "use_json" or None, see above.
    """

    def __init__(self, columns: Sequence[str] | None = None, *, field: str | None = None,
                 encoding: str | None = None, encoding_errors: str | None = None,
                 chunksize: int = SIZE, on_mixed_types: str | None = "use_json",
                 **others: Any) -> None:
        if unknown := [name for name in others if name not in WITHOUT_EFFECT]:
            raise unknown_arguments("json", unknown, KNOWN)
        if on_mixed_types not in ("use_json", None):
            raise ArgumentError(f"json: on_mixed_types={on_mixed_types!r}. Expected 'use_json' or "
                                f"None")
        self.columns, self.field, self.chunksize = columns, field, max(int(chunksize), 1)
        self.encoding, self.errors, self.mixed = encoding, encoding_errors, on_mixed_types

    def infer(self, file: DataFile) -> pa.Schema:
        for piece in self._pieces(file, pa.schema([]), START, head=True):
            return piece.batch.schema
        return pa.schema([])

    def read(self, file: DataFile, hint: pa.Schema, start: Mark, row: int) -> Iterator[Piece]:
        return self._pieces(file, hint, start, head=False)

    def _pieces(self, file: DataFile, hint: pa.Schema, start: Mark, head: bool) -> Iterator[Piece]:
        found = self._field(file, hint) if self.field is not None else self._whole(
            file, hint, start, head)
        for piece in found:
            names = piece.batch.schema.names
            keep = [name for name in names if self.columns is None or name in self.columns]
            yield Piece(piece.batch.select(keep), piece.row, piece.mark, piece.line)

    def _whole(self, file: DataFile, hint: pa.Schema, start: Mark, head: bool) -> Iterator[Piece]:
        stream = self._open(file)
        try:
            size = max(self.chunksize, SIZE) if head else self.chunksize
            found = blocks(stream, newline_cut, size, start.offset)
            flow, row = found if head else ahead(found), start.row
            for data, offset in flow:
                mark = Mark(row, offset)
                lined = None if _is_array(data) else self._lines(file, mark, data, hint, head)
                if lined is None:  # not one object a line: from here on value by value
                    flow.close()
                    yield from self._values(file, hint, mark)
                    return
                at = 0
                for batch in lined.to_batches():
                    yield Piece(batch, row + at, mark, _Lines(self, file, offset, data, at))
                    at += batch.num_rows
                row += at
        finally:
            stream.close()

    def _open(self, file: DataFile) -> Readable:
        return utf8(file.open(), self.encoding, self.errors)

    def line(self, file: DataFile, offset: int) -> int:
        """The number of the line that begins at a byte of the file's text."""
        return line_of(lambda: self._open(file), offset)

    def _lines(self, file: DataFile, mark: Mark, data: bytearray, hint: pa.Schema,
               head: bool) -> Any:
        """A block of lines as a table, or None where they are not one object a line."""
        if not schemas.paths_of(hint, schemas.is_json):
            try:
                read = jsontables.parse(data, hint)
                read.validate(full=True)  # the parser takes bytes that are no UTF-8
                if not (head and any(t.is_nested(kind) for kind in read.schema.types)):
                    return read  # objects with different keys are looked for in the head alone
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                if "specified twice" in str(error):
                    number, key = jsonvalues.repeated_key(data)
                    line = self.line(file, mark.offset) + number
                    raise DataFileError(f"{file}, line {line}: the key {key!r} is there twice. "
                                        f"Expected each key once in an object") from error
        try:
            rows = [json.loads(line) for line in data.decode().split("\n") if line.strip()]
        except UnicodeDecodeError as error:
            line = self.line(file, mark.offset) + data.count(b"\n", 0, error.start)
            raise not_text(f"{file}, line {line}", error) from error
        except ValueError:
            return None
        if not all(isinstance(row, dict) for row in rows):
            return None
        return self._table(rows, hint, file, _Lines(self, file, mark.offset, data, 0))

    def _values(self, file: DataFile, hint: pa.Schema, mark: Mark) -> Iterator[Piece]:
        """The rows from a block on, one value after the other."""
        stream = self._open(file)
        try:
            seek(stream, mark.offset)
            values = iter(Values(stream, line=self.line(file, mark.offset)))
            row = mark.row
            while some := list(islice(values, ROWS)):
                rows = _as_rows([value for _, value in some], file, some[0][0])
                lines = [line for line, _ in some]
                for batch in self._table(rows, hint, file, lines.__getitem__).to_batches():
                    yield Piece(batch, row, mark, lines.__getitem__)
                    lines = lines[batch.num_rows:]
                    row += batch.num_rows
        except BadJson as error:
            raise DataFileError(f"{file}, line {error.line}: not JSON: {error}. Expected one "
                                f"object a line, or an array of objects. Do: mend or remove it"
                                ) from error
        finally:
            stream.close()

    def _field(self, file: DataFile, hint: pa.Schema) -> Iterator[Piece]:
        stream = self._open(file)
        try:
            whole = json.loads(stream.read())
        except json.JSONDecodeError as error:
            raise DataFileError(f"{file}, line {error.lineno}: not JSON: {error.msg}") from error
        finally:
            stream.close()
        if not isinstance(whole, dict) or self.field not in whole:
            keys = list(whole) if isinstance(whole, dict) else []
            raise DataFileError(f"{file}: has no field {self.field!r}"
                                f"{nearest(str(self.field), keys)}. Expected one of {keys[:20]}")
        content = whole[self.field]
        if isinstance(content, dict):
            content = _transposed(content, f"{file}, field {self.field!r}")
        if not isinstance(content, list):
            raise DataFileError(f"{file}: field {self.field!r} is a {type(content).__name__}. "
                                f"Expected a list of objects, or an object of columns")
        rows = _as_rows(content, file, 1)
        for start in range(0, len(rows), ROWS):
            for batch in self._table(rows[start:start + ROWS], hint, file).to_batches():
                yield Piece(batch, start, START)
                start += batch.num_rows

    def _table(self, rows: list[dict[str, Any]], hint: pa.Schema, file: DataFile,
               line: Callable[[int], int] | None = None) -> Any:
        try:
            return self._typed(rows, hint)
        except pa.ArrowInvalid as error:
            for number, row in enumerate(rows):
                if not jsonvalues.is_text(row):
                    at = f"line {line(number)}" if line else f"row {number}"
                    raise DataFileError(f"{file}, {at}: holds half of a surrogate pair, like "
                                        f"\\ud800, which is no text. Do: mend or remove it"
                                        ) from error
            raise

    def _typed(self, rows: list[dict[str, Any]], hint: pa.Schema) -> Any:
        head = self.mixed is not None and not len(hint)  # as in `datasets`, all that is mixed
        known = schemas.paths_of(hint, schemas.is_json)
        seen = [] if self.asked else [jsonvalues.example(hint)]
        found = [(path, why) for path, why in jsonvalues.mixed([*seen, *rows], keys=head)
                 if not any(path[:len(above)] == above for above in known)]
        if head:
            return jsontables.table(rows, hint, [path for path, _ in found], [])
        jsons = [path for path, why in found if why == "nested"]
        texts = [path for path, why in found if why == "scalars"]
        return jsontables.table(rows, hint, [*known, *jsons], texts)


class _Lines:
    def __init__(self, reader: Json, file: DataFile, offset: int, data: bytearray,
                 first: int) -> None:
        self.reader, self.file, self.offset, self.data = reader, file, offset, data
        self.first = first

    def __call__(self, row: int) -> int:
        lines = [i for i, line in enumerate(self.data.split(b"\n")) if line.strip()]
        return self.reader.line(self.file, self.offset) + lines[self.first + row]


def _is_array(data: bytearray) -> bool:
    return data[:1024].lstrip().startswith(b"[")


def _as_rows(values: list[Any], file: DataFile, line: int) -> list[dict[str, Any]]:
    """Values as rows: objects are, and a list of anything else is a column `text`."""
    objects = sum(isinstance(value, dict) for value in values)
    if objects == len(values):
        return values
    if objects:
        raise DataFileError(f"{file}, line {line}: some of the values from here on are objects, "
                            f"some are not. Expected objects, one a row")
    return [{"text": value} for value in values]


def _transposed(columns: dict[str, Any], where: str) -> list[dict[str, Any]]:
    lengths = {len(column) for column in columns.values() if isinstance(column, list)}
    if not all(isinstance(column, list) for column in columns.values()) or len(lengths) > 1:
        raise DataFileError(f"{where} is an object whose values are no columns of one length. "
                            f"Expected a list of objects, or an object of lists of one length")
    names = list(columns)
    return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
