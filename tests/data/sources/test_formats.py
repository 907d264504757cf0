"""Text, XML, Parquet, Arrow, SQL and WebDataset: the schema and rows of `datasets`."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from enfold.data.features import Features, Image
from enfold.data.sources import read
from enfold.errors import ArgumentError, DataError, DataFileError

from .conftest import loaded, rows_of

TEXTS = ["a\nb\n\nc\n\n\nd", "", "a\r\nb\rc\n", "\n", "é\u2028ß\x0bx\n", "a\n\n\n\nb\n", "no end"]


@pytest.mark.parametrize("text", [one for one in TEXTS if one])
@pytest.mark.parametrize("options", [
    {}, {"keep_linebreaks": True}, {"sample_by": "paragraph"}, {"sample_by": "document"}])
def test_text(text: str, options: dict[str, Any], write: Any, oracle: Any) -> None:
    path = write("a.txt", text)
    wanted = oracle("text", path, **options)
    assert loaded("text", path, **options) == wanted
    assert loaded("text", path, chunksize=1, **options) == wanted


def test_text_in_other_encodings_and_errors(write: Any) -> None:
    path = write("a.txt", "é\nß\n".encode("latin-1"))
    assert rows_of(read("text", path, encoding="latin-1")) == [{"text": "é"}, {"text": "ß"}]
    assert rows_of(read("text", path, encoding_errors="replace"))[0] == {"text": "\ufffd"}
    with pytest.raises(DataFileError, match="a.txt, line 1: the byte 0xe9 is no utf-8"):
        rows_of(read("text", path))
    with pytest.raises(ArgumentError, match="text: sample_by='word'. Expected one of "):
        read("text", path, sample_by="word")
    with pytest.raises(DataFileError, match="no encoding is called 'latin-11'"):
        rows_of(read("text", path, encoding="latin-11"))


def test_xml(write: Any) -> None:
    """A row a file; datasets 5.2 itself fails on local XML files."""
    texts = ["<a>\n<b/>é</a>\n", "<c/>"]
    paths = [write(f"{number}.xml", text) for number, text in enumerate(texts)]
    assert loaded("xml", paths) == (pa.schema({"xml": pa.string()}),
                                    [{"xml": text} for text in texts])


def test_parquet_options(tmp_path: Path, oracle: Any) -> None:
    path = tmp_path / "a.parquet"
    table = pa.table({"a": range(10), "b": [[i, None] for i in range(10)],
                      "c": [{"x": str(i)} for i in range(10)]})
    pq.write_table(table, path, row_group_size=4)
    for options in ({}, {"columns": ["c", "a"]}, {"filters": [("a", ">", 6)]},
                    {"filters": pc.field("a") == 3}, {"batch_size": 3}):
        assert loaded("parquet", path, **options)[1] == oracle("parquet", path, **options)[1]
    assert [batch.num_rows for batch in read("parquet", path).batches()] == [4, 4, 2]
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataFileError, match="bad.parquet: can't be read: "):
        rows_of(read("parquet", [path, bad]))
    assert len(rows_of(read("parquet", [bad, path], on_bad_files="skip"))) == 10
    with pytest.warns(UserWarning, match="left out: .*bad.parquet: can't be read"):
        assert len(rows_of(read("parquet", [path, bad], on_bad_files="warn"))) == 10
    with pytest.raises(DataError, match="filters=.* does not fit its columns"):
        rows_of(read("parquet", path, filters=[("d", ">", 6)]))
    with pytest.raises(ArgumentError, match="parquet: on_bad_files='no'. Expected one of "):
        read("parquet", path, on_bad_files="no")


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_arrow(new: Any, tmp_path: Path, oracle: Any) -> None:
    path = tmp_path / "a.arrow"
    table = pa.table({"a": [1, None], "b": ["x", "y"]})
    with new(str(path), table.schema) as writer:
        writer.write_table(table)
    assert loaded("arrow", path) == oracle("arrow", path)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataFileError, match="a.arrow: can't be read: "):
        rows_of(read("arrow", path))


def test_sql(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as con:
        con.execute("CREATE TABLE t (a INTEGER, b TEXT, c REAL)")
        con.executemany("INSERT INTO t VALUES (?, ?, ?)",
                        [(i, f"x{i}", i / 2 if i else None) for i in range(5)])
    wanted = [{"a": i, "b": f"x{i}", "c": i / 2 if i else None} for i in range(5)]
    for source in (f"sqlite:///{path}", con):
        assert rows_of(read("sql", sql="t", con=source)) == wanted
        assert rows_of(read("sql", sql="SELECT * FROM t WHERE a > ?", con=source, params=(2,),
                            chunksize=1)) == wanted[3:]
    with pytest.raises(DataFileError, match="the query 'SELECT ' failed"):
        rows_of(read("sql", sql="SELECT ", con=f"sqlite:///{path}"))
    with pytest.raises(DataError, match="sql: needs sql= and con=. Got sql='t', con=None"):
        read("sql", sql="t")
    con.close()


def tar(path: Path, files: dict[str, bytes]) -> Path:
    """A tar archive of files in this order."""
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_webdataset(tmp_path: Path, oracle: Any) -> None:
    out = io.BytesIO()
    np.save(out, np.arange(3))
    image = b"\x89PNG\r\n\x1a\n" + b"0" * 20
    path = tar(tmp_path / "a.tar", {
        f"d/{i}.{name}": content for i in range(3) for name, content in
        {"png": image, "cls": b"7", "json": json.dumps({"n": i}).encode(), "seg.txt": b"x",
         "npy": out.getvalue()}.items()})
    schema, rows = loaded("webdataset", path)
    assert Features.from_arrow_schema(read("webdataset", path).schema)["png"] == Image()
    expected, wanted = oracle("webdataset", path)
    assert sorted(schema.names) == sorted(expected.names)
    for row, other in zip(rows, wanted, strict=True):
        other = {**other, "__url__": row["__url__"]}
        assert row == other
    assert rows_of(read("webdataset", path, columns=["cls"])) == [{"cls": 7}] * 3


def test_webdatasets_that_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match="a.tar: its first rows have the fields "):
        read("webdataset", tar(tmp_path / "a.tar", {"0.a": b"", "1.b": b""})).features  # noqa: B018
    with pytest.raises(DataFileError, match="the row '0' has two files 'a'"):
        read("webdataset", twice(tmp_path / "b.tar")).features  # noqa: B018
    with pytest.raises(DataFileError, match="c.tar::0.json: can't be read as .json: "):
        read("webdataset", tar(tmp_path / "c.tar", {"0.json": b"{"})).features  # noqa: B018


def twice(path: Path) -> Path:
    """An archive with one name twice."""
    with tarfile.open(path, "w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("0.a"), io.BytesIO())
    return path
