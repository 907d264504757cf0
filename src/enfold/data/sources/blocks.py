"""Byte streams cut into blocks of whole records, and the pieces of table made of them.

A reader holds one block at a time, so memory does not depend on the file's size, and every block
is parsed by itself: an error, a retry or a resumed read concerns one block.

    stream  |----- block -----|----- block -----|--- block ---|
            ^ Mark(row, offset): all a reader needs to start here
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TypeVar, cast

import pyarrow as pa

from enfold.errors import DataFileError

T = TypeVar("T")
SIZE = 10 << 20
STEP = 1 << 18  # bytes of one read: a buffer that grows by these keeps its pages
BOM = codecs.BOM_UTF8


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a block begins: rows before it, and bytes (row groups, batches) before it."""

    row: int = 0
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows of one file: `row` is the number of the first, `mark` a place at or before it.

    line: the line of the i-th row in the file, or None where the format has no lines.
    """

    batch: pa.RecordBatch
    row: int
    mark: Mark
    line: Callable[[int], int | None] = lambda row: None


class Readable(Protocol):
    """As much of a file as the readers use."""

    def read(self, size: int = -1, /) -> bytes: ...
    def close(self) -> None: ...


class Transcoded:
    """A stream of text in another encoding, as UTF-8.

    errors: what Python's codecs take: "strict", "replace", "ignore", ...
    newlines: make CR LF and CR an LF.
    """

    def __init__(self, stream: BinaryIO, encoding: str, errors: str, newlines: bool) -> None:
        self.stream = stream
        decoder = codecs.getincrementaldecoder(encoding)(errors)
        self.decoder = io.IncrementalNewlineDecoder(decoder, True) if newlines else decoder

    def read(self, size: int = -1) -> bytes:
        while True:
            raw = self.stream.read(size)
            text = self.decoder.decode(raw, final=not raw or size < 0)
            if text or not raw:
                return text.encode("utf-8", "surrogatepass")

    def close(self) -> None:
        self.stream.close()


def utf8(stream: BinaryIO, encoding: str | None, errors: str | None,
         newlines: bool = False) -> Readable:
    """The stream itself where it is UTF-8 already, else one that is.  Raises DataFileError."""
    try:
        name = codecs.lookup(encoding or "utf-8").name
    except LookupError as error:
        raise DataFileError(f"no encoding is called {encoding!r}. Expected one of Python's, for "
                            f"example 'utf-8', 'latin-1', 'utf-16'") from error
    if name in ("utf-8", "ascii") and (errors or "strict") == "strict" and not newlines:
        return stream
    return Transcoded(stream, name, errors or "strict", newlines)


def seek(stream: Readable, offset: int) -> None:
    """Go to a byte of a stream: at once in a plain file, by reading where it is transformed."""
    if offset and not isinstance(stream, Transcoded):
        raw = cast(BinaryIO, stream)
        if raw.seekable():
            raw.seek(offset)
            return
    while offset > 0:
        got = len(stream.read(min(offset, SIZE)))
        if not got:
            return
        offset -= got


def blocks(stream: Readable, cut: Callable[[bytes | bytearray, bool], int], size: int = SIZE,
           offset: int = 0) -> Generator[tuple[bytearray, int], None, None]:
    """Blocks of about `size` bytes, each with its offset, from `offset` on.

    cut: given what is there, and whether it is all, how many of its bytes are whole records; where
    that is none, more is read.  A byte order mark at the start is left out.
    """
    seek(stream, offset)
    rest, wanted = bytearray(), size
    while True:
        data = _filled(stream, rest, wanted)
        final = len(data) < len(rest) + wanted
        if offset == 0 and data.startswith(BOM):
            del data[:len(BOM)]
            offset = len(BOM)
        length = cut(data, final) if data else 0
        rest, wanted = data[length:], size if length else 2 * wanted
        if length:
            del data[length:]
            yield data, offset
            offset += length
        if final:
            return


def _filled(stream: Readable, start: bytearray, size: int) -> bytearray:
    """`start` and `size` bytes more, in one buffer; fewer at the stream's end."""
    data, end = bytearray(start), len(start) + size
    while len(data) < end and (got := stream.read(min(end - len(data), STEP))):
        data += got
    return data


def ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """The same items, each fetched in a thread while the one before is being used."""
    end = object()
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="enfold-read") as pool:
            following = pool.submit(next, items, end)
            while (item := following.result()) is not end:
                following = pool.submit(next, items, end)
                yield cast(T, item)
    finally:
        items.close()


def line_of(open_stream: Callable[[], Readable], offset: int) -> int:
    """The number of the line that begins at a byte of a stream, by reading up to there."""
    stream, line, endings = open_stream(), 1, 0
    try:
        while offset > 0 and (data := stream.read(min(offset, SIZE))):
            line, endings = line + data.count(b"\n"), endings + data.count(b"\r")
            offset -= len(data)
    finally:
        stream.close()
    return line if line > 1 else 1 + endings


def newline_cut(data: bytes | bytearray, final: bool) -> int:
    """Whole lines, ended by LF, CR LF or, where no LF is near, CR."""
    if final:
        return len(data)
    end = data.rfind(b"\n") + 1
    return end or data.rfind(b"\r", 0, -1) + 1  # a last CR may be half of a CR LF
