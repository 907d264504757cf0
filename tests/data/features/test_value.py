"""Value, ClassLabel and the translations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from enfold.data.features import (
    ClassLabel,
    FeatureError,
    Features,
    Translation,
    TranslationVariableLanguages,
    Value,
)
from enfold.data.features.value import arrow_of, dtype_of
from enfold.errors import ArgumentError

ARROW = [pa.null(), pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(),
         pa.uint16(), pa.uint32(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(),
         pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns"), pa.timestamp("s"),
         pa.timestamp("ns", "America/New_York"), pa.timestamp("us", "+07:30"), pa.date32(),
         pa.date64(), pa.duration("s"), pa.duration("ns"), pa.decimal128(10, 2),
         pa.decimal256(40, -3), pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(16),
         pa.string(), pa.large_string(), pa.string_view()]


@pytest.mark.parametrize("arrow", ARROW, ids=str)
def test_dtypes_name_arrow_types(oracle: ModuleType, arrow: pa.DataType) -> None:
    assert dtype_of(arrow) == oracle.features.features._arrow_to_datasets_dtype(arrow)
    assert arrow_of(dtype_of(arrow)) == arrow == Value(dtype_of(arrow)).pa_type
    assert dtype_of(pa.dictionary(pa.int8(), arrow)) == dtype_of(arrow)


@pytest.mark.parametrize("dtype", ["utf8", "large_utf8", "bool_", "double", "float"])
def test_other_names(oracle: ModuleType, dtype: str) -> None:
    ours, theirs = Value(dtype), oracle.Value(dtype)
    assert repr(ours) == repr(theirs) and ours() == theirs()


@pytest.mark.parametrize("dtype", [
    "int", "text", "json", "time32[ns]", "time64[s]", "timestamp[blob]", "timestamp[[ns]]",
    "timestamp[ns, tz=[ns]]", "duration[[us]]", "decimal20(30, -4)", "decimal128(3)", "list_",
    "fixed_size_binary[x]", "time16[s]"])
def test_no_dtype(dtype: str) -> None:
    with pytest.raises(FeatureError, match=r"no dtype is named .*(Expected one|Json\(\))"):
        Value(dtype)


def test_near_dtypes_are_told() -> None:
    with pytest.raises(FeatureError, match=r"'flaot32' \(nearest: 'float32'"):
        Value("flaot32")
    with pytest.raises(FeatureError, match=r"list<item: int8> has no dtype. Expected a scalar"):
        dtype_of(pa.list_(pa.int8()))


@pytest.mark.parametrize(("dtype", "value"), [
    ("int8", "3"), ("int64", 2.9), ("float32", "1.5"), ("bool", 2), ("string", 3.5),
    ("large_string", None), ("string_view", b"x"), ("binary", b"x"), ("null", None),
    ("date32", "2020"), ("uint8", True)])
def test_encode(oracle: ModuleType, dtype: str, value: Any) -> None:
    expected = oracle.Value(dtype).encode_example(value)
    encoded = Value(dtype).encode_example(value)
    assert encoded == expected and type(encoded) is type(expected)


def test_equality_and_ids() -> None:
    assert Value("float") == Value("float32") != Value("float64")
    assert Value("int8", id="a") != Value("int8")
    assert repr(Value("int8", id="a")) == "Value('int8')"


NAMES = ["neg", "pos"]


def test_class_labels(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("neg\n\n pos \n", encoding="utf-8")
    assert ClassLabel(names=NAMES) == ClassLabel(2, NAMES) == ClassLabel(names_file=str(file))
    assert repr(ClassLabel(names_file=str(file))) == "ClassLabel(names=['neg', 'pos'])"
    label = ClassLabel(num_classes=3)
    assert (label.num_classes, label.names, label.dtype, label()) == (3, ["0", "1", "2"], "int64",
                                                                      pa.int64())


def test_names_and_ids(oracle: ModuleType) -> None:
    ours, theirs = ClassLabel(names=[*NAMES, 7]), oracle.ClassLabel(names=[*NAMES, 7])
    for names in ("neg", " pos ", "7", "1", "-1", ["neg", 2, " 0"], np.array(["pos"])):
        assert ours.str2int(names) == theirs.str2int(names)
    for labels in (0, [0, 2], np.array([1, 1]), []):
        assert ours.int2str(labels) == theirs.int2str(labels)
    assert ours.int2str(np.int64(1)) == "pos"
    for value in ("pos", 1, -1, np.int8(2)):
        assert ours.encode_example(value) == theirs.encode_example(value)


@pytest.mark.parametrize(("build", "kind", "message"), [
    (lambda: ClassLabel(), FeatureError, "got nothing. Expected num_classes, names or names_file"),
    (lambda: ClassLabel(3, NAMES), FeatureError, "got 2 names for num_classes=3"),
    (lambda: ClassLabel(names=NAMES, names_file="x"), FeatureError, "Expected one of them"),
    (lambda: ClassLabel(names=["a", "a"]), FeatureError, "the name 'a' is there twice"),
    (lambda: ClassLabel(names=np.array(NAMES)), ArgumentError, "names is a ndarray. Expected a"),
    (lambda: ClassLabel(names=NAMES).str2int("poss"), FeatureError,
     r"'poss' is no label \(nearest: 'pos'\). Expected one of \['neg', 'pos'\] or an id below 2"),
    (lambda: ClassLabel(names=NAMES).str2int(1), FeatureError, "Expected a name or names"),
    (lambda: ClassLabel(names=NAMES).int2str(None), FeatureError, "Expected an int or ints"),
    (lambda: ClassLabel(names=NAMES).int2str(2), FeatureError, "got the label 2. Expected an id"),
    (lambda: ClassLabel(names=NAMES).int2str([-1]), FeatureError, r"from 0 to 1 \(num_classes=2\)"),
    (lambda: ClassLabel(names=NAMES).encode_example(-2), FeatureError, "got the label -2"),
    (lambda: ClassLabel(names=NAMES).cast_storage(pa.array([2])), FeatureError, "the label 2"),
    (lambda: TranslationVariableLanguages(["en"]).encode_example({"fr": "x"}), FeatureError,
     r"got the languages \['fr'\]. Expected some of \['en'\]"),
])
def test_errors(build: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        build()


@pytest.mark.parametrize("storage", [
    pa.array(["neg", None, "pos"]), pa.array([" pos", "0"], pa.large_string()),
    pa.array(["neg"], pa.string_view()), pa.array(["pos", "pos"]).dictionary_encode(),
    pa.array([0, 1, None, -100], pa.int8()), pa.array([None]), pa.array([], pa.string()),
    pa.array([], pa.uint64()), pa.array(["x", "neg"])[1:], pa.array([1.0, None])])
def test_class_label_storage(oracle: ModuleType, storage: pa.Array) -> None:
    cast = ClassLabel(names=NAMES).cast_storage(storage)
    plain = storage.dictionary_decode() if isinstance(storage, pa.DictionaryArray) else storage
    assert cast.type == pa.int64()
    assert cast.equals(oracle.ClassLabel(names=NAMES).cast_storage(plain))


def test_translations(oracle: ModuleType) -> None:
    value = {"fr": ["le chat", "la chatte"], "en": "the cat"}
    ours = TranslationVariableLanguages(["fr", "en"])
    assert ours.encode_example(value) == oracle.TranslationVariableLanguages(
        ["fr", "en"]).encode_example(value)
    stored = {"language": ["en"], "translation": ["the cat"]}
    assert ours.encode_example(stored) is stored
    assert TranslationVariableLanguages().encode_example({"zz": "a"})["language"] == ("zz",)
    assert ours.encode_example({}) == {"language": (), "translation": ()}
    assert Translation(["fr", "en"])() == pa.struct({"en": pa.string(), "fr": pa.string()})
    assert Features({"t": Translation(["en"])}).encode_example({"t": {"en": "x"}}) == {
        "t": {"en": "x"}}
