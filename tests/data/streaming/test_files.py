from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enfold.data.features import Features, Value
from enfold.data.sources import blocks
from enfold.data.streaming import IterableDataset
from tests.data.streaming.streams import resumes


@pytest.fixture
def lines(tmp_path):
    for number in range(3):
        rows = "".join(f"{number * 500 + i},{'x' * 20}\n" for i in range(500))
        (tmp_path / f"{number}.csv").write_text("a,b\n" + rows)
    return tmp_path


def csv(folder, **options):
    return IterableDataset.from_csv(sorted(map(str, folder.glob("*.csv"))), **options)


def test_a_shard_per_file(lines):
    ds = csv(lines)
    assert (ds.num_shards, ds.features, str(ds.split)) == (3, None, "train")
    assert [row["a"] for row in ds] == list(range(1500))
    assert [row["a"] for row in ds.shard(3, 1)] == list(range(500, 1000))
    typed = csv(lines, features=Features({"a": Value("string"), "b": Value("string")}))
    assert next(iter(typed)) == {"a": "0", "b": "x" * 20}


@pytest.mark.parametrize("change", [lambda ds: ds, lambda ds: ds.shuffle(seed=1, buffer_size=40)])
def test_files_resume(lines, change, monkeypatch):
    monkeypatch.setattr(blocks.blocks, "__defaults__", (4096, *blocks.blocks.__defaults__[1:]))
    assert len(resumes(lambda: change(csv(lines)))) == 1500


def test_columns_widen_on_the_way_and_stay_so(lines, caplog):
    with open(lines / "1.csv", "a") as file:
        file.write("0.5,y\n2,z\n")
    rows = resumes(lambda: csv(lines), stops=[400, 1000, 1001, 1002, 1003, 1400])
    assert len(rows) == 1502
    assert "column 'a': int64 -> float64" in caplog.text


def test_parquet_knows_its_features_and_resumes_in_a_row_group(tmp_path):
    for number in range(2):
        pq.write_table(pa.table({"a": range(number * 300, number * 300 + 300)}),
                       tmp_path / f"{number}.parquet", row_group_size=70)
    rows = resumes(lambda: IterableDataset.from_parquet(str(tmp_path / "*.parquet")))
    assert [row["a"] for row in rows] == list(range(600))
    ds = IterableDataset.from_parquet(str(tmp_path / "*.parquet"), filters=[("a", ">", 500)])
    assert ds.features == {"a": Value("int64")}
    assert len(list(ds)) == 99


def test_text_and_json(tmp_path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "a.jsonl").write_text('{"x": [1, 2]}\n{"x": []}\n')
    assert list(IterableDataset.from_text(tmp_path / "a.txt")) == [{"text": "one"},
                                                                   {"text": "two"}]
    assert list(IterableDataset.from_json(tmp_path / "a.jsonl")) == [{"x": [1, 2]}, {"x": []}]


def test_an_arrow_file(tmp_path):
    table = pa.table({"a": range(2500)})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, \
            pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    ds = IterableDataset.from_file(str(tmp_path / "a.arrow"))
    assert ds.column_names == ["a"]
    assert [row["a"] for row in ds] == list(range(2500))


def test_frames_of_polars():
    import polars
    frame = polars.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"]})
    for given in (frame, frame.lazy()):
        ds = IterableDataset.from_polars(given)
        assert ds.column_names == ["a", "b"]
        assert list(ds) == frame.to_dicts()
        assert len(resumes(lambda given=given: IterableDataset.from_polars(given))) == 3


def test_what_load_dataset_streams_resumes_and_is_resharded_by_row_group(tmp_path):
    from enfold.data import load_dataset
    for number in range(2):
        pq.write_table(pa.table({"a": range(number * 300, number * 300 + 300)}),
                       tmp_path / f"{number}.parquet", row_group_size=100)

    def make():
        return load_dataset("parquet", data_files=str(tmp_path / "*.parquet"), streaming=True,
                            split="train")

    assert [row["a"] for row in resumes(make)] == list(range(600))
    assert (make().num_shards, make().reshard().num_shards) == (2, 6)
    assert [row["a"] for row in resumes(lambda: make().reshard())] == list(range(600))
    list(islice(ds := make(), 250))
    assert ds.state_dict()["examples_iterable"]["mark"]["at"] == [200, 2]  # its third row group
