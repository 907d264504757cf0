"""Rows of an Arrow table by the keys of `ds[key]`: an int, a slice, a range, a name, a sequence."""

from __future__ import annotations

import operator
from collections.abc import Iterable, MutableMapping
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.formatting.formatter import FormatError, Formatter, PythonFormatter
from enfold.errors import ArgumentError, DataError, nearest


class RowMissing(DataError, IndexError):  # noqa: N818 - reads as what it is
    """A row number that is out of bounds."""


class ColumnMissing(DataError, KeyError):  # noqa: N818
    """A column that is not there."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        known = list(known)
        super().__init__(f"no column is named {name!r}{nearest(name, known)}. Expected one of: "
                         f"{', '.join(known) or 'none, there are no columns'}")
        self.name, self.known = name, known

    def __reduce__(self) -> tuple[type[ColumnMissing], tuple[str, list[str]]]:
        return ColumnMissing, (self.name, self.known)


def query_table(table: Any, key: Any, indices: Any = None) -> pa.Table:
    """The rows, or the column, of a table that a key stands for.

    indices: a table whose one column says which row of `table` is row 0, 1, ..
    Raises IndexError and KeyError for what is not there, TypeError for another kind of key.
    """
    table, key = _arrow(table), as_key(key)
    if indices is not None:
        numbers = _arrow(indices).column(0).to_numpy()
        table = table.select([_known(table, key)]) if isinstance(key, str) else table
        return table.take(numbers if isinstance(key, str)
                          else numbers[row_numbers(key, len(numbers))])
    if isinstance(key, str):
        return table.select([_known(table, key)])
    numbers = row_numbers(key, table.num_rows)
    if isinstance(numbers, range) and (numbers.step == 1 or not numbers):
        return table.slice(numbers.start, len(numbers))
    return table.take(np.asarray(numbers, dtype=np.int64))


def key_to_query_type(key: Any) -> str:
    """What a key asks for: "row", "column" or "batch"."""
    key = as_key(key)
    return "row" if isinstance(key, int) else "column" if isinstance(key, str) else "batch"


def format_table(table: Any, key: Any, formatter: Formatter,
                 format_columns: list[str] | None = None, output_all_columns: bool = False) -> Any:
    """A table that a key was answered with, in the format of `formatter`.

    format_columns: the columns to format; the others are left out, or with output_all_columns
    added in Python's types.
    """
    table, kind = _arrow(table), key_to_query_type(key)
    python = PythonFormatter(formatter.features)
    if format_columns is None:
        return formatter(table, kind)
    if kind == "column":
        return (formatter if key in format_columns else python)(table, kind)
    shown = [name for name in table.column_names if name in format_columns]
    formatted = formatter(table.select(shown), kind)
    if output_all_columns:
        if not isinstance(formatted, MutableMapping):
            raise FormatError("output_all_columns=True adds columns to a dict, and this format "
                              f"gives a {type(formatted).__name__}. Expected a format with dicts")
        formatted.update(python(table.drop_columns(shown), kind))
    return formatted


def as_key(key: Any) -> int | slice | range | str | Iterable[Any]:
    """The key, integers of numpy and others as int; TypeError for what is none."""
    if isinstance(key, (int, slice, range, str, Iterable)):
        return key
    try:
        return operator.index(key)
    except TypeError:
        raise ArgumentError(f"ds[key] got the key {key!r}, a {type(key).__name__}. Expected an "
                            "int, a slice, a range, a column name or a sequence of ints") from None


def row_numbers(key: Any, size: int) -> range | np.ndarray:
    """The row numbers, 0 <= n < size, that a key other than a name stands for."""
    if isinstance(key, int):
        _check(key, key, size)
        return range(key % size, key % size + 1)
    if isinstance(key, slice):
        return range(*key.indices(size))
    if isinstance(key, range) and not key:
        return key
    if isinstance(key, range) and key.step == 1 and key.start >= 0:
        _check(key.start, key[-1], size)
        return key
    numbers = _integers(key)
    if len(numbers):
        _check(int(numbers.min()), int(numbers.max()), size)
    return numbers % size if size else numbers


def _integers(key: Iterable[Any]) -> np.ndarray:
    if not hasattr(key, "__len__"):
        raise ArgumentError(f"ds[key] got a {type(key).__name__}, which has no length. Do: "
                            "ds[list(key)]")
    try:
        return np.fromiter((operator.index(number) for number in key), np.int64)
    except TypeError:
        raise ArgumentError(f"ds[key] got the key {key!r}. Expected integers in it") from None


def _check(low: int, high: int, size: int) -> None:
    if low < -size or high >= size:
        wrong = low if low < -size else high
        raise RowMissing(f"row {wrong} is out of bounds. Expected {-size} to {size - 1}: there are "
                         f"{size} rows")


def _known(table: pa.Table, name: str) -> str:
    if name not in table.column_names:
        raise ColumnMissing(name, table.column_names)
    return name


def _arrow(table: Any) -> pa.Table:
    return table if isinstance(table, pa.Table) else table.table
