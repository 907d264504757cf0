"""to_csv, to_json, to_parquet, to_sql, to_pandas, to_polars: where they write, what they refuse."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import sqlite3

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from enfold.data import Array2D, Dataset, Features, Json, List, Value
from enfold.data.io.target import WriteError


def _small(rows=10):
    return Dataset.from_dict({"n": list(range(rows)), "t": [f"text {n}" for n in range(rows)]})


@pytest.mark.parametrize("method", ["to_csv", "to_json"])
def test_processes_write_the_same(tmp_path, method):
    data = _small(3000).shuffle(seed=0)
    getattr(data, method)(tmp_path / "one")
    written = getattr(data, method)(tmp_path / "two", num_proc=2, batch_size=100)
    assert (tmp_path / "two").read_bytes() == (tmp_path / "one").read_bytes()
    assert written == (tmp_path / "two").stat().st_size


@pytest.mark.parametrize("method", ["to_csv", "to_json"])
@pytest.mark.parametrize(("extension", "unpack"), [
    ("gz", gzip.decompress), ("bz2", bz2.decompress), ("xz", lzma.decompress)])
def test_compression_goes_by_the_extension(tmp_path, method, extension, unpack):
    data = _small()
    getattr(data, method)(tmp_path / "plain")
    getattr(data, method)(tmp_path / f"data.{extension}")
    assert unpack((tmp_path / f"data.{extension}").read_bytes()) == \
        (tmp_path / "plain").read_bytes()
    getattr(data, method)(tmp_path / f"not.{extension}", compression=None)
    assert (tmp_path / f"not.{extension}").read_bytes() == (tmp_path / "plain").read_bytes()


@pytest.mark.parametrize("method", ["to_csv", "to_json", "to_parquet"])
@pytest.mark.parametrize("place", ["path", "str", "url", "file", "home", "new folder"])
def test_places(tmp_path, monkeypatch, method, place):
    import fsspec

    monkeypatch.setenv("HOME", str(tmp_path))
    data, plain = _small(), io.BytesIO()
    getattr(data, method)(plain)
    if place == "url":
        getattr(data, method)("memory://there/data")
        found = fsspec.filesystem("memory").cat_file("/there/data")
    elif place == "file":
        with open(tmp_path / "data", "wb") as file:
            getattr(data, method)(file)
        found = (tmp_path / "data").read_bytes()
    else:
        path = tmp_path / ("new/data" if place == "new folder" else "data")
        named = {"str": str(path), "home": "~/data"}.get(place, path)
        getattr(data, method)(named)
        found = path.read_bytes()
    assert found == plain.getvalue()


@pytest.mark.parametrize("method", ["to_csv", "to_json", "to_parquet"])
def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch, method):
    path = tmp_path / "data"
    path.write_text("old")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("enfold.data.frame.Frame.slice", full)
    with pytest.raises(WriteError, match=r"data: could not be written.*No space.*as it was. Do: "):
        getattr(_small(), method)(path)
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("data", "old")]


@pytest.mark.parametrize("method", ["to_csv", "to_json", "to_parquet", "save_to_disk"])
def test_an_error_of_a_function_is_not_the_files(tmp_path, method):
    def read(row):
        if row["n"] == 1500:
            open("nowhere.txt")  # noqa: SIM115
        return {"m": row["n"]}

    data = _small(2000).map(read, batch_size=10)
    with pytest.raises(FileNotFoundError, match=r"nowhere\.txt") as caught:
        getattr(data, method)(tmp_path / "out")
    assert not isinstance(caught.value, WriteError)


def test_devices_and_links_are_written_to(tmp_path):
    assert _small().to_csv(os.devnull) > 0
    (tmp_path / "link").symlink_to(tmp_path / "file")
    _small().to_csv(tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").stat().st_size


def test_one_json_document_of_many_rows(tmp_path):
    _small(2500).to_json(tmp_path / "data.json", lines=False)
    assert len(json.loads((tmp_path / "data.json").read_text())) == 2500
    with pytest.raises(NotImplementedError, match=r"batch_size=10 of 2500 rows.*leave out"):
        _small(2500).to_json(tmp_path / "data.json", lines=False, batch_size=10)


def test_refused(tmp_path):
    with pytest.raises(ValueError, match="num_proc 0 must be an integer > 0"):
        _small().to_csv(tmp_path / "x", num_proc=0)
    with pytest.raises(NotImplementedError, match="zip compression is not supported"):
        _small().to_json(tmp_path / "x", compression="zip")
    with pytest.raises(NotImplementedError, match="when writing to a buffer.*Do: give a path"):
        _small().to_json(io.BytesIO(), compression="gzip")


def test_parquet_row_groups(tmp_path, monkeypatch):
    from enfold.data import config

    data = Dataset.from_dict({"x": [b"abc"] * 10}, features=Features({"x": Value("binary")}))
    monkeypatch.setattr(config, "PARQUET_ROW_GROUP_SIZE_FOR_BINARY_DATASETS", 4)
    data.to_parquet(tmp_path / "a")
    assert pq.ParquetFile(tmp_path / "a").metadata.num_row_groups == 3
    monkeypatch.setattr(config, "PARQUET_ROW_GROUP_SIZE_FOR_BINARY_DATASETS", None)
    monkeypatch.setattr(config, "MAX_ROW_GROUP_SIZE", data._estimate_nbytes() // 2)
    data.to_parquet(tmp_path / "a")
    assert pq.ParquetFile(tmp_path / "a").metadata.num_row_groups == 2


def test_parquet_compression(tmp_path):
    _small().to_parquet(tmp_path / "a", compression="zstd")
    column = pq.ParquetFile(tmp_path / "a").metadata.row_group(0).column(0)
    assert column.compression == "ZSTD"


@pytest.mark.parametrize("num_proc", [None, 2])
def test_sql(tmp_path, num_proc):
    pytest.importorskip("sqlalchemy", reason="SQLAlchemy, which opens URLs, is not installed")
    path = tmp_path / "data.db"
    written = _small(50).to_sql("t", f"sqlite:///{path}", batch_size=20, num_proc=num_proc)
    with sqlite3.connect(path) as con:
        assert con.execute("select count(*), sum(n) from t").fetchone() == (50, 1225)
        assert written == 50
        _small(3).to_sql("t", con, if_exists="replace")
        assert con.execute("select * from t").fetchall() == [(n, f"text {n}") for n in range(3)]
    assert Dataset.from_sql("select t from t", f"sqlite:///{path}",
                            cache_dir=str(tmp_path))["t"][:] == ["text 0", "text 1", "text 2"]


def test_pandas():
    data = _small().shuffle(seed=1)
    pd.testing.assert_frame_equal(data.to_pandas(), pd.DataFrame(data[:]).astype(
        data.to_pandas().dtypes))
    parts = list(data.to_pandas(batched=True, batch_size=4))
    assert [len(part) for part in parts] == [4, 4, 2]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), data.to_pandas())


def test_pandas_holds_the_values_of_json_and_arrays():
    data = Dataset.from_dict(
        {"j": [{"a": 1}, None], "l": [[{"b": 2}], None], "s": [{"x": [1]}, None],
         "m": [[[1, 2]], [[3, 4]]]},
        features=Features({"j": Json(), "l": List(Json()), "s": {"x": Json()},
                           "m": Array2D((1, 2), "int8")}))
    frame = data.to_pandas()
    assert frame["j"].tolist() == [{"a": 1}, None] and frame["l"].tolist() == [[{"b": 2}], None]
    assert frame["s"].tolist() == [{"x": [1]}, None]
    assert str(frame["m"].dtype) == "array[int8]" and frame["m"][1].tolist() == [[3, 4]]


def test_polars():
    data = _small().select([3, 1])
    assert data.to_polars().to_dicts() == list(data)
    assert [len(part) for part in data.to_polars(batched=True, batch_size=1)] == [1, 1]
    assert data.to_polars(schema_overrides={"n": pl.Int8}).schema["n"] == pl.Int8


def test_streams_of_a_dataset():
    data = _small().with_format("numpy")
    stream = data.to_iterable_dataset(num_shards=3)
    assert stream.num_shards == 3 and stream.features == data.features
    assert [int(row["n"]) for row in stream] == list(range(10))
    with pytest.raises(ValueError, match="Unable to shard a dataset of size 10 into 11 shards"):
        data.to_iterable_dataset(11)
