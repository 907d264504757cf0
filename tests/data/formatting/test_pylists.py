"""`to_list` gives what `to_pylist` gives: values and their types, also of slices and with nulls."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from enfold.data.formatting import View, cell_reader, pylists, to_list, to_rows

MOMENTS = [dt.datetime(1969, 1, 1) + dt.timedelta(days=90 * i, microseconds=i) for i in range(12)]
SECONDS = [moment.replace(microsecond=0) for moment in MOMENTS]
STRUCTS = [{"a": [1, None], "b": None}, None, {"a": None, "b": {"c": dt.date(2020, 1, 1)}}] * 4

ARRAYS = {
    **{str(arrow): pa.array(range(12), arrow) for arrow in (
        pa.int8(), pa.int64(), pa.uint8(), pa.uint64(), pa.float32(), pa.float64())},
    "float16": pa.array([1.5] * 12, pa.float64()).cast(pa.float16()),
    "bool": pa.array([True, False] * 6), "null": pa.nulls(12),
    **{str(arrow): pa.array(["x", "yé", ""] * 4, arrow) for arrow in (
        pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary())},
    "fixed binary": pa.array([b"ab"] * 12, pa.binary(2)),
    **{f"timestamp {unit}": pa.array(SECONDS, pa.timestamp(unit)) for unit in ("s", "ms", "ns")},
    "timestamp us": pa.array(MOMENTS, pa.timestamp("us")),
    **{f"timestamp {zone}": pa.array(MOMENTS, pa.timestamp("us", zone)) for zone in (
        "UTC", "+02:00", "Europe/Paris")},
    "date32": pa.array([moment.date() for moment in MOMENTS]),
    "date64": pa.array([moment.date() for moment in MOMENTS], pa.date64()),
    "time32": pa.array([moment.time() for moment in SECONDS], pa.time32("s")),
    "time64": pa.array([moment.time() for moment in MOMENTS], pa.time64("us")),
    **{f"duration {unit}": pa.array([dt.timedelta(-3), dt.timedelta(5)] * 6, pa.duration(unit))
       for unit in ("s", "us", "ns")},
    "beyond datetime": pa.array([2**60, 1] * 6, pa.timestamp("us")),
    "beyond date": pa.array([2**30, 1] * 6, pa.int32()).view(pa.date32()),
    "decimal": pa.array([Decimal("1.5"), Decimal("-2.25")] * 6),
    "dictionary": pa.array(["a", "b"] * 6).dictionary_encode(),
    "list": pa.array([[1, 2], [], [3]] * 4), "list string": pa.array([["a", "b"], ["c"]] * 6),
    "list list": pa.array([[[1, 2], [3]], []] * 6),
    "large list": pa.array([["a"], []] * 6, pa.large_list(pa.string())),
    "list timestamp": pa.array([MOMENTS[:2], MOMENTS[2:3]] * 6),
    "fixed list": pa.array([[1, 2], [3, None]] * 6, pa.list_(pa.int32(), 2)),
    "fixed floats": pa.array([[1, 2], [3, 4]] * 6, pa.list_(pa.float64(), 2)),
    "fixed empty": pa.array([[]] * 12, pa.list_(pa.int32(), 0)),
    "list view": pa.array([[1, 2], [3]] * 6, pa.list_view(pa.int64())),
    "struct": pa.array(STRUCTS), "empty struct": pa.array([{}] * 12, pa.struct([])),
    "map": pa.array([[("a", 1)]] * 12, pa.map_(pa.string(), pa.int64())),
    "json": pa.json_().wrap_array(pa.array(['{"a": 1}', None] * 6)),
    "uuid": pa.array([b"x" * 16] * 12, pa.uuid())}


def alike(ours: Any, theirs: Any) -> bool:
    if type(ours) is not type(theirs):
        return False
    if isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(alike(ours[key], theirs[key]) for key in theirs)
    return bool(ours == theirs)


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (ValueError, OverflowError) as error:
        return type(error)


def with_nulls(array: pa.Array) -> pa.Array:
    try:
        kept = pa.array([index % 3 > 0 for index in range(len(array))])
        return pc.if_else(kept, array, pa.scalar(None, array.type))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return array  # types without nulls from compute


@pytest.mark.parametrize("quick", [True, False], ids=["this pyarrow", "before 26"])
@pytest.mark.parametrize("name", ARRAYS)
def test_as_pylist(name: str, quick: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pylists, "_QUICK_PYARROW", quick and pylists._QUICK_PYARROW)
    pylists._quick.cache_clear()
    array = ARRAYS[name]
    holes = with_nulls(array)
    columns = [array, array.slice(3, 6), array.slice(1, 1), array.slice(0, 0), holes,
               holes.slice(2, 9), pa.chunked_array([array, holes]),
               pa.chunked_array([], array.type)]
    for column in columns:
        expected = outcome(column.to_pylist)
        assert alike(outcome(lambda c=column: to_list(c)), expected)
        assert alike(outcome(lambda c=column: list(map(cell_reader(c), range(len(c))))), expected)
    pylists._quick.cache_clear()


def test_rows_are_dicts_with_any_names() -> None:
    names = ("a", "it's \"quoted\"\n", "v0", "{0}", "lambda: 1")
    rows = to_rows(names, [[1, 2]] * len(names))
    assert rows == [dict.fromkeys(names, 1), dict.fromkeys(names, 2)]
    assert to_rows(("one",), [[1, 2]]) == [{"one": 1}, {"one": 2}]
    nothing = pa.table({"a": [1, 2]}).select([])
    assert View(None).rows(nothing) == View(None, "numpy").rows(nothing) == [{}] * nothing.num_rows
