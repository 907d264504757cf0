"""Plain text, one row a line, paragraph or file, and XML, one row a file.

Line ends are LF, CR LF or CR, all read as LF; nothing else ends a line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from enfold.data.sources.blocks import (
    BOM,
    SIZE,
    Mark,
    Piece,
    Readable,
    ahead,
    blocks,
    line_of,
    newline_cut,
    utf8,
)
from enfold.data.sources.opening import DataFile, not_text
from enfold.data.sources.source import Reader
from enfold.errors import ArgumentError, unknown_arguments

LF = 10
SAMPLES = ("line", "paragraph", "document")


class Text(Reader):
    """sample_by: "line", "paragraph" (parted by an empty line) or "document".

    keep_linebreaks: leave the LF at each line's end.  name: the column's.
    encoding, encoding_errors: as of `open()`.  chunksize: bytes read at a time.
    """

    def __init__(self, columns: Sequence[str] | None = None, *, name: str = "text",
                 sample_by: str = "line", keep_linebreaks: bool = False,
                 encoding: str | None = None, encoding_errors: str | None = None,
                 chunksize: int = SIZE, **others: Any) -> None:
        if others:
            raise unknown_arguments("text", others, {"sample_by", "keep_linebreaks", "encoding",
                                                     "encoding_errors", "chunksize"})
        if sample_by not in SAMPLES:
            raise ArgumentError(f"text: sample_by={sample_by!r}. Expected one of {SAMPLES}")
        self.name, self.sample_by, self.keep = name, sample_by, keep_linebreaks
        self.encoding, self.errors = encoding, encoding_errors
        self.chunksize = max(int(chunksize), 1)

    def infer(self, file: DataFile) -> pa.Schema:
        return pa.schema([pa.field(self.name, pa.string())])

    def read(self, file: DataFile, hint: pa.Schema, start: Mark, row: int) -> Iterator[Piece]:
        name = hint.names[0] if len(hint) == 1 else self.name  # features= names the column
        stream = self._open(file)
        try:
            if self.sample_by == "document":
                text = self._decoded(file, bytearray(stream.read()).removeprefix(BOM), 0)
                yield Piece(_batch([text], name), 0, Mark(), lambda row: 1)
                return
            paragraphs = self.sample_by == "paragraph"
            cut = _paragraph_cut if paragraphs else newline_cut
            number = start.row
            for data, offset in ahead(blocks(stream, cut, self.chunksize, start.offset)):
                mark = Mark(number, offset)
                text = self._decoded(file, data, offset)
                rows = _paragraphs(text) if paragraphs else self._lines(text)
                batch = _batch(rows, name)
                yield Piece(batch, number, mark, _Line(self, file, offset))
                number += batch.num_rows
        finally:
            stream.close()

    def _open(self, file: DataFile) -> Readable:
        return utf8(file.open(), self.encoding, self.errors, newlines=self.sample_by == "paragraph")

    def line(self, file: DataFile, offset: int) -> int:
        """The number of the line that begins at a byte of the file's text."""
        return line_of(lambda: self._open(file), offset)

    def _decoded(self, file: DataFile, data: bytearray, offset: int) -> str:
        try:
            return _unified(data).decode()
        except UnicodeDecodeError as error:
            line = self.line(file, offset) + data.count(b"\n", 0, error.start)
            raise not_text(f"{file}, line {line}", error) from error

    def _lines(self, text: str) -> list[str]:
        lines = text.split("\n")
        last = lines.pop()
        if self.keep:
            lines = [line + "\n" for line in lines]
        return [*lines, last] if last else lines


class Xml(Text):
    """One row a file, its text in the column `xml`.  encoding, encoding_errors: as of `open()`."""

    def __init__(self, columns: Sequence[str] | None = None, *, encoding: str | None = None,
                 encoding_errors: str | None = None, **others: Any) -> None:
        if others:
            raise unknown_arguments("xml", others, {"encoding", "encoding_errors"})
        super().__init__(name="xml", sample_by="document", encoding=encoding,
                         encoding_errors=encoding_errors)


@dataclass(frozen=True, slots=True)
class _Line:
    reader: Text
    file: DataFile
    offset: int

    def __call__(self, row: int) -> int | None:
        first = self.reader.line(self.file, self.offset)
        return first + row if self.reader.sample_by == "line" else first


def _batch(rows: list[str], name: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(rows, pa.string())], names=[name])


def _unified(data: bytearray) -> bytearray:
    if b"\r" not in data:
        return data
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _paragraph_cut(data: bytes | bytearray, final: bool) -> int:
    """Up to where splitting at empty lines does not depend on what follows."""
    if final:
        return len(data)
    end = len(data)
    while (found := data.rfind(b"\n\n", 0, end)) >= 0:
        start = found
        while start and data[start - 1] == LF:
            start -= 1
        if found + 2 < len(data):  # the run of line ends is over; pairs of it part paragraphs
            return start + (found + 2 - start) // 2 * 2
        end = start
    return 0


def _paragraphs(text: str) -> list[str]:
    return [part for part in text.split("\n\n") if part]
