"""Two features to one: the documented promotions, and what has none."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from enfold.data.features import (
    ClassLabel,
    FeatureError,
    Features,
    Image,
    LargeList,
    List,
    Value,
    align,
    promote,
)

V = Value


@pytest.mark.parametrize(("first", "second", "expected"), [
    ("null", "int8", "int8"), ("int8", "int64", "int64"), ("uint8", "int8", "int16"),
    ("uint32", "int8", "int64"), ("uint64", "int8", "string"), ("uint8", "uint64", "uint64"),
    ("int8", "float16", "float64"), ("int64", "float32", "float64"),
    ("float16", "float32", "float32"), ("int64", "string", "string"), ("bool", "int8", "string"),
    ("bool", "float32", "string"), ("bool", "string", "string"), ("date32", "string", "string"),
    ("timestamp[s]", "large_string", "large_string"), ("string", "large_string", "large_string"),
    ("date32", "timestamp[s]", "timestamp[s]"), ("date32", "date64", "date64"),
    ("timestamp[s]", "timestamp[ns]", "timestamp[ns]"), ("time32[s]", "time64[ns]", "time64[ns]"),
    ("duration[s]", "duration[us]", "duration[us]"),
    ("decimal128(5, 2)", "decimal128(10, 1)", "decimal128(11, 2)"),
    ("decimal128(5, 2)", "string", "string"), ("binary", "large_binary", "large_binary"),
    ("string", "binary", "binary"), ("int8", "int8", "int8"),
])
def test_scalars(first: str, second: str, expected: str) -> None:
    assert promote(V(first), V(second)) == promote(V(second), V(first)) == V(expected)


@pytest.mark.parametrize(("first", "second", "expected"), [
    (List(V("null")), List({"a": V("int8")}), List({"a": V("int8")})),
    (List(V("int8")), List(V("string")), List(V("string"))),
    (List(V("int8"), length=2), List(V("int8"), length=3), List(V("int8"))),
    (List(V("int8"), length=2), List(V("int64"), length=2), List(V("int64"), length=2)),
    (List(V("int8")), LargeList(V("int64")), LargeList(V("int64"))),
    (V("null"), Image(), Image()), (LargeList(V("null")), V("string"), V("string")),
    ({"a": V("int8"), "b": V("bool")}, {"a": V("string"), "c": Image()},
     {"a": V("string"), "b": V("bool"), "c": Image()}),
    (ClassLabel(names=["a"]), ClassLabel(names=["a"]), ClassLabel(names=["a"])),
])
def test_nested(first: Any, second: Any, expected: Any) -> None:
    assert promote(first, second) == expected
    assert promote(second, first) == expected


def test_schemas_of_files() -> None:
    promoted = promote(Features({"a": V("int8"), "n": V("null")}),
                       Features({"n": [V("int8")], "a": V("float64"), "new": V("bool")}))
    assert isinstance(promoted, Features)
    assert list(promoted.items()) == [("a", V("float64")), ("n", List(V("int8"))),
                                      ("new", V("bool"))]


@pytest.mark.parametrize(("first", "second", "where"), [
    (V("int8"), {"a": V("int8")}, "promote"), (V("string"), List(V("string")), "promote"),
    ({"a": [{"b": V("int8")}]}, {"a": [{"b": Image()}]}, r"column 'a\[\].b'"),
    (V("timestamp[s]"), V("timestamp[s, tz=UTC]"), "promote"),
    (V("date32"), V("timestamp[s, tz=UTC]"), "promote"), (V("time32[s]"), V("date32"), "promote"),
    (ClassLabel(names=["a"]), ClassLabel(names=["b"]), "promote"),
    (ClassLabel(names=["a"]), V("int64"), "promote"), (V("bool"), V("date32"), "promote"),
])
def test_what_has_none(first: Any, second: Any, where: str) -> None:
    first, second = (Features(f) if isinstance(f, dict) else f for f in (first, second))
    for one, other in ((first, second), (second, first)):
        with pytest.raises(FeatureError, match=rf"{where}: .* and .* have no common feature. Do: "):
            promote(one, other)


@pytest.mark.parametrize("schemas", [
    [{"a": V("string")}, {"a": V("null")}], [{"a": V("null")}, {"a": V("null")}],
    [{"a": {"b": V("string")}}, {"a": {"b": V("null")}}, {"d": V("bool")}],
    [{"a": List(V("null"))}, {"a": List({"x": V("int8")})}],
    [{"a": LargeList(V("null"))}, {"a": LargeList(V("string"))}, {"a": V("null")}]])
def test_alignment_as_the_real_library(oracle: ModuleType, schemas: list[dict[str, Any]]) -> None:
    theirs = [oracle.Features.from_dict(Features(schema).to_dict()) for schema in schemas]
    expected = oracle.features.features._align_features(theirs)
    for order in (1, -1):
        aligned = align([Features(schema) for schema in schemas][::order])
        assert all(isinstance(schema, Features) for schema in aligned)
        if order == 1:
            assert [schema.to_dict() for schema in aligned] == [e.to_dict() for e in expected]
        assert [list(schema) for schema in aligned] == [list(s) for s in schemas][::order]


def test_alignment_widens_nothing() -> None:
    structs = [Features({"a": {"b": V("int8")}}), Features({"a": {"c": V("bool")}, "d": Image()})]
    both = {"b": V("int8"), "c": V("bool")}
    assert align(structs) == [{"a": both}, {"a": both, "d": Image()}]
    message = r"column 'a.b': Value\('int8'\) here and Value\('int16'\) before. Expected the same"
    with pytest.raises(FeatureError, match=message):
        align([Features({"a": {"b": V("int16")}}), Features({"a": {"b": V("int8")}})])
