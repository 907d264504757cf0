"""load_dataset against the real library: formats, forms of data_files, splits, streams, caches."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import sqlite3
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enfold.data.load import (
    get_dataset_config_info,
    get_dataset_config_names,
    get_dataset_default_config_name,
    get_dataset_infos,
    get_dataset_split_names,
    load_dataset,
    load_dataset_builder,
    load_from_disk,
)

Write = Callable[[str, str | bytes], str]
CSV = "text,label\nhello,0\nworld,1\nagain,0\n"
JSONL = '{"a": 1, "b": {"c": ["x"]}}\n{"a": 2, "b": {"c": []}}\n'


def both(*args: Any, **options: Any) -> tuple[Any, Any]:
    """What we load and what the real library loads."""
    theirs = datasets.load_dataset(*args, **options, cache_dir=os.environ["HF_HOME"])
    return load_dataset(*args, **options), theirs


def same(ours: Any, theirs: Any) -> None:
    assert list(ours) == list(theirs)
    for split in theirs:
        assert repr(ours[split].features) == repr(theirs[split].features)
        assert ours[split].to_list() == theirs[split].to_list()


@pytest.fixture
def parquet(tmp_path: Path) -> str:
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": [1, 2, 3, 4], "y": list("abcd")}), path, row_group_size=2)
    return path


@pytest.mark.parametrize(("fmt", "name", "content", "options"), [
    ("csv", "a.csv", CSV, {}),
    ("csv", "a.tsv", "a\tb\n1\t\n2\tx\n", {"sep": "\t"}),
    ("csv", "a.csv", "1;2\n3;4\n", {"delimiter": ";", "column_names": ["p", "q"]}),
    ("csv", "a.csv", "x\n1\nNA\n-\n", {"na_values": ["-"]}),
    ("json", "a.jsonl", JSONL, {}),
    ("json", "a.json", '[{"a": 1}, {"a": 2}]', {}),
    ("json", "a.json", '{"data": [{"a": 1}], "n": 3}', {"field": "data"}),
    ("text", "a.txt", "one\n\ntwo\nthree\n", {}),
    ("text", "a.txt", "one\ntwo\n\nthree\n", {"sample_by": "paragraph"}),
    ("text", "a.txt", "one\ntwo\n", {"sample_by": "document"}),
    ("text", "a.txt", "one\ntwo\n", {"keep_linebreaks": True}),
])
def test_formats(write: Write, fmt: str, name: str, content: str, options: dict[str, Any]) -> None:
    same(*both(fmt, data_files=write(name, content), **options))


def test_features(write: Write) -> None:
    from enfold.data.features import ClassLabel, Features, Value
    path = write("a.csv", CSV)
    ours = load_dataset("csv", data_files=path, split="train", features=Features(
        {"text": Value("string"), "label": ClassLabel(names=["no", "yes"])}))
    theirs = datasets.load_dataset("csv", data_files=path, split="train",
                                   features=datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])}),
        cache_dir=os.environ["HF_HOME"])
    assert ours.to_list() == theirs.to_list() and repr(ours.features) == repr(theirs.features)


@pytest.mark.parametrize("options", [
    {}, {"columns": ["y"]}, {"filters": [("x", ">", 2)]}, {"batch_size": 1}])
def test_parquet(parquet: str, options: dict[str, Any]) -> None:
    same(*both("parquet", data_files=parquet, **options))


def test_arrow(tmp_path: Path) -> None:
    table = pa.table({"x": [1, 2], "y": [[1.5], []]})
    for name, maker in (("a.arrow", pa.ipc.new_file), ("b.arrow", pa.ipc.new_stream)):
        with pa.OSFile(str(tmp_path / name), "wb") as sink, maker(sink, table.schema) as writer:
            writer.write(table)
    same(*both("arrow", data_files=[str(tmp_path / "a.arrow"), str(tmp_path / "b.arrow")]))


def test_sql(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x INTEGER, y TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, "a"), (2, "b")])
    connection.close()
    found = load_dataset("sql", sql="SELECT * FROM t WHERE x > 1", con=f"sqlite:///{path}")
    assert found["train"].to_list() == [{"x": 2, "y": "b"}]
    with pytest.raises(ValueError, match="con must be specified"):
        load_dataset("sql", sql="t")


def test_webdataset(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for number in range(3):
            for ending, data in (("txt", b"t%d" % number), ("cls", b"%d" % number)):
                info = tarfile.TarInfo(f"{number:03}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    ours, theirs = both("webdataset", data_files=str(tmp_path / "a.tar"))
    assert [row["txt"] for row in ours["train"]] == [row["txt"] for row in theirs["train"]]
    assert repr(ours["train"].features) == repr(theirs["train"].features)


def test_pickled_frames_are_refused(write: Write) -> None:
    with pytest.raises(ValueError, match=r"pickle can run any code.*from_pandas"):
        load_dataset("pandas", data_files=write("a.pkl", b"x"))


def test_xml(write: Write) -> None:
    found = load_dataset("xml", data_files=write("a.xml", "<a><b/></a>"), split="train")
    assert found.to_list() == [{"xml": "<a><b/></a>"}]


@pytest.mark.parametrize(("ending", "pack"), [
    ("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_compressed_files(write: Write, ending: str, pack: Callable[[bytes], bytes]) -> None:
    same(*both("csv", data_files=write(f"a.csv.{ending}", pack(CSV.encode()))))


def test_archives(tmp_path: Path) -> None:
    place = tmp_path / "d"
    place.mkdir()
    with zipfile.ZipFile(place / "a.zip", "w") as archive:
        archive.writestr("one.csv", CSV)
        archive.writestr("two/b.csv", CSV)
    same(*both("csv", data_files=str(place / "a.zip")))
    same(*both(str(place)))
    inner = f"zip://two/*.csv::{place}/a.zip"
    assert load_dataset("csv", data_files=inner)["train"].num_rows == 3


@pytest.mark.parametrize("form", [
    "{0}/a/train.csv", ["{0}/a/train.csv", "{0}/a/test.csv"], "{0}/a/*.csv", "{0}/**/*.csv",
    {"train": "{0}/a/train.csv", "test": ["{0}/a/test.csv", "{0}/b/*.csv"]}])
def test_forms_of_data_files(write: Write, tmp_path: Path, form: Any) -> None:
    for name in ("a/train.csv", "a/test.csv", "b/x.csv"):
        write(name, f"x\n{name}\n")

    def placed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: placed(one) for key, one in value.items()}
        return [placed(one) for one in value] if isinstance(value, list) else value.format(tmp_path)

    same(*both("csv", data_files=placed(form)))


def test_folders(write: Write, tmp_path: Path) -> None:
    for name in ("d/train/a.csv", "d/train/b.csv", "d/test/a.csv", "d/other.md"):
        write(name, CSV)
    same(*both(str(tmp_path / "d")))
    same(*both(str(tmp_path), data_dir="d"))
    same(*both("csv", data_dir=str(tmp_path / "d")))
    same(*both(str(tmp_path / "d"), data_files={"x": "train/*.csv"}))
    assert load_dataset_builder(str(tmp_path / "d")).name == "csv"
    with pytest.raises(FileNotFoundError):
        load_dataset(str(tmp_path / "d"), data_files="nothing/*.txt")


def test_cards(write: Write, tmp_path: Path) -> None:
    write("d/x/a.csv", "p;q\n1;2\n")
    write("d/y/a.csv", "p,q\n3,4\n")
    write("d/README.md", """---
