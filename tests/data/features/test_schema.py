"""Features: what they print, equal, write and read, against the real library."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from enfold.data.features import (
    Array2D,
    Audio,
    ClassLabel,
    FeatureError,
    Features,
    Image,
    LargeList,
    List,
    Sequence,
    Translation,
    TranslationVariableLanguages,
    Value,
    register_feature,
)
from enfold.data.features.dicts import FEATURE_TYPES
from enfold.errors import ArgumentError
from tests.data.features.conftest import Both

SCHEMAS = [
    "Features()",
    "Features({'a': Value('int32', id='mine'), 'b': Value('double'), 'c': Value('float')})",
    "Features({'a': [Value('int8')], 'b': [[{'x': [Value('string')]}]], 'c': {'d': {}}})",
    "Features({'a': Sequence(Value('int8')), 'b': Sequence({'x': Value('int8')}, length=2)})",
    "Features({'a': Sequence({'x': List(Value('int8'))}), 'b': LargeList({'x': Value('bool')})})",
    "Features({'l': ClassLabel(names=['a', 'b']), 'n': List(ClassLabel(num_classes=2), length=3)})",
    "Features({'l': LargeList(ClassLabel(names=['a'])), 's': {'l': ClassLabel(names=[])}})",
    "Features({'a': Array2D(shape=(None, 3), dtype='int32'), 'b': Array3D((1, 2, 3), 'bool')})",
    "Features({'a': Array4D((1, 2, 3, 4), 'int8'), 'b': Array5D((1, 2, 3, 4, 5), 'float16')})",
    "Features({'i': Image(), 'j': Image(mode='RGB', decode=False), 'k': List(Image())})",
    "Features({'a': Audio(), 'b': Audio(sampling_rate=8000, num_channels=1, stream_index=0)})",
    "Features({'v': Video(), 'w': Video(num_ffmpeg_threads=2), 'p': Pdf(), 'n': Nifti()})",
    "Features({'m': Mesh(), 's': BioSequence(format='fastq'), 't': BioStructure()})",
    "Features({'t': Translation(languages=['fr', 'en']), 'j': Json(), 'k': Json(decode=False)})",
    "Features({'t': TranslationVariableLanguages(languages=['fr', 'en', 'en'])})",
    "Features({'u': TranslationVariableLanguages()})",
    "Features({'_type': Value('string'), 'dtype': Value('string'), 'feature': Value('string')})",
    "Features(self=Value('string'))",
    "Features({'t': Value('timestamp[ns, tz=+07:30]'), 'd': Value('decimal128(5, -2)')})",
    "Features({'t': Value('time64[ns]'), 'd': Value('duration[ms]'), 'f': "
    "Value('fixed_size_binary[16]'), 's': Value('string_view'), 'b': Value('binary_view')})",
]


@pytest.mark.parametrize("text", SCHEMAS)
def test_equals_the_real_library(both: Both, text: str) -> None:
    theirs, ours = both(text)
    assert repr(ours) == repr(theirs) and str(ours) == str(theirs)
    assert json.dumps(ours.to_dict()) == json.dumps(theirs.to_dict())
    assert ours.arrow_schema.metadata == theirs.arrow_schema.metadata
    assert str(ours.arrow_schema) == str(theirs.arrow_schema)
    assert Features.from_arrow_schema(theirs.arrow_schema) == ours
    assert Features.from_dict(json.loads(json.dumps(theirs.to_dict()))) == ours
    if "_type" not in ours:  # their YAML has no column of that name
        assert ours.to_yaml_list() == theirs._to_yaml_list() == ours._to_yaml_list()
    assert Features.from_yaml_list(ours.to_yaml_list()) == ours
    assert ours.flatten().to_dict() == _flat(theirs).to_dict()
    assert copy.deepcopy(ours) == pickle.loads(pickle.dumps(ours)) == ours.copy() == ours


def _flat(theirs: Any) -> Any:
    try:
        return theirs.flatten()
    except ValueError:  # a decoded Audio column keeps it from flattening the others
        return theirs


@pytest.mark.parametrize("text", [
    "[{'name': 'a', 'sequence': 'int32'}]",
    "[{'name': 'a', 'sequence': [{'name': 'x', 'dtype': 'int8'}]}]",
    "[{'name': 'a', 'sequence': {'class_label': {'names': {'0': 'n', '1': 'y'}}}, 'length': 2}]",
    "[{'name': 'a', 'dtype': {'class_label': {'names': {'10': 'k', **{str(i): str(i) "
    "for i in range(10)}}}}}]",
    "[{'name': 'a', 'list': [{'name': 'x', 'dtype': 'image'}]}, {'name': 'b', 'dtype': 'audio'}]",
    "[{'name': 'a', 'large_list': {'list': 'string'}}]",
    "[{'name': 'a', 'struct': [{'name': 'b', 'struct': [{'name': 'c', 'dtype': 'float'}]}]}]",
    "[{'name': 'a', 'dtype': {'array2_d': {'shape': [2, 3], 'dtype': 'int32'}}}]",
])
def test_yaml_of_older_cards(both: Both, text: str) -> None:
    theirs, ours = both(f"Features._from_yaml_list({text})")
    assert repr(ours) == repr(theirs)


def test_flatten_has_a_depth_and_keeps_the_order() -> None:
    features = Features({"a": {"b": {"c": Value("int8")}}, "i": Image(decode=False),
                         "t": Translation(["fr", "en"]), "z": Value("int8"),
                         "u": TranslationVariableLanguages(), "w": Audio()})
    assert list(features.flatten(2)) == ["a.b", "i.bytes", "i.path", "t.en", "t.fr", "z",
                                         "u.language", "u.translation", "w"]
    assert next(iter(features.flatten())) == "a.b.c"
    assert features.flatten(1) == features


def test_reorder_fields_as() -> None:
    features = Features({"a": [{"x": Value("int8"), "y": LargeList(Value("bool"))}],
                         "b": Value("int8")})
    other = Features({"b": Value("string"),
                      "a": [{"y": LargeList(Value("int8")), "x": Value("int8")}]})
    ordered = features.reorder_fields_as(other)
    assert repr(ordered) == ("{'b': Value('int8'), 'a': List({'y': LargeList(Value('bool')), "
                             "'x': Value('int8')})}")


@pytest.mark.parametrize(("other", "message"), [
    ({"a": {"x": Value("int8")}},
     r"fields at a are \['x', 'y'\], those of the other \['x'\]\. Expected the same"),
    ({"a": Value("int8")}, "at a has no counterpart. Expected the same structure, got Value"),
])
def test_reorder_of_another_structure_raises(other: dict[str, Any], message: str) -> None:
    features = Features({"a": {"x": Value("int8"), "y": Value("int8")}})
    with pytest.raises(FeatureError, match=message):
        features.reorder_fields_as(Features(other))


def test_metadata_counts_only_for_the_type_it_was_written_for() -> None:
    schema = Features({"a": ClassLabel(names=["x"]), "b": ClassLabel(names=["x"])}).arrow_schema
    changed = schema.set(1, pa.field("b", pa.string())).append(pa.field("c", pa.int8()))
    assert Features.from_arrow_schema(changed) == {"a": ClassLabel(names=["x"]),
                                                   "b": Value("string"), "c": Value("int8")}
    required = schema.set(0, pa.field("a", pa.int64(), nullable=False))
    assert Features.from_arrow_schema(required)["a"] == Value("int64")
    plain = pa.schema({"a": pa.int8()}, {"huggingface": json.dumps({"info": {"features": None}})})
    assert Features.from_arrow_schema(plain) == {"a": Value("int8")}


def test_the_decoded_columns_follow_every_change() -> None:
    features = Features({"a": Value("int8")})
    assert not any(features._column_requires_decoding.values())
    features["i"] = [Image()]
    features.update(j={"x": Audio()}, k=Image(decode=False))
    features |= {"l": Image()}
    assert features._column_requires_decoding == {"a": False, "i": True, "j": True, "k": False,
                                                  "l": True}
    features.pop("i")
    del features["j"]
    features.setdefault("m", Image())
    features.popitem()
    assert features._column_requires_decoding == {"a": False, "k": False, "l": True}
    features.clear()
    assert features._column_requires_decoding == {}


def test_lists_are_shorthand_when_set() -> None:
    features = Features({"a": [[Value("int8")]]})
    features["b"] = [{"x": [Value("int8")]}]
    assert repr(features) == ("{'a': List(List(Value('int8'))), "
                              "'b': List({'x': List(Value('int8'))})}")
    assert isinstance(Sequence(Value("int8")), List) and isinstance(List(Value("int8")), Sequence)


def test_infer() -> None:
    rows = [{"a": 1, "b": ["x"]}, {"a": None, "c": {"d": 1.5}}]
    expected = {"a": Value("int64"), "b": List(Value("string")), "c": {"d": Value("float64")}}
    assert Features.infer(rows) == expected
    assert Features.infer({"a": [1], "input_ids": [[1]]}) == {"a": Value("int64"),
                                                              "input_ids": List(Value("int32"))}
    table = pa.Table.from_pylist([*rows, {"c": None}])
    assert Features.infer(table) == Features.infer(table.schema) == {
        "a": Value("int64"), "b": List(Value("string"))}
    assert Features.infer(table.to_batches()[0]) == Features.infer(table)


def test_types_of_arrow_that_have_no_name_of_their_own() -> None:
    schema = pa.schema({"d": pa.dictionary(pa.int8(), pa.string()), "v": pa.list_view(pa.int8()),
                        "w": pa.large_list_view(pa.int8()), "u": pa.uuid()})
    assert Features.from_arrow_schema(schema) == {
        "d": Value("string"), "v": List(Value("int8")), "w": LargeList(Value("int8")),
        "u": Value("fixed_size_binary[16]")}


def test_a_feature_of_ones_own() -> None:
    from dataclasses import dataclass, field

    @dataclass
    class Upper:
        suffix: str = ""
        _type: str = field(default="Upper", init=False, repr=False)

        def __call__(self) -> pa.DataType:
            return pa.string()

        def encode_example(self, value: str) -> str:
            return value.upper() + self.suffix

    features = Features({"a": [Upper("!")]})
    encoded = features.to_dict()
    with pytest.raises(FeatureError, match=r"no feature is named 'Upper'.*Do: register_feature"):
        Features.from_dict(encoded)
    register_feature(Upper, "Upper")
    try:
        assert Features.from_dict(encoded) == features
        assert features.encode_example({"a": ["x", None]}) == {"a": ["X!", None]}
        assert Features.from_arrow_schema(features.arrow_schema) == features
    finally:
        del FEATURE_TYPES["Upper"]


@pytest.mark.parametrize(("build", "message"), [
    (lambda: Features({"a": [Value("int8"), Value("int8")]}), "Expected one feature in a list"),
    (lambda: Features({"a": "int8"}).type, "'int8' is no feature. Expected a Value"),
    (lambda: Features.from_dict({"dtype": "int8", "_type": "Value"}), "got a single Value"),
    (lambda: Features.from_dict({"a": 3}), "got 3. Expected a dict with a '_type'"),
    (lambda: Features.from_dict({"a": {"_type": "Imag"}}), r"named 'Imag' \(nearest: 'Image'"),
    (lambda: Features.from_yaml_list(
        [{"name": "a", "dtype": {"class_label": {"names": {"0": "x", "2": "y"}}}}]),
     r"names no label \[1\]. Expected a name for each id"),
    (lambda: Features({"a": Value("int8")}).encode_batch({"b": [1]}),
     r"got the columns \['b'\]. Expected \['a'\]"),
    (lambda: Features({"a": Value("int8")}).encode_example(None), "got None. Expected a dict"),
    (lambda: Array2D((1, 2, 3), "int8"), r"Array2D: got shape=\(1, 2, 3\). Expected 2 dimensions"),
    (lambda: Array2D((1, None), "int8"), "only the first dimension may be None"),
])
def test_errors(build: Callable[[], Any], message: str) -> None:
    with pytest.raises(FeatureError, match=message):
        build()


def test_what_has_no_yaml_form() -> None:
    from enfold.data.features.yamls import yaml_of

    with pytest.raises(ArgumentError, match="3 has no YAML form. Expected a dict or list"):
        yaml_of({"a": 3})
