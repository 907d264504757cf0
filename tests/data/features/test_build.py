"""Python values as Arrow arrays, encoded and plain, as the real library makes them."""

from __future__ import annotations

import datetime as dt
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from enfold.data.features import (
    Array2D,
    CastError,
    ClassLabel,
    FeatureError,
    Features,
    Image,
    Json,
    LargeList,
    List,
    Value,
    to_array,
)
from enfold.data.features.encode import decode, encode, plain
from tests.data.features.conftest import Both

NESTED = {"ids": np.arange(3), "grid": np.ones((2, 2), np.float32), "t": (1, 2)}
SHOWN = [
    [1, None, 3], [1.5, 2], ["x", None], [b"x"], [True], [None, None], [], [[1], None, []],
    [{"a": 1}, None, {"b": [2]}], [(1, 2), [3]], [dt.datetime(2020, 1, 1)], [dt.date(2020, 1, 1)],
    [dt.timedelta(1)], [np.int8(3), np.int8(4)], [np.float32(1.5)], [NESTED, NESTED],
    [np.arange(3), None, np.arange(2)], [None, np.ones((2, 3))], [np.ones((1, 2)), np.ones((3, 2))],
    [np.ones((2, 2, 2), np.uint8)] * 2, [[np.arange(2), np.arange(3)]],
    [[np.ones((2, 2))], []], [np.array(["a", "b"])], [{"x": np.ones((2, 2))}],
]


@pytest.mark.parametrize("values", SHOWN, ids=str)
def test_types_that_values_show(oracle: ModuleType, values: list[Any]) -> None:
    ours = to_array(values)
    theirs = pa.array(oracle.arrow_writer.TypedSequence(values))
    ours.validate(full=True)
    assert ours.type == theirs.type and ours.to_pylist() == theirs.to_pylist()


@pytest.mark.parametrize("values", [
    np.arange(3), np.ones((2, 3), np.float16), np.zeros((2, 2, 2, 2), bool), np.array(["a", "b"]),
    np.array([[1, 2], [3, 4]])[:, ::-1]], ids=lambda values: f"{values.dtype}{values.shape}")
def test_numpy_columns(oracle: ModuleType, values: np.ndarray) -> None:
    theirs = pa.array(oracle.arrow_writer.TypedSequence(values))
    assert to_array(values).type == theirs.type and to_array(values).equals(theirs)


def test_columns_of_other_libraries() -> None:
    torch, pandas = pytest.importorskip("torch"), pytest.importorskip("pandas")
    assert to_array(torch.ones(2, 2)).to_pylist() == [[1, 1], [1, 1]]
    assert to_array([torch.ones(2, dtype=torch.bfloat16), None]).type == pa.list_(pa.float32())
    assert to_array([torch.tensor(3), torch.tensor(4)]).to_pylist() == [3, 4]
    assert to_array([{"t": torch.ones(1, requires_grad=True)}]).to_pylist() == [{"t": [1]}]
    assert to_array(pandas.Series(["x", None])).to_pylist() == ["x", None]
    assert to_array([pandas.Timestamp(2020, 1, 1), None]).type == pa.timestamp("us")
    assert to_array([pandas.Timedelta(1, "s")]).to_pylist() == [dt.timedelta(seconds=1)]
    frame = pandas.DataFrame({"a": [1, 2]})
    assert to_array([frame]).to_pylist() == [{"a": [1, 2]}]


def test_arrow_columns_are_taken_as_they_are() -> None:
    column = pa.chunked_array([[1], [2]])
    assert to_array(column) is column
    assert to_array(column, Value("int8")).type == pa.int8()


def test_tokens_are_stored_narrow(oracle: ModuleType) -> None:
    for name in ("input_ids", "attention_mask", "special_tokens_mask", "token_type_ids", "labels"):
        for values in ([1, 2], [[1, 2]], [[[1]]], [[300, 1]], [["a"]], [np.arange(3)]):
            theirs = pa.array(oracle.arrow_writer.OptimizedTypedSequence(values, col=name))
            assert to_array(values, column=name).type == theirs.type
    assert to_array([[2**40]], column="input_ids").type == pa.list_(pa.int64())