configs:
- config_name: one
  data_files: x/a.csv
  sep: ";"
- config_name: two
  data_dir: y
  default: true
---
# Title
""")
    place = str(tmp_path / "d")
    same(*both(place))
    same(*both(place, "one"))
    assert get_dataset_config_names(place) == datasets.get_dataset_config_names(place)
    assert get_dataset_default_config_name(place) == "two"
    assert get_dataset_split_names(place, "one") == ["train"]
    assert list(get_dataset_infos(place)) == ["one", "two"]
    assert get_dataset_config_info(place, "one").config_name == "one"
    with pytest.raises(ValueError, match=r"'three' not found"):
        load_dataset(place, "three")
    builder = pickle.loads(pickle.dumps(load_dataset_builder(place, "one")))
    assert list(builder.builder_configs) == ["one", "two"] and builder.config.sep == ";"


@pytest.mark.parametrize("split", [
    "train", "train[:2]", "train[-1:]+test", "test[50%:]", "train[10%:60%]", "all",
    ["train", "test[:1]"], "train[:33%](closest)"])
def test_splits(write: Write, split: Any) -> None:
    files = {"train": write("a.csv", "x\n" + "\n".join(map(str, range(10)))),
             "test": write("b.csv", "x\n50\n60\n")}
    ours, theirs = both("csv", data_files=files, split=split)
    if isinstance(split, list):
        assert [one.to_list() for one in ours] == [one.to_list() for one in theirs]
    else:
        assert ours.to_list() == theirs.to_list() and str(ours.split) == str(theirs.split)


@pytest.mark.parametrize("fmt", ["csv", "json", "text"])
def test_streams(write: Write, fmt: str) -> None:
    content = {"csv": CSV, "json": JSONL, "text": "a\nb\n"}[fmt]
    paths = [write(f"{n}.{fmt}", content) for n in "ab"]
    stream = load_dataset(fmt, data_files=paths, split="train", streaming=True)
    assert list(stream) == load_dataset(fmt, data_files=paths, split="train").to_list()
    assert list(load_dataset(fmt, data_files=paths, streaming=True)) == ["train"]


def test_parts_of_a_parquet_stream(parquet: str) -> None:
    stream = load_dataset("parquet", data_files=parquet, split="train", streaming=True)
    parts = stream.reshard()
    assert (stream.num_shards, parts.num_shards) == (1, 2)
    assert list(parts) == list(stream)


def test_widened_columns_are_told(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    files = {"train": [write("a.csv", "x,y\n1,a\n"), write("b.csv", "x,z\n1.5,q\n")],
             "test": write("c.csv", "x,y\nlate,b\n")}
    found = load_dataset("csv", data_files=files)
    assert found["train"].to_list() == [{"x": "1", "y": "a", "z": None},
                                        {"x": "1.5", "y": None, "z": "q"}]
    assert found["test"].to_list() == [{"x": "late", "y": "b", "z": None}]
    assert "A column was widened" in caplog.text and "b.csv" in caplog.text
    assert "strict=True" in caplog.text
    with pytest.raises(ValueError, match=r"b\.csv, line 2.*drop strict=True"):
        load_dataset("csv", data_files=files, strict=True)


def test_several_processes(write: Write) -> None:
    files = [write(f"{n}.csv", f"x\n{n}\n{n}.5\n" if n > 3 else f"x\n{n}\n") for n in range(6)]
    found = load_dataset("csv", data_files=files, split="train", num_proc=2)
    assert found["x"] == [0, 1, 2, 3, 4, 4.5, 5, 5.5]


def test_a_second_load_reads_nothing(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("a.csv", CSV)
    first = load_dataset("csv", data_files=path, split="train")
    with monkeypatch.context() as patch:
        patch.setattr("enfold.data.packaged.base.Source", None)
        again = load_dataset("csv", data_files=path, split="train")
    assert again.to_list() == first.to_list() and again._fingerprint == first._fingerprint
    assert again.cache_files == first.cache_files
    write("a.csv", CSV + "more,1\n")
    assert load_dataset("csv", data_files=path, split="train").num_rows == 4


def test_download_modes(write: Write) -> None:
    path = write("a.csv", CSV)
    made = [load_dataset("csv", data_files=path, split="train", download_mode=mode)
            for mode in (None, "reuse_dataset_if_exists", "force_redownload")]
    assert len({one.cache_files[0]["filename"] for one in made}) == 1
    assert made[0]._fingerprint == made[1]._fingerprint != made[2]._fingerprint
    assert load_dataset(Path(path).parent, data_files="a.csv", save_infos=True, keep_in_memory=True)


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.zip", "a.parquet"])
def test_urls(served: str, name: str, streaming: bool) -> None:
    if streaming and name == "a.zip":
        pytest.skip("this server answers no ranges, which members of archives need")
    fmt = "parquet" if name == "a.parquet" else "csv"
    found = load_dataset(fmt, data_files=f"{served}/{name}", split="train", streaming=streaming)
    assert [row["label"] for row in found] == [0, 1, 0]


@pytest.fixture
def served(write: Write, tmp_path: Path) -> Iterator[str]:
    """A folder of data files on an HTTP server."""
    pytest.importorskip("aiohttp")
    write("www/a.csv", CSV)
    write("www/a.csv.gz", gzip.compress(CSV.encode()))
    pq.write_table(pa.table({"label": [0, 1, 0]}), tmp_path / "www" / "a.parquet")
    with zipfile.ZipFile(tmp_path / "www" / "a.zip", "w") as archive:
        archive.writestr("in/x.csv", CSV)
    handler = partial(Quiet, directory=str(tmp_path / "www"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Nothing."""


