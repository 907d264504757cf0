"""Casts: what becomes what, without a copy where nothing changes, told where it can't be."""

from __future__ import annotations

import pickle
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest

from enfold.data.features import (
    Array2D,
    CastError,
    ClassLabel,
    Features,
    Image,
    Json,
    LargeList,
    List,
    Translation,
    Value,
    cast_array,
    cast_table,
)
from tests.data.features.conftest import Both

LISTS = [pa.array([[1, 2], None, [3, None]], kind) for kind in (
    pa.list_(pa.int64()), pa.large_list(pa.int64()), pa.list_(pa.int64(), 2),
    pa.list_view(pa.int64()), pa.large_list_view(pa.int64()))]
STRUCTS = pa.array([{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}])


@pytest.mark.parametrize("array", LISTS, ids=lambda array: str(array.type))
@pytest.mark.parametrize("target", [
    List(Value("int8")), LargeList(Value("string")), List(Value("float32"), length=2),
    List(Value("int64")), LargeList(Value("int64")), List(Value("int64"), length=2)], ids=str)
@pytest.mark.parametrize("start", [0, 1, 3])
def test_lists_of_every_kind(array: pa.Array, target: Any, start: int) -> None:
    part = array[start:]
    cast = cast_array(part, target)
    cast.validate(full=True)
    convert = {"string": lambda n: n and str(n)}.get(target.feature.dtype, lambda n: n)
    assert cast.type == Features({"c": target}).arrow_schema.field("c").type
    assert cast.to_pylist() == [row and [convert(item) for item in row]
                                for row in part.to_pylist()]


@pytest.mark.parametrize(("data", "text"), [
    (STRUCTS, "{'b': Value('string'), 'a': Value('int8')}"),
    (STRUCTS[1:], "{'b': Value('large_string'), 'a': Value('string'), 'c': [Value('int8')]}"),
    (pa.array([["0"], None, []]), "List(ClassLabel(num_classes=1))"),
    (pa.array([[{"l": "n"}, None]]), "[{'l': ClassLabel(names=['n'])}]"),
    (pa.array([None, None]), "{'a': Array2D((1, 2), 'int8'), 'i': Image()}"),
    (pa.array([{"p": "x"}, None]), "{'p': Image()}"),
    (pa.array(["x", None]).dictionary_encode(), "Value('string')"),
    (pa.array([1.0, None]), "Value('int8')"), (pa.array([1, 0]), "Value('bool')"),
    (pa.array(["2020-01-02", None]), "Value('timestamp[s]')"),
    (pa.array([{"en": "a", "fr": "b"}]), "Translation(['fr', 'en'])"),
    (pa.array([[[1, 2]], None]), "Array2D((1, 2), 'float32')"),
    (pa.array(['{"a": 1}', None]), "Json()"), (pa.array([{"a": 1}, None]), "Json()"),
    (pa.array([[], [1]]), "List(Value('int8'), length=-1)"),
    (pa.array([{}, None], pa.struct([])), "{}"),
], ids=str)
def test_as_the_real_library(oracle: ModuleType, both: Both, data: pa.Array, text: str) -> None:
    theirs, ours = both(f"Features({{'c': {text}}})")
    cast = cast_table(pa.table({"c": data}), ours)
    cast.validate(full=True)
    assert cast.schema.equals(ours.arrow_schema, check_metadata=True)
    expected = oracle.table.cast_table_to_features(pa.table({"c": data}), theirs)
    assert cast["c"].to_pylist() == expected["c"].to_pylist()


def test_what_agrees_is_not_copied() -> None:
    tokens = pa.array([[1, 2], None, [3]])
    assert cast_array(tokens, List(Value("int64"))) is tokens
    labels = cast_array(tokens, List(ClassLabel(num_classes=4)))
    assert labels.values.buffers()[1].address == tokens.values.buffers()[1].address
    rows = cast_array(pa.array([{"a": tokens[0].as_py(), "b": 1}]),
                      {"b": Value("int64"), "a": List(Value("int64"))})
    assert rows.to_pylist() == [{"b": 1, "a": [1, 2]}]


def test_only_the_rows_of_a_slice_are_cast() -> None:
    words = pa.array([["no number"], ["1"], ["2"]])
    assert cast_array(words[1:], List(Value("int8"))).to_pylist() == [[1], [2]]
    assert cast_array(pa.chunked_array([words[1:], words[2:]]),
                      List(Value("int8"))).to_pylist() == [[1], [2], [2]]
    assert cast_array(pa.chunked_array([], pa.string()), Value("int8")).type == pa.int8()


def test_what_lies_under_nulls_is_no_value() -> None:
    inner = pa.FixedSizeListArray.from_arrays(pa.array(["x", "y", "1", "2"]), 2,
                                              mask=pa.array([True, False]))
    assert cast_array(inner, List(Value("int8"), length=2)).to_pylist() == [None, [1, 2]]
    struct = pa.StructArray.from_arrays([pa.array(["x", "n"])], ["l"],
                                        mask=pa.array([True, False]))
    assert cast_array(struct, {"l": ClassLabel(names=["n"])}).to_pylist() == [None, {"l": 0}]


def test_items_under_null_rows_are_left_behind() -> None:
    hidden = pa.ListArray.from_arrays(pa.array([0, 2, 4, 6], pa.int32()),
                                      pa.array(["1", "2", "x", "y", "3", "4"]),
                                      mask=pa.array([False, True, False]))
    for target in (List(Value("int8")), LargeList(Value("int8")), List(Value("int8"), length=2)):
        cast = cast_array(hidden, target)
        cast.validate(full=True)
        assert cast.to_pylist() == [[1, 2], None, [3, 4]]