@pytest.mark.parametrize(("values", "text"), [
    (["1", 2.9, None, True], "Value('int32')"), ([1, "x", None], "Value('string')"),
    ([0, 2, "x"], "Value('bool')"), (["2020-01-02"], "Value('timestamp[s]')"),
    ([[1, 2], None], "List(Value('int64'))"), ([["1"], []], "LargeList(Value('float32'))"),
    ([{"a": "1", "z": 1}, None, {}], "{'a': Value('int8')}"),
    (["a", 1, None, "0", -1], "ClassLabel(names=['a', 'b'])"),
    ([0, 1], "ClassLabel(num_classes=2)"),
    ([["a"], [], None], "[ClassLabel(names=['a', 'b'])]"),
    (np.array([0, 1]), "ClassLabel(num_classes=2)"), (np.arange(4), "Value('float32')"),
    (np.ones((2, 1, 2)), "Array2D((1, 2), 'int8')"), (np.ones((2, 2)), "List(Value('int8'), 2)"),
    ([np.ones((1, 2)), np.ones((2, 2))], "Array2D((None, 2), 'float32')"),
    ([{"a": np.ones((1, 2))}], "{'a': Array2D((1, 2), 'int8')}"),
    ([[{"a": 1}, [2]], None, []], "List(Json())"), ([{"a": {"b": 1}}], "{'a': Json()}"),
    ([None, None], "{'a': List(Image())}"), ([], "Array2D((1, 2), 'int8')"),
], ids=str)
def test_values_of_a_feature(oracle: ModuleType, both: Both, values: Any, text: str) -> None:
    theirs, ours = both(f"Features({{'c': {text}}})")
    array = to_array(values, ours["c"], column="c")
    array.validate(full=True)
    assert array.type == ours.arrow_schema.field("c").type
    encoded = theirs.encode_column(list(values), "c")
    expected = pa.array(oracle.arrow_writer.TypedSequence(encoded, type=theirs["c"]))
    assert array.to_pylist() == expected.to_pylist()


def test_integers_above_int64() -> None:
    big = 2**64 - 1
    assert to_array([big, None, 1], Value("uint64")).to_pylist() == [big, None, 1]
    both = {"l": ClassLabel(names=["a"]), "m": Array2D((1, 1), "uint64"), "n": [Value("uint64")]}
    rows = [{"l": "a", "m": [[big]], "n": [big]}, None]
    assert to_array(rows, both).to_pylist() == [{"l": 0, "m": [[big]], "n": [big]}, None]
    with pytest.raises(CastError, match="column 'c': these values can't be stored as Value"):
        to_array([2**65], Value("uint64"), column="c")
    with pytest.raises(CastError, match="column 'c': these values can't be stored: "):
        to_array([2**65], column="c")


def test_lists_whose_first_items_mislead() -> None:
    label = ClassLabel(names=["a", "b"])
    assert to_array([[0, "b"], [None, "a"]], List(label)).to_pylist() == [[0, 1], [None, 0]]
    assert to_array([[[None, ["a"]]]], List(List(List(label)))).to_pylist() == [[[None, [0]]]]


@pytest.mark.parametrize(("values", "feature", "message"), [
    ([1, "x"], None, "column 'c': these values can't be stored: the values have no common type, "
                     "the first is 1"),
    ([[1], object()], None, "the first that can't be: <object object.* Do: convert them, or give"),
    (["1", "x"], Value("int8"), r"column 'c': 'x' does not fit Value\('int8'\): invalid literal"),
    ([300], Value("int8"), r"these values can't be stored|can't be cast to int8: .*300"),
    (["a", "z"], ClassLabel(names=["a"]), "column 'c': ClassLabel: 'z' is no label"),
    ([0, -2], ClassLabel(names=["a"]), "column 'c': -2 does not fit .* got the label -2"),
    ([{"a": 1}, 3], {"a": Value("int8")}, "3 does not fit .*: got 3. Expected a dict with a"),
    ([3], List(Value("int8")), r"3 does not fit List\(Value\('int8'\)\)"),
    ([object()], Image(), "does not fit Image"),
    ([[1, 2.5]], List(Value("int64")), r"column 'c\[\]': double can't be cast to int64: .* 2.5"),
    ([[1, "x"]], List(Value("int64")), "these values can't be stored as List"),
])
def test_what_cannot_be_stored(values: list[Any], feature: Any, message: str) -> None:
    with pytest.raises(CastError, match=message):
        to_array(values, feature, column="c")