def test_other_filesystems(write: Write) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/shelf/a.csv", CSV.encode())
    try:
        for streaming in (False, True):
            found = load_dataset("csv", data_files="memory://shelf/*.csv", split="train",
                                 streaming=streaming)
            assert [row["text"] for row in found] == ["hello", "world", "again"]
    finally:
        memory.rm("/shelf", recursive=True)


def test_what_is_saved_is_loaded(write: Write, tmp_path: Path) -> None:
    found = load_dataset("csv", data_files=write("a.csv", CSV))
    found["train"].save_to_disk(str(tmp_path / "one"))
    found.save_to_disk(str(tmp_path / "many"))
    assert load_from_disk(str(tmp_path / "one")).to_list() == found["train"].to_list()
    assert list(load_from_disk(tmp_path / "many")) == ["train"]
    with pytest.raises(ValueError, match=r"saved using `save_to_disk`.*load_from_disk"):
        load_dataset(str(tmp_path / "one"))
    with pytest.raises(FileNotFoundError, match="neither a `Dataset` directory"):
        load_from_disk(tmp_path)
    with pytest.raises(FileNotFoundError, match="not found"):
        load_from_disk(tmp_path / "nothing")


@pytest.mark.parametrize(("arguments", "options", "kind", "message"), [
    (("csv",), {"data_files": "{a}", "sepp": ";"}, TypeError, r"'sepp' \(nearest: 'sep'"),
    (("csv",), {"data_files": "{a}", "data_fles": 1}, TypeError, "nearest: 'data_files'"),
    (("csv",), {"data_files": []}, ValueError, "Empty 'data_files'"),
    (("csv",), {"data_files": "{a}", "streaming": True, "num_proc": 2}, NotImplementedError,
     "num_workers"),
    (("csv",), {"data_files": "{a}x"}, FileNotFoundError, "Unable to find"),
    (("{a}",), {}, FileNotFoundError, r"is a file.*load_dataset\('csv', data_files="),
    (("/no/such/place",), {}, FileNotFoundError, "Couldn't find any data file at /no/such/place"),
    (("{d}/script.py",), {}, RuntimeError, "no longer supported.*script.py"),
    (("{d}/odd",), {}, FileNotFoundError, r"No \(supported\) data files found in .*odd"),
    (("{d}/mixed",), {}, ValueError, "same data file format for all splits"),
    (("{d}/empty",), {}, FileNotFoundError, "doesn't contain any data files"),
    (("{d}",), {"data_dir": "/abs"}, TypeError, "must be relative"),
    (("csv",), {"data_files": "{a}", "split": "nope"}, ValueError, "nope"),
    (("csv",), {"data_files": "{a}", "verification_mode": "all"}, ValueError,
     "verification_mode='all'.*'all_checks'"),
    (("csv",), {"data_files": "{a}", "download_mode": "x"}, ValueError, "download_mode='x'"),
])
def test_errors(write: Write, tmp_path: Path, arguments: Any, options: Any, kind: Any,
                message: str) -> None:
    path = write("a.csv", CSV)
    write("odd/a.odd", "x")
    write("mixed/train.csv", CSV)
    write("mixed/test.jsonl", JSONL)
    (tmp_path / "empty").mkdir()

    def placed(value: Any) -> Any:
        return value.format(a=path, d=tmp_path) if isinstance(value, str) else value

    with pytest.raises(kind, match=message):
        load_dataset(*map(placed, arguments),
                     **{key: placed(value) for key, value in options.items()})
