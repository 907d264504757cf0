"""Keys of rows and columns, lazy columns, names of formats."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from enfold.data.features import Features, Value
from enfold.data.formatting import (
    Column,
    ColumnMissing,
    Formatter,
    IterableColumn,
    PythonFormatter,
    RowMissing,
    format_table,
    get_format_type_from_alias,
    get_formatter,
    key_to_query_type,
    query_table,
    register_formatter,
    registry,
)
from enfold.data.formatting.formatter import FormatError
from enfold.errors import ArgumentError, DataError

TABLE = pa.table({"a": [0, 1, 2, 3], "b": ["w", "x", "y", "z"]})
INDICES = pa.table({"indices": pa.array([3, 1, 0], pa.uint64())})


@pytest.mark.parametrize(("key", "rows", "through"), [
    (0, [0], [3]), (-1, [3], [0]), (np.int64(2), [2], [0]),
    (slice(1, 3), [1, 2], [1, 0]), (slice(None, None, 2), [0, 2], [3, 0]),
    (slice(None, None, -1), [3, 2, 1, 0], [0, 1, 3]), (slice(2, 1), [], []),
    (slice(-2, None), [2, 3], [1, 0]), (range(1, 3), [1, 2], [1, 0]),
    (range(2, 0, -1), [2, 1], [0, 1]), (range(-1, 2), [3, 0, 1], [0, 3, 1]),
    (range(3, 1), [], []), ([0, -1, 1], [0, 3, 1], [3, 0, 1]),
    (np.array([2, 0]), [2, 0], [0, 3]), ((1,), [1], [1]), ([], [], [])])
def test_rows_of_a_key(key: Any, rows: list[int], through: list[int]) -> None:
    assert query_table(TABLE, key)["a"].to_pylist() == rows
    assert query_table(TABLE, key, indices=INDICES)["a"].to_pylist() == through


def test_a_column_by_name() -> None:
    assert query_table(TABLE, "b").to_pydict() == {"b": ["w", "x", "y", "z"]}
    assert query_table(TABLE, "b", indices=INDICES).to_pydict() == {"b": ["z", "x", "w"]}


@pytest.mark.parametrize("key", [4, -5, [0, 4], [-5], range(2, 6), np.int64(4)])
def test_rows_that_are_not_there(key: Any) -> None:
    with pytest.raises(IndexError, match=r"row -?\d is out of bounds. Expected -4 to 3"):
        query_table(TABLE, key)
    with pytest.raises(RowMissing):
        query_table(TABLE, [3], indices=INDICES)


def test_a_column_that_is_not_there() -> None:
    with pytest.raises(KeyError, match="no column is named 'bb' .nearest: 'b'.. Expected .*a, b"):
        query_table(TABLE, "bb")
    error = pickle.loads(pickle.dumps(ColumnMissing("x", ["a"])))
    assert isinstance(error, ColumnMissing) and error.known == ["a"]


@pytest.mark.parametrize("key", [1.5, int, None, [0, "a"], (n for n in range(2))])
def test_keys_of_another_kind(key: Any) -> None:
    with pytest.raises(ArgumentError, match=r"ds\[key\] got"):
        query_table(TABLE, key)


def test_what_a_key_asks_for() -> None:
    keys = [1, np.int64(1), "a", slice(2), range(2), [1], np.array([1])]
    assert [key_to_query_type(key) for key in keys] == ["row"] * 2 + ["column"] + ["batch"] * 4


def test_format_table() -> None:
    numpy, one = get_formatter("np"), TABLE.slice(1, 1)
    assert format_table(one, 1, PythonFormatter()) == {"a": 1, "b": "x"}
    assert format_table(one, 1, numpy, format_columns=["a"]) == {"a": 1}
    both = format_table(one, 1, numpy, format_columns=["a"], output_all_columns=True)
    assert both == {"a": 1, "b": "x"} and isinstance(both["a"], np.int64)
    assert format_table(TABLE.select(["b"]), "b", numpy, format_columns=["a"])[0] == "w"
    with pytest.raises(FormatError, match="output_all_columns=True adds columns to a dict"):
        format_table(one, 1, get_formatter("arrow"), ["a"], output_all_columns=True)


class Rows:
    """The least that a Column reads from."""

    features = Features({"s": {"t": Value("int64")}, "n": Value("int64")})
    rows = tuple({"s": {"t": n}, "n": -n} for n in range(7))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, int):
            return self.rows[key]
        rows = self.rows[key] if isinstance(key, slice) else [self.rows[n] for n in key]
        return {name: [row[name] for row in rows] for name in self.features}


def test_columns_are_read_where_looked_at() -> None:
    column = Column(Rows(), "n")
    assert column[2] == -2 and column[1:3] == [-1, -2] and column[[3, 0]] == [-3, 0]
    assert list(column) == column == [0, -1, -2, -3, -4, -5, -6] and len(column) == 7
    assert repr(column) == "Column([0, -1, -2, -3, -4, ...])" and -6 in column
    inner = Column(Rows(), "s")["t"]
    assert inner[2] == 2 and inner[1:3] == [1, 2] and list(inner) == list(range(7))
    assert inner == Column(Rows(), "s")["t"]


def test_columns_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="no column is named 'm'"):
        Column(Rows(), "m")
    with pytest.raises(ColumnMissing, match="there are no columns"):
        Column(Rows(), "n")["t"]


def test_iterable_columns() -> None:
    assert list(IterableColumn(Rows.rows, "n")) == [-n for n in range(7)]
    inner = IterableColumn(Rows.rows, "s")["t"]
    assert list(inner) == list(inner) == list(range(7))


def test_names_of_formats() -> None:
    names = {"np": "numpy", "pt": "torch", "pytorch": "torch", "tf": "tensorflow", "pd": "pandas",
             "pl": "polars", "pa": "arrow", "python": None, "jax": "jax", "mine": "mine"}
    assert {name: get_format_type_from_alias(name) for name in names} == names
    with pytest.raises(DataError, match="no format is named 'numpi' .nearest: 'numpy'"):
        get_formatter("numpi")


def test_a_format_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_FORMATTERS", dict(registry._FORMATTERS))
    monkeypatch.setattr(registry, "_ALIASES", dict(registry._ALIASES))

    class Sums(Formatter):
        def format_row(self, pa_table: Any) -> int:
            return int(pa_table["a"][0].as_py())

        def format_column(self, pa_table: Any) -> int:
            return sum(pa_table["a"].to_pylist())

        format_batch = format_column

    register_formatter(Sums, "sums", aliases=["s"])
    found = get_formatter("s")
    assert found(TABLE, "batch") == 6 and found.format_rows(TABLE) == [0, 1, 2, 3]
    with pytest.raises(NotImplementedError, match="Formatter.format_row is to be written"):
        Formatter().format_row(TABLE)