@pytest.mark.parametrize(("values", "text"), [
    ([1, 2], "Value('int8')"), ([1, 2], "Value('string')"), ([1.5], "Value('int8')"),
    (["a", "b"], "ClassLabel(names=['a', 'b'])"), (["z"], "ClassLabel(names=['a', 'b'])"),
    ([[1]], "List(Value('float32'))"), ([[1]], "Value('int8')"), ([[[1, 2]]],
                                                               "Array2D((1, 2), 'int8')")])
def test_a_feature_that_is_kept_if_it_fits(oracle: ModuleType, both: Both, values: list[Any],
                                           text: str) -> None:
    theirs, ours = both(text)
    try:
        expected = pa.array(oracle.arrow_writer.TypedSequence(values, try_type=theirs))
    except ValueError:  # labels that it does not know
        expected = pa.array(values)
    array = to_array(values, ours, required=False)
    assert str(array.type) == str(expected.type) and array.to_pylist() == expected.to_pylist()


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("value", [
    NESTED, [NESTED], [[1, 2], [3]], np.array(3), [np.float64(2)], {"a": {"b": (np.ones((1, 2)),)}},
    [None, [], [np.ones((2, 2))]], "x", [b"x"], [], (), {}], ids=str)
def test_plain_values(oracle: ModuleType, value: Any, flat: bool) -> None:
    expected = oracle.features.features.cast_to_python_objects(value, only_1d_for_numpy=flat)
    np.testing.assert_equal(plain(value, flat=flat), expected)
    assert type(plain(value, flat=flat)) is type(expected)


def test_long_plain_lists_are_not_copied() -> None:
    tokens = [[1] * 10] * 10
    assert plain(tokens) is tokens and plain({"a": tokens})["a"] is tokens


def test_rows_are_encoded_and_decoded(both: Both) -> None:
    text = ("Features({'l': [ClassLabel(names=['a', 'b'])], 's': {'x': Value('int8'), "
            "'j': Json()}, 'z': LargeList({'x': Value('string')}), "
            "'t': TranslationVariableLanguages(['en', 'fr'])})")
    theirs, ours = both(text)
    row = {"l": ["b", "a"], "s": {"x": "3", "j": {"k": [1]}}, "z": [{"x": 5}, {}],
           "t": {"fr": "x"}}
    encoded = ours.encode_example(row)
    assert encoded == theirs.encode_example(row)
    assert ours.decode_example(encoded) == theirs.decode_example(encoded)
    batch = {name: [value, None] for name, value in row.items()}
    assert ours.encode_batch(batch) == theirs.encode_batch(batch)
    assert ours.decode_batch(ours.encode_batch(batch)) == theirs.decode_batch(
        theirs.encode_batch(batch))


def test_lists_of_a_feature_in_brackets() -> None:
    assert encode([ClassLabel(names=["a"])], ["a"]) == [0]
    assert decode([Json()], ["1", None]) == [1, None]
    assert decode(LargeList(Json()), None) is None
    with pytest.raises(FeatureError, match="got 3. Expected a dict with a, b"):
        encode({"a": Value("int8"), "b": Value("int8")}, 3)


def test_infer_of_values() -> None:
    values: dict[str, Any] = {"a": [1], "b": [{"c": ["x"]}], "d": np.ones((2, 2)), "e": [None]}
    assert Features.infer(values) == {
        "a": Value("int64"), "b": {"c": List(Value("string"))}, "d": List(Value("float64")),
        "e": Value("null")}
    assert to_array([], Array2D((1, 2), "int8")).type == Array2D((1, 2), "int8")()
    with pytest.raises(CastError, match="column 'a'"):
        Features.infer({"a": [1, "x"]})
