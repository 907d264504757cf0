"""JSON in all its forms: types and rows are those of `datasets`."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enfold.data.features import Features
from enfold.data.sources import read
from enfold.errors import ArgumentError, DataFileError

from .conftest import loaded, rows_of

TEXTS = [
    '{"a":1,"b":"x"}\n{"a":2.5,"b":null}\n', '{"a":1}\n{"a":"x"}\n', '{"a":1}\n{"b":"x"}\n',
    '[{"a":1},{"a":2,"c":[1,2]}]', '["x","y"]', '{"a":[1,2],"b":["x","y"]}',
    '{\n"a":1,\n"b":2}\n', '{"a":"2020-01-01 00:00:00"}\n{"a":"2020-01-02"}\n',
    '{"a":{"x":1}}\n{"a":{"y":2}}\n', '{"a":[{"x":1},{"y":2}]}\n', '{"a":[1,"x"]}\n',
    '{"a":null}\n{"a":null}\n', '{"a":[]}\n', '{"a":{}}\n', "[1,2]", '{"a":true}\n{"a":1}\n',
    '{"a":12345678901234567890123}\n', '{"a":1.5}{"a":2}', '\n\n{"a":1}\n\n{"a":2}\n',
    "[[1,2],[3,4]]", '{"a": [[1,2],[3]]}\n', ' [{"a":1}]', '{"d":[{"a":1},{"a":2}]}',
    '\ufeff{"a":1}\n', '{"a":{"x":1,"y":2}}\n{"a":{"y":2,"x":1}}\n',
    '{"a":{"x":1}}\n{"a":null}\n', '{"a":18446744073709551615}\n', '{"a":[null,1]}\n{"a":null}\n',
    '{"a":"12:30:00"}\n', '[{"a":1},{"a":"x"}]', '[{"a":1},{"b":2}]',
    '{"a":"2020-01-01T10:00:00"}\n{"a":"foo"}\n', '{"a":1}\n{"a":{"x":1}}\n',
    '{"a":{"b":{"c":1}}}\n{"a":{"b":{"d":1}}}\n', '{"a":1}\r\n{"a":2}\r\n']


def decoded(rows: list[dict[str, Any]], schema: pa.Schema) -> list[dict[str, Any]]:
    """Rows with JSON text read, since how it is spaced and escaped is no matter."""
    features = Features.from_arrow_schema(schema)
    return [features.decode_example(row) for row in rows]


@pytest.mark.parametrize("text", TEXTS)
def test_reads_what_datasets_reads(text: str, write: Any, oracle: Any) -> None:
    path = write("a.json", text)
    schema, rows = loaded("json", path)
    expected, wanted = oracle("json", path)
    assert schema == expected
    assert decoded(rows, schema) == decoded(wanted, expected)


@pytest.mark.parametrize(("text", "options"), [
    ('{"d":[{"a":1},{"a":2}]}', {"field": "d"}), ('{"d":["x","y"]}', {"field": "d"}),
    ('{"d":{"a":[1,2],"b":[3,4]}}', {"field": "d"}), ('{"d":[{"a":1},{"b":2}]}', {"field": "d"}),
    ('{"a":1}\n' * 50, {"chunksize": 16}), ('[{"a":1},{"a":2}]', {"chunksize": 3})])
def test_options_mean_what_they_do_in_datasets(text: str, options: dict[str, Any], write: Any,
                                               oracle: Any) -> None:
    path = write("a.json", text)
    schema, rows = loaded("json", path, **options)
    expected, wanted = oracle("json", path, **options)
    assert rows == wanted
    assert schema == (expected if text != '{"d":[{"a":1},{"b":2}]}' else pa.schema(
        {"a": pa.int64(), "b": pa.int64()}))


def test_encoding(write: Any) -> None:
    path = write("a.json", '{"a":"é"}\n'.encode("latin-1"))
    assert loaded("json", path, encoding="latin-1")[1] == [{"a": "é"}]
    with pytest.raises(DataFileError, match="a.json, line 1: the byte 0xe9 is no utf-8"):
        loaded("json", path)


def test_mixed_types_become_text_if_asked(write: Any) -> None:
    path = write("a.json", '{"a":1}\n{"a":"x"}\n{"a":true}\n')
    schema, rows = loaded("json", path, on_mixed_types=None)
    assert (schema, [row["a"] for row in rows]) == (pa.schema({"a": pa.string()}),
                                                    ["1", "x", "true"])


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab\n\"[{", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner,
                                                               max_size=3), max_leaves=5)
ROWS = st.lists(st.dictionaries(st.sampled_from("ab"), VALUES, min_size=1), min_size=1, max_size=8)


def plain(value: Any) -> Any:
    """Objects without what is null, which a table has for every key."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    return [plain(item) for item in value] if isinstance(value, list) else value


