import gzip
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


@pytest.mark.parametrize("rows", [0, 1, 2300])
@pytest.mark.parametrize("options", [{}, {"batch_size": 700}, {"header": False}],
                         ids=["default", "batches", "no header"])
def test_files_written_in_blocks_are_as_those_of_all_rows(rows, options, tmp_path):
    stream, whole = tabled(2, rows), tabled(2, rows)._dataset()
    assert stream.to_csv(tmp_path / "a.csv.gz", **options) == whole.to_csv(
        tmp_path / "b.csv.gz", **options)
    texts = [gzip.decompress((tmp_path / name).read_bytes()) for name in ("a.csv.gz", "b.csv.gz")]
    assert texts[0] == texts[1]
    options = {key: value for key, value in options.items() if key != "header"}
    assert stream.to_json(tmp_path / "a.jsonl", **options) == whole.to_json(
        tmp_path / "b.jsonl", **options)
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        assert stream.to_sql("rows", connection, **options) == rows
        assert len(pandas.read_sql("select * from rows", connection)) == rows


def test_blocks_are_written_as_they_come(tmp_path, monkeypatch):
    monkeypatch.setattr(IterableDataset, "_dataset", None)  # all rows
    stream = tabled(2, 2300)
    stream.to_csv(tmp_path / "a.csv")
    stream.to_json(tmp_path / "a.jsonl")
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        stream.to_sql("rows", connection)


def test_one_document_of_json_is_not_made_of_blocks(tmp_path):
    tabled(2, 2300).to_json(tmp_path / "a.json", lines=False)
    assert len(pandas.read_json(tmp_path / "a.json")) == 2300


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
