"""The names of the columns of CSV text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice

from enfold.data.sources import cells
from enfold.data.sources.dialect import Dialect
from enfold.data.sources.opening import DataFile
from enfold.data.sources.quoting import line_start
from enfold.errors import DataFileError

HEADER = 1 << 16  # bytes that a header is looked for in, unless it is longer
BAD = "surrogateescape"  # it is read with what follows, whose encoding is no matter here


def header(data: bytes | bytearray, dialect: Dialect, file: DataFile) -> tuple[list[str], int]:
    """The names of the columns and how many bytes come before the first row."""
    start = line_start(data, dialect.skiprows)
    found, used = _first_records(data[start:start + HEADER], dialect)
    if used == HEADER:  # it may be cut off
        found, used = _first_records(data[start:], dialect)
    if dialect.names is not None:
        return list(dialect.names), start + (0 if dialect.header is None else used)
    if len(found) <= (dialect.header or 0):
        raise DataFileError(f"{file}: has no columns; it is empty. Expected a header in row "
                            f"{dialect.header or 0}. Do: pass column_names=, or leave it out")
    if dialect.header is None:
        return [str(i) for i in range(len(found[0]))], start
    return unique([name.encode(errors=BAD).decode() for name in found[-1]]), start + used


def _first_records(data: bytes | bytearray, dialect: Dialect) -> tuple[list[list[str]], int]:
    """The records up to the header and how many bytes they take."""
    used = 0

    def lines() -> Iterator[str]:
        nonlocal used
        for line in io.TextIOWrapper(io.BytesIO(data), "utf-8", BAD, ""):
            used += len(line.encode(errors=BAD))
            yield line

    written = filter(None, csv.reader(lines(), **cells.formatting(dialect)))
    return list(islice(written, (dialect.header or 0) + 1)), used


def unique(names: Sequence[str]) -> list[str]:
    """Names as pandas makes them: `a, a` become `a, a.1`, empty ones `Unnamed: 2`."""
    out: list[str] = []
    given = [name or f"Unnamed: {i}" for i, name in enumerate(names)]
    for name in given:
        count, found = 0, name
        while found in out or (count and found in given):
            count += 1
            found = f"{name}.{count}"
        out.append(found)
    return out
