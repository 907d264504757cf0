import sqlite3
from contextlib import closing

import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enfold.data.features import Features, Value
from enfold.data.streaming import IterableDataset, export
from tests.data.streaming.streams import generated, tabled

ROWS = [{"i": i, "b": str(i)} for i in range(5)]


def test_in_memory():
    ds = tabled(2, 5)
    assert ds.to_list() == ROWS
    assert ds.to_dict() == {"i": [0, 1, 2, 3, 4], "b": ["0", "1", "2", "3", "4"]}
    pandas.testing.assert_frame_equal(ds.to_pandas(), pandas.DataFrame(ROWS))
    assert ds.to_polars().to_dicts() == ROWS
    assert tabled(1, 0).to_dict() == {"i": [], "b": []}


def test_in_batches():
    ds = tabled(2, 5)
    assert [part["i"] for part in ds.to_dict(batch_size=2, batched=True)] == [[0, 1], [2, 3], [4]]
    assert [len(part) for part in ds.to_pandas(batch_size=3, batched=True)] == [3, 2]
    assert [len(part) for part in ds.to_polars(batch_size=3, batched=True)] == [3, 2]


def test_features_that_were_declared():
    frame = IterableDataset.from_frame(pa.table({"a": [0, None]}),
                                       Features({"a": Value("int32")})).to_pandas()
    assert frame["a"].iloc[0] == 0
    assert pandas.isna(frame["a"].iloc[1])


@pytest.mark.parametrize("make", [lambda: tabled(2, 5), lambda: tabled(2, 5).map(dict)])
def test_in_files(make, tmp_path):
    make().to_csv(tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[:2] == ["i,b", "0,0"]
    make().to_json(tmp_path / "a.jsonl")
    assert (tmp_path / "a.jsonl").read_text().splitlines()[1] == '{"i":1,"b":"1"}'
    make().to_parquet(tmp_path / "a.parquet")
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == ROWS
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        assert make().to_sql("rows", connection) == 5


def test_parquet_is_written_a_row_group_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(export, "GROUP", 20_000)
    tabled().to_parquet(tmp_path / "a.parquet")
    tabled().to_parquet(tmp_path / "b.parquet", batch_size=700)
    sizes = [[part.num_rows for part in map(pq.ParquetFile(path).metadata.row_group, range(number))]
             for path, number in ((tmp_path / "a.parquet", 2), (tmp_path / "b.parquet", 4))]
    assert sizes == [[2000, 300], [700, 700, 700, 200]]


def test_generated_rows():
    assert generated(1).to_list() == list(generated(1))


@pytest.mark.parametrize(("make", "data"), [
    (IterableDataset.from_list, ROWS), (IterableDataset.from_dict, {"i": [0, 1], "b": ["0", "1"]}),
    (IterableDataset.from_pandas, pandas.DataFrame(ROWS))])
def test_of_what_is_in_memory(make, data):
    ds = make(data, num_shards=2)
    assert (ds.num_shards, ds.column_names) == (2, ["i", "b"])
    assert list(ds)[:2] == ROWS[:2]
