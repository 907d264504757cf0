"""Many files as one stream: promotions told, strict, columns, resuming, what is empty."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enfold.data.features import ClassLabel, Features, Value
from enfold.data.sources import SchemaGrew, delimited, jsons, read
from enfold.errors import DataError, DataFileError

from .conftest import rows_of


def csvs(write: Any, *texts: str) -> list[Path]:
    """Files 0.csv, 1.csv, ..."""
    return [write(f"{number}.csv", text) for number, text in enumerate(texts)]


@pytest.mark.parametrize(("texts", "rows", "told"), [
    (["a\n1\n", "a\n2.5\n"], [{"a": 1.0}, {"a": 2.5}],
     ["column 'a': int64 -> float64 ({1}, line 2: column 'a' holds '2.5', which is no int64)"]),
    (["a\n1\n", "a\n2\nx\n"], [{"a": "1"}, {"a": "2"}, {"a": "x"}],
     ["column 'a': int64 -> large_string ({1}, line 3: column 'a' holds 'x', which is no int64)"]),
    (["a\n01\n", "a\n2.5\n", "a\nx\n"], [{"a": "01"}, {"a": "2.5"}, {"a": "x"}],
     ["column 'a': int64 -> float64 ({1}, line 2: column 'a' holds '2.5', which is no int64)",
      "column 'a': float64 -> large_string ({2}, line 2: column 'a' holds 'x', which is no "
      "float64)"]),
    (["a\n1\n", "a,b\n2,x\n"], [{"a": 1, "b": None}, {"a": 2, "b": "x"}],
     ["new columns ['b'] ({1}, line 2: there are new columns ['b'])"]),
    (["a,b\n1,x\n", "a\n2\n"], [{"a": 1, "b": "x"}, {"a": 2, "b": None}], []),
    (["a\nTrue\n", "a\n1\n"], [{"a": "True"}, {"a": "1"}],
     ["column 'a': bool -> string ({1}, line 2: column 'a' holds '1', which is no bool)"])])
def test_later_files_widen_the_columns_and_it_is_told(texts: list[str], rows: Any, told: list[str],
                                                      write: Any) -> None:
    files = csvs(write, *texts)
    source = read("csv", files)
    assert rows_of(source) == rows
    assert source.promotions == [line.format(*files) for line in told]
    assert [row for batch in read("csv", files).batches(grow=True)
            for row in batch.to_pylist()][-1] == rows[-1]
    if told:
        with pytest.raises(SchemaGrew, match="Batches with the schema before it are out already"):
            list(read("csv", files).batches())


def test_strict_raises_with_file_and_line(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    files = csvs(write, "a\n1\n", "a\n2\n3\n2.5\n")
    with pytest.raises(DataFileError) as raised:
        rows_of(read("csv", files, strict=True))
    assert str(raised.value) == (
        f"{files[1]}, line 4: column 'a' holds '2.5', which is no int64. Expected the columns of "
        f"{files[0]}: {{'a': Value('int64')}}. Do: mend the file, or pass features=, or drop "
        f"strict=True to have the columns widened")
    with pytest.raises(DataFileError, match=r"1.csv, line 2: there are new columns \['b'\]"):
        rows_of(read("csv", csvs(write, "a\n1\n", "a,b\n1,2\n"), strict=True))
    monkeypatch.setattr(delimited, "SIZE", 64)
    path = write("a.csv", "a\n" + "1\n" * 500 + "x\n" + "1\n" * 500)
    with pytest.raises(DataFileError, match="a.csv, line 502: column 'a' holds 'x'"):
        rows_of(read("csv", path, strict=True))


@pytest.mark.parametrize(("first", "second"), [
    ('{"a":1}\n', '{"a":1}\n\n{"a":"x"}\n'), ('{"a":"x"}\n', '{"a":"y"}\n\n{"a":[1]}\n'),
    ('{"a":[1]}\n', '{"a":[2]}\n\n{"a":{"b":1}}\n'), ('{"a":1}\n', '{"a":2}\n\n{"b":1}\n'),
    ('{"a":{"b":1}}\n', '{"a":{"b":2}}\n\n{"a":{"b":"x"}}\n')])
def test_strict_json(first: str, second: str, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [write("0.json", first), write("1.json", second)]
    with pytest.raises(DataFileError, match="1.json, line [13]: "):
        rows_of(read("json", files, strict=True))
    monkeypatch.setattr(jsons, "SIZE", 1)
    with pytest.raises(DataFileError, match="1.json, line 3: "):
        rows_of(read("json", files, strict=True, chunksize=1))


def test_nulls_first(write: Any) -> None:
    files = [write("0.json", '{"a":null,"b":[]}\n'), write("1.json", '{"a":1,"b":[{"x":1}]}\n')]
    source = read("json", files)
    assert rows_of(source) == [{"a": None, "b": []}, {"a": 1, "b": [{"x": 1}]}]
    assert source.features == Features({"a": Value("int64"), "b": [{"x": Value("int64")}]})


def test_a_file_of_other_columns_and_types_in_parquet(tmp_path: Path) -> None:
    features = Features({"label": ClassLabel(names=["no", "yes"]), "n": Value("int32")})
    table = pa.table({"label": [0, 1], "n": pa.array([1, 2], pa.int32())})
    pq.write_table(table.cast(features.arrow_schema), tmp_path / "0.parquet")
    pq.write_table(pa.table({"n": [2 ** 40], "label": [1]}), tmp_path / "1.parquet")
    source = read("parquet", [tmp_path / "0.parquet", tmp_path / "1.parquet"])
    assert rows_of(source) == [{"label": 0, "n": 1}, {"label": 1, "n": 2},
                               {"label": 1, "n": 2 ** 40}]
    assert source.features == features | {"n": Value("int64")}
    assert len(source.promotions) == 1


def test_reading_ends_where_a_type_takes_no_value(tmp_path: Path) -> None:
    for number, array in enumerate([pa.array([[1]]), pa.array([1]), pa.array([b"\xff"])]):
        pq.write_table(pa.table({"a": array}), tmp_path / f"{number}.parquet")
    with pytest.raises(DataFileError, match=r"2.parquet, row 0: column 'a' holds .*, which is no "
                                            r".*Do: mend the file, or pass features=$"):
        rows_of(read("parquet", [tmp_path / f"{i}.parquet" for i in range(3)]))


@pytest.mark.parametrize(("fmt", "empty", "full", "row"), [
    ("csv", "a\n", "a\n1\n", {"a": 1}), ("json", "", '{"a":1}\n', {"a": 1}),
    ("json", "[]", '{"a":1}\n', {"a": 1}), ("text", "", "x\n", {"text": "x"})])
def test_empty_files(fmt: str, empty: str, full: str, row: dict[str, Any], write: Any) -> None:
    files = [write("0", empty), write("1", full)]
    assert rows_of(read(fmt, files)) == rows_of(read(fmt, files[::-1])) == [row]
    assert rows_of(read(fmt, files[:1])) == []


@pytest.mark.parametrize("fmt", ["csv", "json", "parquet", "arrow", "text"])
def test_reading_goes_on_at_any_row(fmt: str, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "SIZE", 200)
    paths = []
    for number in range(3):
        rows = [{"text": f"r{number}-{i}"} for i in range(200)]
        path, table = tmp_path / f"{number}.{fmt}", pa.Table.from_pylist(rows)
        if fmt == "parquet":
            pq.write_table(table, path, row_group_size=30)
        elif fmt == "arrow":
            with pa.ipc.new_file(path, table.schema) as file:
                file.write_table(table, max_chunksize=30)
        else:
            lines = map(json.dumps, rows) if fmt == "json" else [row["text"] for row in rows]
            path.write_text(("text\n" if fmt == "csv" else "") + "\n".join(lines) + "\n")
        paths.append(path)
    options = {"chunksize": 200} if fmt in ("json", "text") else {}
    source = read(fmt, paths, **options)
    wanted = rows_of(source)
    assert len(wanted) == 600
    positions = list(source.positions())
    assert len(positions) >= 20
    for position, _ in positions[::7]:
        start = position.file * 200 + position.row
        assert [row for _, batch in source.positions(position)
                for row in batch.to_pylist()] == wanted[start:]
    assert [row for batch in source.batches(1, 77) for row in batch.to_pylist()] == wanted[277:]


def test_columns(write: Any) -> None:
    path = write("a.csv", "a,b,c\n1,2,3\n")
    assert rows_of(read("csv", path, columns=["c", "a"])) == [{"c": 3, "a": 1}]
    with pytest.raises(DataError, match=r"a.csv has no column 'd'.* Expected some of "):
        rows_of(read("csv", path, columns=["d"]))


@pytest.mark.parametrize(("fmt", "message"), [
    ("pandas", "pandas: pickled frames are not loaded, because a pickle can run any code"),
    ("cvs", "no format is called 'cvs' .nearest: 'csv'.. Expected one of csv, json, "),
    ("fasta", "fasta: files of this format are not read here. Expected one of csv, ")])
def test_formats_that_are_not_read(fmt: str, message: str) -> None:
    with pytest.raises((DataError, NotImplementedError), match=message):
        read(fmt, ["a"])
