"""Cells of CSV text as typed columns, the way pandas reads them, where pyarrow's parser can't.

`convert` is as lenient as pandas (`+5`, spaces around numbers), `natural` finds a column's type,
`rows` reads records with too few fields (the rest is missing) and names those with too many.
"""

from __future__ import annotations

import csv
import io
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types as t

from enfold.data.sources.dialect import Dialect

TEXT = pa.large_string()  # what datasets 5 makes of strings in CSV, with pandas 3
FEW = 100  # cells that are looked at before all are: if these are text, so is the column
INTEGER = r"^\s*[+-]?[0-9]+\s*$"


def convert(cells: Any, kind: Any, dialect: Dialect) -> Any:
    """A column of strings as `kind`.  Raises pyarrow.ArrowInvalid for a cell that is none."""
    if t.is_string(kind) or t.is_large_string(kind):
        return pc.cast(cells, kind)
    if t.is_null(kind):
        if cells.null_count < len(cells):
            raise pa.ArrowInvalid("not missing")
        return pa.nulls(len(cells))
    if t.is_boolean(kind):
        return _booleans(cells, dialect)
    if t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind):
        cells = _plain_numbers(cells, dialect)
        if t.is_integer(kind) and not _whole(cells):
            raise pa.ArrowInvalid("not whole numbers")  # a cast would take 0x1F
    return pc.cast(cells, kind)


def natural(cells: Any, dialect: Dialect) -> Any:
    """A column of strings as the first of missing, int, float and bool that takes all its cells.

    As in pandas, whole numbers beyond int64 become uint64 where all fit; those beyond stay text.
    """
    if len(cells) > FEW and t.is_large_string(natural(cells.slice(0, FEW), dialect).type):
        return pc.cast(cells, TEXT)
    kinds = (pa.null(), pa.int64(), pa.uint64() if _whole(cells) else pa.float64(), pa.bool_())
    for kind in kinds:
        try:
            return convert(cells, kind, dialect)
        except pa.ArrowInvalid:
            continue
    return pc.cast(cells, TEXT)


def _whole(cells: Any) -> bool:
    return not pc.any(pc.invert(pc.match_substring_regex(cells, INTEGER))).as_py()


def _plain_numbers(cells: Any, dialect: Dialect) -> Any:
    cells = pc.replace_substring_regex(pc.utf8_trim_whitespace(cells), r"^\+", "")
    return cells if dialect.decimal == "." else pc.replace_substring(cells, dialect.decimal, ".")


def _booleans(cells: Any, dialect: Dialect) -> Any:
    true = pc.is_in(cells, pa.array(dialect.trues, cells.type))
    known = pc.or_(true, pc.is_in(cells, pa.array(dialect.falses, cells.type)))
    if pc.any(pc.and_(pc.invert(known), pc.is_valid(cells))).as_py():
        raise pa.ArrowInvalid("neither true nor false")
    return pc.if_else(pc.is_valid(cells), true, pa.scalar(None, pa.bool_()))


class BadRecord(ValueError):  # noqa: N818
    """A record with more fields than the header; `line`: the lines before it in its block."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def rows(data: bytearray, width: int, dialect: Dialect) -> tuple[list[list[str]], list[int]]:
    """The records of a block, each with `width` fields, and the lines before each in it.

    Raises BadRecord for a record with more fields, unless bad lines are to be skipped.
    """
    found, lines = [], []
    for at, record in records(data, dialect):
        blank = not record or (len(record) == 1 and width > 1 and not record[0].strip())
        if blank and dialect.skip_blank:
            continue
        if len(record) > width:
            problem = f"has {len(record)} fields, the header has {width}"
            if dialect.bad_lines == "error":
                raise BadRecord(at, f"{problem}. Do: mend it, check sep={dialect.sep!r} and the "
                                    f"quotes, pass column_names= if the header is short, or "
                                    f"on_bad_lines='skip'")
            if dialect.bad_lines == "warn":
                warnings.warn(f"left out a row that {problem}: {record}", stacklevel=2)
            continue
        found.append(record + [""] * (width - len(record)))
        lines.append(at)
    return found, lines


def records(data: bytearray, dialect: Dialect) -> list[tuple[int, list[str]]]:
    """Python's reading of a block: each record and the number of lines before it."""
    csv.field_size_limit(max(csv.field_size_limit(), sys.maxsize >> 32))  # 2 GB, not 128 KB
    reader = csv.reader(io.StringIO(data.decode(), newline=""), **formatting(dialect))
    out, at = [], 0
    for record in reader:
        out.append((at, record))
        at = reader.line_num
    return out


def formatting(dialect: Dialect) -> dict[str, Any]:
    """The dialect as keyword arguments of Python's csv.reader."""
    none = {"quoting": csv.QUOTE_NONE} if dialect.quotechar is None else {
        "quotechar": dialect.quotechar, "doublequote": dialect.doublequote}
    return {"delimiter": dialect.sep, "escapechar": dialect.escapechar, **none}


def columns(records: Sequence[list[str]], width: int, dialect: Dialect) -> list[Any]:
    """Records as columns of strings, missing values as nulls."""
    missing = set(dialect.nulls)
    return [pa.array([None if cell in missing else cell for cell in cells], TEXT)
            for cells in (zip(*records, strict=True) if records else [()] * width)]