def test_tables_and_batches() -> None:
    features = Features({"b": Value("string"), "a": Value("int8")})
    batch = pa.record_batch({"a": [1], "b": ["x"]})
    cast = cast_table(batch, features)
    assert isinstance(cast, pa.RecordBatch) and cast.to_pylist() == [{"b": "x", "a": 1}]
    assert cast.schema.metadata == features.arrow_schema.metadata
    table = cast_table(pa.table({"b": ["x"]}), features, fill_missing=True)
    assert table.to_pylist() == [{"b": "x", "a": None}]


@pytest.mark.parametrize(("table", "message"), [
    ({"a": [1]}, r"the features have \['b'\], the data does not. Do: rename or remove"),
    ({"a": [1], "b": [1], "c": [1]}, r"the data has \['c'\], the features do not"),
])
def test_other_columns_raise(table: dict[str, list[int]], message: str) -> None:
    features = Features({"a": Value("int8"), "b": Value("int8")})
    with pytest.raises(CastError, match=message) as caught:
        cast_table(pa.table(table), features)
    again = pickle.loads(pickle.dumps(caught.value))
    assert again.table_column_names == list(table) and again.requested_column_names == ["a", "b"]
    assert str(again) == str(caught.value)
    with pytest.raises(CastError, match="the data has"):
        cast_table(pa.table({"z": [1]}), features, fill_missing=True)


@pytest.mark.parametrize(("data", "target", "message"), [
    (["1", "2", "x", "y"], Value("int8"),
     "column 'c': string can't be cast to int8: the first value that does not fit is 'x'"),
    ([1, 300, 2], Value("int8"), "int64 can't be cast to int8: .* fit is 300"),
    ([1.5], Value("int8"), "double can't be cast to int8: .* fit is 1.5"),
    ([["1", "x"]], List(Value("int8")), r"column 'c\[\]': string can't be cast to int8: .*'x'"),
    ([{"a": {"b": "x"}}], {"a": {"b": Value("int8")}}, "column 'c.a.b': string can't be cast"),
    ([{"a": 1, "z": 1}], {"a": Value("int8")},
     r"column 'c': the data has the fields \['z'\], which are not in .*Do: add them there"),
    ([None, 1], {"a": Value("int8")}, "column 'c': int64 can't be cast to .*The first value is 1"),
    ([1], List(Value("int8")), r"int64 can't be cast to List\(Value\('int8'\)\)"),
    ([[1]], Value("int8"), r"list<item: int64> can't be cast to Value\('int8'\)"),
    ([1], Value("null"), r"int64 can't be cast to Value\('null'\)"),
    ([1], Value("fixed_size_binary[2]"), "int64 can't be cast to fixed_size_binary"),
    ([[1, 2], None, [1]], List(Value("int8"), length=2),
     r"can't be cast to lists of 2: row 2 has 1 items, \[1\]"),
    ([[[1, 2]], [[1]]], Array2D((1, 2), "int8"), r"row 1 has not the shape \(1, 2\): \[\[1\]\]"),
    (["x"], ClassLabel(names=["y"]), "column 'c': ClassLabel: 'x' is no label"),
    ([1.5], ClassLabel(names=["y"]), "column 'c': Float value 1.5.* was truncated"),
    ([1], Image(), "column 'c': Image: can't be made of int64"),
    ([{"en": "x", "de": "y"}], Translation(["en"]), r"the data has the fields \['de'\]"),
])
def test_what_cannot_be(data: list[Any], target: Any, message: str) -> None:
    for kind in (CastError, ValueError, TypeError, pa.ArrowInvalid):
        with pytest.raises(kind, match=message):
            cast_table(pa.table({"c": data}), Features({"c": target}))


def test_numbers_become_strings_only_where_they_may() -> None:
    assert cast_array(pa.array([1, None]), Value("string")).to_pylist() == ["1", None]
    with pytest.raises(CastError, match="column 'n': int64 is not made a string here. Do: cast"):
        cast_array(pa.array([1]), Value("large_string"), column="n", allow_primitive_to_str=False)
    decimals = pa.array([1]).cast(pa.decimal128(20, 1))
    assert cast_array(decimals, Value("string")).to_pylist() == ["1.0"]
    with pytest.raises(CastError, match="cast: decimal"):
        cast_array(decimals, Value("string"), allow_decimal_to_str=False)
    assert cast_array(pa.array(["x"]), Value("large_string"),
                      allow_primitive_to_str=False).to_pylist() == ["x"]


def test_json_texts() -> None:
    values = [{"a": [1, None]}, None, "x", 1.5]
    features = Features({"j": Json()})
    encoded = features.encode_column(values, "j")
    assert encoded == ['{"a":[1,null]}', None, '"x"', "1.5"]
    assert features.decode_column(encoded, "j") == values
    assert Json().encode_example('{"a": 1}') == '{"a": 1}'
    assert Json().encode_example({"a": float("nan")}) == '{"a":null}'
    with pytest.raises(RuntimeError, match=r"Json\(decode=False\) was asked to decode"):
        Json(decode=False).decode_example("1")
    with pytest.raises(TypeError, match="a object has no JSON form. Expected dicts, lists"):
        Json().encode_example({"a": object()})