@settings(max_examples=150, deadline=None, derandomize=True,
          suppress_health_check=list(HealthCheck))
@given(ROWS, st.booleans(), st.sampled_from([None, 0, 2]), st.sampled_from([1, 20, 1 << 20]))
def test_any_rows_come_back(tmp_path: Any, rows: list[Any], array: bool, indent: int | None,
                            size: int) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows, indent=indent) if array else
                    "\n".join(json.dumps(row, indent=indent) for row in rows))
    source = read("json", path)
    found = decoded(rows_of(source), source.schema)
    assert [plain(row) for row in found] == [plain(row) for row in rows]
    if not source.promotions and not array and indent is None:
        chunked = read("json", path, chunksize=size)
        rows_of(chunked)
        assert set(chunked.features) == set(source.features)


@pytest.mark.parametrize(("content", "options", "message"), [
    ('{"a":1}\n{"a":\n', {}, ", line 3: not JSON: expecting value. Expected one object a line, or "
     "an array of objects. Do: mend or remove it"),
    ('{"a":1}\nxx\n', {}, ", line 2: not JSON: expecting value. Expected one object a line, or an "
     "array of objects. Do: mend or remove it"),
    ('[{"a":1},\n{"a":2}', {}, ", line 2: not JSON: the array is not closed: ']' is missing at "
     "the end. Expected one object a line, or an array of objects. Do: mend or remove it"),
    ('[{"a":1}\n{"a":2}]', {}, ", line 2: not JSON: expected ',' or ']' after an item of the array. "  # noqa: E501
     "Expected one object a line, or an array of objects. Do: mend or remove it"),
    ('[{"a":1}]\n{}', {}, ", line 2: not JSON: there is more after the array's end. Expected one "
     "object a line, or an array of objects. Do: mend or remove it"),
    ('{"a":1}\n{"a":1,"a":2}\n', {}, ", line 2: the key 'a' is there twice. Expected each key once "
     "in an object"),
    ('[{"a":1},2]', {}, ", line 1: some of the values from here on are objects, some are not. "
     "Expected objects, one a row"),
    ('{"data":[]}', {"field": "date"}, ": has no field 'date' (nearest: 'data'). Expected one of "
     "['data']"),
    ('{"d":3}', {"field": "d"}, ": field 'd' is a int. Expected a list of objects, or an object of "
     "columns"),
    ('{"d":{"a":[1],"b":2}}', {"field": "d"}, ", field 'd' is an object whose values are no "
     "columns of one length. Expected a list of objects, or an object of lists of one length"),
    ('{"a":"x"}\n\n{"a":["\\ud800"]}\n', {}, ", line 3: holds half of a surrogate pair, like "
     "\\ud800, which is no text. Do: mend or remove it"),
    ('{"d":\n[}', {"field": "d"}, ", line 2: not JSON: Expecting value")])
def test_bad_files_are_named_with_the_line(content: str, options: dict[str, Any], message: str,
                                           write: Any) -> None:
    path = write("a.json", content)
    with pytest.raises(DataFileError) as raised:
        rows_of(read("json", path, **options))
    assert str(raised.value) == f"{path}{message}"


def test_unknown_options(write: Any) -> None:
    with pytest.raises(ArgumentError, match=r"json: unknown argument 'feild' \(nearest: 'field'\)"):
        read("json", write("a.json", "{}"), feild="d")
    with pytest.raises(ArgumentError, match="on_mixed_types='x'. Expected 'use_json' or None"):
        read("json", write("a.json", "{}"), on_mixed_types="x")


def test_features(write: Any) -> None:
    path = write("a.json", '{"a":1}\n{"a":"x"}\n')
    wanted = pa.schema({"a": pa.string(), "b": pa.int32()})
    assert loaded("json", path, features=wanted) == (
        wanted, [{"a": "1", "b": None}, {"a": "x", "b": None}])
    with pytest.raises(DataFileError) as raised:
        rows_of(read("json", path, features=pa.schema({"b": pa.int32()})))
    assert str(raised.value) == f"{path}: has the columns ['a'], which are no features. " \
                                "Expected ['b']"
