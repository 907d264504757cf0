"""Random files, the same every time: each is read to its end, or the error names file and line.

What JSON holds comes back as the schema's types allow (`converted`), whatever the blocks; what is
no JSON or CSV is refused where Python's own parsers refuse it.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enfold.data.features import Features, Json, List, Value
from enfold.data.sources import jsons, read
from enfold.errors import DataFileError

SIZES = [1, 30, 1 << 20]
SCALARS = [None, True, 0, -5, 2.0, 0.5, 1e300, 2 ** 53 + 1, "", "a", "1", "null", "[1]", 'é\n"q"']


def value(source: random.Random, depth: int) -> Any:
    """A JSON value with lists and objects of up to `depth` levels."""
    kind = source.choice("sslo") if depth else "s"
    if kind == "s":
        return source.choice(SCALARS)
    some = [value(source, depth - 1) for _ in range(source.randint(0, 3))]
    return some if kind == "l" else {source.choice("xyz"): inner for inner in some}


def table(source: random.Random) -> list[dict[str, Any]]:
    """A few rows, whose fields mix types."""
    return [{name: value(source, 2) for name in "ab" if source.random() < .8} or {"a": 1}
            for _ in range(source.randint(1, 8))]


def converted(found: Any, feature: Any) -> Any:
    """A JSON value in a column of this type, by the promotions of `features/promote.py`."""
    if found is None or isinstance(feature, Json):
        return found
    if isinstance(feature, List):
        return [converted(item, feature.feature) for item in found]
    if isinstance(feature, dict):
        return {name: converted(found.get(name), inner) for name, inner in feature.items()}
    if feature.dtype == "string":
        return found if isinstance(found, str) else json.dumps(found)
    assert isinstance(found, {"float64": int | float, "int64": int | float,
                              "bool": bool}[feature.dtype]), (found, feature)
    if feature.dtype == "int64":
        assert int(found) == found
    return {"float64": float, "int64": int, "bool": bool}[feature.dtype](found)


def rows_of(paths: list[Path], **options: Any) -> tuple[Features, list[dict[str, Any]]]:
    """The features that fit all, and the decoded rows."""
    source = read("json", paths, **options)
    batches = source.consume(list)
    return source.features, [source.features.decode_example(row)
                             for batch in batches for row in batch.to_pylist()]


@pytest.mark.parametrize("block", range(10))
def test_json_of_mixed_types_reads_the_same_in_blocks_of_any_size(block: int, tmp_path: Path,
                                                                 ) -> None:
    path = tmp_path / "a.json"
    for seed in range(20 * block, 20 * block + 20):
        rows = table(random.Random(seed))
        path.write_text("\n".join(map(json.dumps, rows)))
        results = [rows_of([path], chunksize=size) for size in SIZES]
        features, found = results[0]
        assert str(results[1:]) == str(results[:1] * 2), seed  # 1 is not True here
        wanted = [{name: converted(row.get(name), kind) for name, kind in features.items()}
                  for row in rows]
        assert str(found) == str(wanted), seed


@pytest.mark.parametrize("block", range(10))
def test_widening_ends_wherever_the_types_change(block: int, tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema is that of the first row here, so every other one may widen it."""
    monkeypatch.setattr(jsons, "SIZE", 1)
    for seed in range(10_000 + 20 * block, 10_000 + 20 * block + 20):
        source = random.Random(seed)
        tables = [table(source) for _ in range(source.choice([1, 1, 2]))]
        paths = [tmp_path / f"{i}.json" for i in range(len(tables))]
        for path, rows in zip(paths, tables, strict=True):
            path.write_text("\n".join(map(json.dumps, rows)))
        for size in SIZES[:2]:
            features, found = rows_of(paths, chunksize=size)
            wanted = [{name: converted(row.get(name), kind) for name, kind in features.items()}
                      for rows in tables for row in rows]
            assert str(found) == str(wanted), (seed, size)


def test_an_object_in_a_later_block_makes_json_of_text_and_says_so(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsons, "SIZE", 1)
    path = tmp_path / "a.json"
    path.write_text('{"a":"x"}\n{"a":"y"}\n{"a":{"z":1}}\n')
    source = read("json", path, chunksize=12)
    assert [source.features.decode_example(row) for batch in source.consume(list)
            for row in batch.to_pylist()] == [{"a": "x"}, {"a": "y"}, {"a": {"z": 1}}]
    assert source.promotions == [f"column 'a': string -> Json(decode=True) ({path}, line 3: column "
                                 "'a' holds '{\"z\":1}', which is no string)"]
    with pytest.raises(DataFileError, match="a.json, line 3: column 'a' holds "):
        read("json", path, chunksize=12, strict=True).consume(list)
    wanted = Features({"a": Value("string")})
    assert rows_of([path], features=wanted)[1][2] == {"a": '{"z":1}'}


