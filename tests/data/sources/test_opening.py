"""Compressed files, archives, folders, globs and URLs give the rows of the plain file."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from enfold.data.sources import DataFile, expand, read
from enfold.errors import DataError, DataFileError, FileMissing

from .conftest import rows_of

TEXT = b"a,b\n" + b"".join(b"%d,x%d\n" % (i, i) for i in range(1000))
ROWS = [{"a": i, "b": f"x{i}"} for i in range(1000)]


def zstd(data: bytes) -> bytes:
    """By pyarrow, as one frame that tells no length."""
    return packed("zstd", data)


def packed(codec: str, data: bytes) -> bytes:
    """By a compressed stream of pyarrow."""
    out = pa.BufferOutputStream()
    with pa.CompressedOutputStream(out, codec) as stream:
        stream.write(data)
    return bytes(out.getvalue().to_pybytes())


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd,
    "lz4": partial(packed, "lz4")}


@pytest.mark.parametrize("codec", CODECS)
def test_compressed_files(codec: str, write: Any) -> None:
    compress = CODECS[codec]
    assert rows_of(read("csv", write(f"a.csv.{codec}", compress(TEXT)))) == ROWS
    assert rows_of(read("csv", write("a.csv", compress(TEXT)))) == ROWS  # told by its bytes
    half = len(TEXT) // 2
    parts = compress(TEXT[:half]) + compress(TEXT[half:])  # as pigz and others write
    assert rows_of(read("csv", write(f"b.csv.{codec}", parts))) == ROWS


@pytest.mark.parametrize("codec", CODECS)
def test_a_compressed_file_that_is_cut_off_raises(codec: str, write: Any) -> None:
    path = write(f"a.csv.{codec}", CODECS[codec](TEXT)[:-20])
    with pytest.raises(DataFileError, match=f"a.csv.{codec}: can't be read: "):
        rows_of(read("csv", path))


def archive(path: Path, files: dict[str, bytes]) -> Path:
    """A zip or tar archive of these files."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in files.items():
                zipped.writestr(name, content)
        return path
    with tarfile.open(path, "w:" + (path.suffix[1:] if path.suffix != ".tar" else "")) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_archives(name: str, tmp_path: Path) -> None:
    path = archive(tmp_path / name, {"x/1.csv": b"a\n1\n", "2.csv.gz": gzip.compress(b"a\n2\n"),
                                     ".hidden": b"?", "__MACOSX/x": b"?"})
    assert rows_of(read("csv", path)) == [{"a": 1}, {"a": 2}]
    assert rows_of(read("csv", f"{path}::2.csv.gz")) == [{"a": 2}]
    assert rows_of(read("csv", f"{path}::x/*.csv")) == [{"a": 1}]
    protocol = "zip" if name == "a.zip" else "tar"
    assert rows_of(read("csv", f"{protocol}://x/1.csv::{path}")) == [{"a": 1}]
    with pytest.raises(FileMissing, match=r"has no member '3.csv' \(nearest: "):
        read("csv", f"{path}::3.csv")


def test_folders_globs_and_missing_files(write: Any, tmp_path: Path) -> None:
    for name in ("d/2.csv", "d/1.csv", "d/e/3.csv", "d/.git/4.csv", "d/__pycache__/5.csv"):
        write(name, f"a\n{Path(name).stem}\n")
    assert [row["a"] for row in rows_of(read("csv", tmp_path / "d"))] == [1, 2, 3]
    assert [row["a"] for row in rows_of(read("csv", str(tmp_path / "d" / "*.csv")))] == [1, 2]
    assert [row["a"] for row in rows_of(read("csv", str(tmp_path / "d/**/*.csv")))] == [1, 2, 3]
    assert [str(file) for file in expand([DataFile("x")])] == ["x"]
    with pytest.raises(FileMissing, match=r"no data file .*d/1.cvs \(nearest: '1.csv', '2.csv'\)"):
        read("csv", tmp_path / "d" / "1.cvs")
    with pytest.raises(FileMissing, match=r"no data file matches .*\*.json"):
        read("csv", str(tmp_path / "*.json"))
    with pytest.raises(DataError, match="csv: there are no files to read. Expected at least one"):
        read("csv", [])
    with pytest.raises(DataError, match="1.csv: not an archive whose members can be named"):
        read("csv", f"{tmp_path}/d/1.csv::x")


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"1.csv": b"a\n1\n"})
    content = bytearray(path.read_bytes())
    for magic, flag in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + flag] |= 1
    path.write_bytes(content)
    with pytest.raises(DataFileError, match="a.zip::1.csv: is encrypted. Do: unpack the archive"):
        rows_of(read("csv", path))


def test_a_broken_archive_is_named(write: Any) -> None:
    for name in ("a.zip", "a.tar.gz"):
        with pytest.raises(DataFileError, match=f"{name}: can't be read: "):
            read("csv", write(name, b"no archive"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The URL of a server of files in a temporary folder."""
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            """Nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


def test_urls(server: str, write: Any, tmp_path: Path) -> None:
    pytest.importorskip("aiohttp", reason="fsspec's http needs aiohttp")
    write("a.csv", TEXT)
    write("b.csv.gz", gzip.compress(TEXT))
    archive(tmp_path / "c.zip", {"1.csv": TEXT})
    for name in ("a.csv", "b.csv.gz", "c.zip", "c.zip::1.csv", "a.csv?download=1"):
        assert rows_of(read("csv", f"{server}/{name}")) == ROWS, name
    with pytest.raises(FileMissing, match="no data file http://.*/missing.csv"):
        rows_of(read("csv", f"{server}/missing.csv"))


def test_other_filesystems_of_fsspec() -> None:
    import fsspec
    memory = fsspec.filesystem("memory")
    for number in (1, 2):
        memory.pipe(f"/sources/{number}.csv", b"a\n%d\n" % number)
    assert rows_of(read("csv", "memory://sources/*.csv")) == [{"a": 1}, {"a": 2}]
    with pytest.raises(FileMissing, match=r"no data file matches memory://sources/\*.json"):
        read("csv", "memory://sources/*.json")
