"""Download managers: what they fetch, unpack and find again."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest
from datasets import DownloadConfig as RealConfig
from datasets import DownloadManager as RealManager
from datasets import StreamingDownloadManager as RealStreaming

from enfold.data import config
from enfold.data.download import (
    DownloadConfig,
    DownloadManager,
    DownloadMode,
    PathMissing,
    StreamingDownloadManager,
    cached_path,
)
from enfold.data.download.cached import one_of
from enfold.data.download.paths import xopen
from enfold.errors import DataError, DataFileError


def read(path):
    return Path(path).read_text()


@pytest.fixture
def manager(tmp_path):
    return DownloadManager(base_path=str(tmp_path), download_config=DownloadConfig(
        cache_dir=tmp_path / "cache", use_etag=False))


@pytest.mark.parametrize("form", [
    lambda url: url, lambda url: [url, url], lambda url: {"train": url, "test": {"en": [url]}}])
def test_downloads_are_kept_by_url(manager, remote, tmp_path, form):
    url = "memory://data/a.txt"
    remote.pipe("/data/a.txt", b"hello")
    found = manager.download(form(url))
    again = manager.download(form(url))
    path = str(tmp_path / "cache" / sha256(url.encode()).hexdigest())
    assert found == again == form(path)
    assert read(path) == "hello" and remote.counts == {"/data/a.txt": 1}
    assert json.loads(read(f"{path}.json")) == {"url": url, "etag": None}
    assert sorted(os.listdir(tmp_path / "cache")) == sorted(
        [os.path.basename(path), os.path.basename(path) + ".json"])
    assert manager.downloaded_size == 5 and manager.downloaded_paths == {url: path}


def test_the_real_library_finds_our_downloads(manager, remote, tmp_path):
    remote.pipe("/data/b.txt", b"hello")
    path = manager.download("memory://data/b.txt")
    real = RealManager(download_config=RealConfig(cache_dir=str(tmp_path / "cache"),
                                                  use_etag=False))
    assert real.download("memory://data/b.txt") == path and remote.counts == {"/data/b.txt": 1}


def test_forced_and_many_downloads(manager, remote, tmp_path):
    urls = [f"memory://data/{number}" for number in range(20)]
    for number, url in enumerate(urls):
        remote.pipe(url.removeprefix("memory:/"), str(number).encode())
    assert [read(path) for path in manager.download(urls)] == list(map(str, range(20)))
    manager.download_config.force_download = True
    remote.pipe("/data/0", b"new")
    assert read(manager.download(urls[0])) == "new" and remote.counts["/data/0"] == 2


def test_an_etag_tells_that_a_file_changed(manager, remote, monkeypatch):
    manager.download_config.use_etag = True
    remote.pipe("/data/c", b"1")
    tag = ["x"]
    info = type(remote).info
    monkeypatch.setattr(type(remote), "info",
                        lambda self, path, **k: {**info(self, path, **k), "ETag": tag[0]})
    first = manager.download("memory://data/c")
    assert manager.download("memory://data/c") == first
    tag[0] = "y"
    remote.pipe("/data/c", b"2")
    assert read(manager.download("memory://data/c")) == "2" and read(first) == "1"
    manager.download_config.local_files_only = True
    assert read(manager.download("memory://data/c")) in "12"


def test_no_request_is_made_offline(manager, remote, monkeypatch):
    remote.pipe("/data/d", b"1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(PathMissing, match="is not cached, and HF_HUB_OFFLINE=1 forbids"):
        manager.download("memory://data/d")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    manager.download_config.local_files_only = True
    with pytest.raises(PathMissing, match="local_files_only=True forbids a request"):
        manager.download("memory://data/d")


def test_a_lost_connection_is_tried_again(manager, remote, monkeypatch):
    remote.pipe("/data/e", b"1")
    fetch, lost = type(remote).get_file, []

    def failing(self, rpath, lpath, **kwargs):
        if not lost:
            lost.append(Path(lpath).write_bytes(b"half"))
            raise ConnectionResetError("gone")
        return fetch(self, rpath, lpath, **kwargs)

    monkeypatch.setattr(type(remote), "get_file", failing)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert read(manager.download("memory://data/e")) == "1"
    lost.clear()
    manager.download_config.force_download = True
    manager.download_config.max_retries = 0
    with pytest.raises(ConnectionResetError):
        manager.download("memory://data/e")
    assert not list((manager.download_config.cache_dir).glob("*.incomplete"))


def test_missing_files(manager, tmp_path):
    with pytest.raises(FileNotFoundError, match="doesn't exist"):
        manager.download("nothing.csv")
    with pytest.raises(FileNotFoundError, match="memory://data/nothing was not found"):
        manager.download("memory://data/nothing")
    (tmp_path / "here.csv").write_text("a")
    assert manager.download("here.csv") == str(tmp_path / "here.csv")
    assert cached_path(f"file://{tmp_path}/here.csv") == str(tmp_path / "here.csv")


def test_checksums(tmp_path):
    (tmp_path / "a").write_bytes(b"hello")
    path = str(tmp_path / "a")
    manager = DownloadManager(record_checksums=True)
    manager.download(path)
    assert manager.get_recorded_sizes_checksums() == {
        path: {"num_bytes": 5, "checksum": sha256(b"hello").hexdigest()}}


@pytest.mark.parametrize("extension", ["gz", "bz2", "xz", "zst", "lz4"])
@pytest.mark.parametrize("fly", [False, True])
def test_compressed_files(manager, packed, content, extension, fly):
    manager.download_config.extract_on_the_fly = fly
    path = str(packed(extension))
    found = manager.download_and_extract(path)
    assert xopen(found).read() == content
    assert found == manager.extract(path)
    assert ("::" in found) is fly
    if not fly:
        manager.download_config.delete_extracted = True
        manager.manage_extracted_files()
        assert not os.path.exists(found) and os.path.exists(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz", "tar.xz"])
def test_archives(manager, archive, content, kind):
    path = str(archive(kind))
    folder = manager.extract({"train": path})["train"]
    assert read(f"{folder}/deep/b.txt") == content
    assert [os.path.relpath(one, folder) for one in manager.iter_files(folder)] == [
        "a.txt", "deep/b.txt"]
    os.remove(f"{folder}/a.txt")
    assert manager.extract(path) == folder and not os.path.exists(f"{folder}/a.txt")
    manager.download_config.force_extract = True
    manager.extract(path)
    assert os.path.exists(f"{folder}/a.txt")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_files_that_would_land_outside(manager, archive, tmp_path, kind):
    with pytest.raises(DataFileError, match="outside"):
        manager.extract(str(archive(kind, ["a.txt", "../../evil.txt"])))
    assert not (tmp_path / "evil.txt").exists() and not (tmp_path.parent / "evil.txt").exists()
    assert not list((tmp_path / "cache").rglob("*.incomplete"))


def test_damaged_archives(manager, archive):
    path = archive("tar.gz")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataFileError, match=r"files\.tar\.gz: can't be read"):
        manager.extract(str(path))
    assert os.listdir(manager.download_config.cache_dir / "extracted") == []


def test_what_is_not_packed_stays(manager, tmp_path):
    (tmp_path / "a.csv").write_text("a")
    assert manager.extract(str(tmp_path / "a.csv")) == str(tmp_path / "a.csv")
    assert manager.extract(str(tmp_path)) == str(tmp_path)


@pytest.mark.parametrize("make", [DownloadManager, StreamingDownloadManager])
@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_iter_archive(make, archive, content, kind):
    files = make().iter_archive(str(archive(kind)))
    for _ in range(2):
        assert [(name, file.read().decode()) for name, file in files] == [
            ("a.txt", content), ("deep/b.txt", content)]
    with open(archive(kind), "rb") as file:
        assert [name for name, _ in make().iter_archive(file)] == ["a.txt", "deep/b.txt"]


URLS = ["https://f.oo/a.csv", "https://f.oo/a.csv.gz", "https://f.oo/b.json.bz2?dl=1",
        "https://f.oo/b.zip", "zip://c.txt.xz::https://f.oo/b.zip", "https://f.oo/x.txt-0-of-1",
        "hf://datasets/a/b@c/d.jsonl.zst"]


@pytest.mark.parametrize("url", URLS)
def test_urls_of_what_is_inside(url):
    ours, real = StreamingDownloadManager(), RealStreaming()
    assert ours.download_and_extract({"a": [url]}) == real.download_and_extract({"a": [url]})


@pytest.mark.parametrize("url", ["https://f.oo/a.tar", "https://f.oo/a.tar.gz", "x.tgz",
                                 "zip://a.tar.xz::https://f.oo/b.zip"])
def test_a_tar_is_not_opened_at_a_file(url):
    with pytest.raises(NotImplementedError, match="iter_archive"):
        StreamingDownloadManager().extract(url)


def test_streaming_files_of_an_archive(archive, content, tmp_path):
    manager = StreamingDownloadManager(base_path=str(tmp_path))
    found = manager.download_and_extract(os.path.basename(archive("zip")))
    files = list(manager.iter_files(found))
    assert files == [f"zip://a.txt::{tmp_path}/files.zip",
                     f"zip://deep/b.txt::{tmp_path}/files.zip"]
    assert xopen(files[1]).read() == content
    assert manager.get_recorded_sizes_checksums() == {} and manager.downloaded_size is None
    with pytest.raises(PathMissing, match="no such file or folder"):
        list(manager.iter_files(str(tmp_path / "none")))


def test_kinds_are_told_by_first_bytes(packed, content):
    path = packed("gz").rename(packed("gz").with_name("text"))
    found = StreamingDownloadManager().extract(str(path))
    assert found == f"gzip://text::{path}" and xopen(found).read() == content


def test_config():
    made = DownloadConfig(token="t", storage_options={"s3": {"anon": True}})
    assert made.storage_options["hf"]["token"] == "t"
    copy = made.copy()
    copy.token = "u"
    assert made.storage_options["hf"]["token"] == "t" and copy.storage_options["hf"]["token"] == "u"
    assert vars(DownloadConfig(token=True)) == vars(RealConfig(token=True))
    with pytest.raises(DataError, match="HTTP_PROXY"):
        DownloadConfig(proxies={"http": "x"})
    with pytest.raises(DataError, match="resume_download"):
        DownloadConfig(resume_download=True)
    with pytest.raises(DataError, match="download_mode='x': expected one of"):
        one_of(DownloadMode, "x", None, "download_mode")


def test_settings(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    assert tmp_path == config.HF_DATASETS_CACHE
    assert tmp_path / "downloads" / "extracted" == config.EXTRACTED_DATASETS_PATH
    monkeypatch.setattr(config, "HF_DATASETS_CACHE", "/x", raising=False)
    assert str(config.DOWNLOADED_DATASETS_PATH) == "/x/downloads"
    with pytest.raises(AttributeError, match="no setting 'NOTHING'"):
        config.NOTHING  # noqa: B018