# what is cut, doubled or put into sound text to spoil it
DAMAGE = st.sampled_from(["", "{", "}", "[", "]", '"', ",", ":", "\n", "\\", "nul", "\x00", "\t",
                          "1", '{"a":1}', "\r", "\ufeff", "é", "tru", '"\\ud800"', "NaN"])
SPOILED = st.lists(st.tuples(st.integers(0, 200), st.integers(0, 5), DAMAGE), max_size=3)
FUZZ = settings(max_examples=500, deadline=None, derandomize=True, database=None,
                suppress_health_check=list(HealthCheck))


def spoiled(text: str, damage: list[tuple[int, int, str]]) -> bytes:
    """`text` with some of it replaced."""
    for at, length, new in damage:
        at = at % (len(text) + 1)
        text = text[:at] + new + text[at + length:]
    return text.encode()


def named(path: Path, error: DataFileError) -> None:
    """Whether the error says where."""
    assert re.match(re.escape(str(path)) + r", line \d+: ", str(error)), error


def parsed_json(text: bytes) -> list[Any] | None:
    """The values of lines, of an array or one after the other by Python's parser, or None."""
    try:
        rest, found = text.decode().removeprefix("\ufeff"), []
        decode = json.JSONDecoder().raw_decode
        while rest := rest.lstrip(" \t\r\n"):
            one, end = decode(rest)
            found.append(one)
            rest = rest[end:]
    except ValueError:
        return None
    return found[0] if len(found) == 1 and isinstance(found[0], list) else found


def _plain(found: Any) -> Any:
    """Objects without what is null, which a table has for every key; numbers as floats."""
    if isinstance(found, dict):
        return {key: _plain(found[key]) for key in sorted(found) if found[key] is not None}
    if isinstance(found, list):
        return [_plain(item) for item in found]
    return float(found) if isinstance(found, int) and not isinstance(found, bool) else found


ROWS = st.lists(st.fixed_dictionaries({"a": st.integers(-9, 9), "b": st.text("xy\n", max_size=3)},
                                      optional={"c": st.lists(st.booleans(), max_size=2)}),
                min_size=1, max_size=6)


@FUZZ
@given(ROWS, st.sampled_from([None, "array"]), SPOILED, st.sampled_from([1, 20, 1 << 20]))
def test_spoiled_json(tmp_path: Path, rows: list[Any], form: str | None,
                      damage: list[tuple[int, int, str]], size: int) -> None:
    path = tmp_path / "a.json"
    text = json.dumps(rows, indent=1) if form else "\n".join(map(json.dumps, rows))
    path.write_bytes(spoiled(text, damage))
    wanted = parsed_json(path.read_bytes())
    try:
        found = rows_of([path], chunksize=size)[1]
    except DataFileError as error:
        named(path, error)
        return
    assert wanted is not None
    wanted = [row if isinstance(row, dict) else {"text": row} for row in wanted]
    assert str(_plain(found)) == str(_plain(wanted))


def parsed_csv(text: bytes) -> list[list[str]] | None:
    """The records by Python's parser without empty ones, or None where it refuses them."""
    try:
        records = list(csv.reader(io.StringIO(text.decode().removeprefix("\ufeff"), newline=""),
                                  strict=False))
    except (ValueError, csv.Error):
        return None
    return [record for record in records if record and (len(record) > 1 or record[0].strip())]


CELLS = st.text(st.sampled_from('ab1 ,"\n'), max_size=5)


@FUZZ
@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8), SPOILED)
def test_spoiled_csv(tmp_path: Path, rows: list[tuple[str, str]],
                     damage: list[tuple[int, int, str]]) -> None:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([("x", "y"), *rows])
    path = tmp_path / "a.csv"
    path.write_bytes(b"x,y\n" + spoiled(out.getvalue()[4:], damage))
    wanted = parsed_csv(path.read_bytes())
    texts = pa.schema({"x": pa.string(), "y": pa.string()})
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = [row for batch in read("csv", path, na_filter=False, features=texts).batches()
                     for row in batch.to_pylist()]
    except DataFileError as error:
        named(path, error)
        return
    assert wanted is not None
    assert found == [dict(zip("xy", (*record, ""), strict=False)) for record in wanted[1:]]
