"""Archives and compressed files, and a memory filesystem that counts what is fetched."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import fsspec
import pyarrow as pa
import pytest
from fsspec.registry import _registry

from enfold.data.download import compressed

CONTENT = "first line\nsecond line\n" * 3


@pytest.fixture(autouse=True)
def ours(monkeypatch):
    """gzip:// and such are ours, though the real library registers its own when it is imported."""
    for one in compressed.FILESYSTEMS:
        monkeypatch.setitem(_registry, one.protocol, one)


@pytest.fixture
def content():
    return CONTENT


def _arrow(codec):
    def compress(data: bytes) -> bytes:
        sink = io.BytesIO()
        with pa.CompressedOutputStream(sink, codec) as out:
            out.write(data)
            out.flush()
            out.close()
        return sink.getvalue()

    return compress


CODECS = {"gz": ("gzip", gzip.compress), "bz2": ("bz2", bz2.compress),
          "xz": ("xz", lzma.compress), "zst": ("zstd", lambda data: pa.compress(
              data, "zstd", asbytes=True)), "lz4": ("lz4", None)}


@pytest.fixture
def packed(tmp_path):
    """`packed("gz")`: a file compressed in that way."""
    def make(extension: str):
        path = tmp_path / f"text.txt.{extension}"
        compress = CODECS[extension][1]
        if compress is None:
            with pa.CompressedOutputStream(pa.OSFile(str(path), "wb"), "lz4") as out:
                out.write(CONTENT.encode())
        else:
            path.write_bytes(compress(CONTENT.encode()))
        return path

    return make


@pytest.fixture
def archive(tmp_path):
    """`archive("zip")`: with a.txt, deep/b.txt and hidden files."""
    def make(kind: str, names=("a.txt", "deep/b.txt", ".hidden", "__meta")):
        path = tmp_path / f"files.{kind}"
        if kind == "zip":
            with zipfile.ZipFile(path, "w") as file:
                for name in names:
                    file.writestr(name, CONTENT)
        else:
            with tarfile.open(path, f"w:{kind.partition('.')[2]}") as file:
                for name in names:
                    member = tarfile.TarInfo(name)
                    member.size = len(CONTENT)
                    file.addfile(member, io.BytesIO(CONTENT.encode()))
        return path

    return make


@pytest.fixture
def remote(monkeypatch):
    """The memory filesystem, with how often each file was fetched."""
    system = fsspec.filesystem("memory")
    counts: dict[str, int] = {}
    fetch = type(system).get_file

    def counting(self, rpath, lpath, **kwargs):
        counts[rpath] = counts.get(rpath, 0) + 1
        return fetch(self, rpath, lpath, **kwargs)

    monkeypatch.setattr(type(system), "get_file", counting)
    system.counts = counts
    yield system
    system.store.clear()
    system.pseudo_dirs[:] = [""]
