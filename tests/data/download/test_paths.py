"""The functions of os.path for paths and URLs, as datasets has them."""

from __future__ import annotations

import pytest
from datasets.utils import file_utils as real

from enfold.data.download import paths
from enfold.data.download.paths import PathMissing
from enfold.data.nested import flatten, map_nested
from enfold.data.sizes import convert_file_size_to_int, size_str
from enfold.errors import DataError

NAMES = ["/a/b/c.txt", "c.txt", "a/b", "https://h.st/a/b.txt", "hf://datasets/a/b@c/d.csv.gz",
         "zip://in/a.txt::https://h.st/b.zip", "zip://a.txt::/x/b.zip", "https://h.st"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("function", ["xbasename", "xdirname", "xsplit", "xsplitext",
                                      "is_remote_url", "is_local_path", "is_relative_path"])
def test_pure_functions(name, function):
    assert getattr(paths, function)(name) == getattr(real, function)(name)


@pytest.mark.parametrize("name", ["/a", "a", "https://h.st/a", "zip://in::https://h.st/b.zip",
                                  "zip://::b.zip"])
def test_joined(name):
    assert paths.xjoin(name, "b", "c.txt") == real.xjoin(name, "b", "c.txt")
    if "::" not in name:
        assert paths.url_or_path_join(name, "b/c") == real.url_or_path_join(name, "b/c")


def test_relative():
    for args in [("/a/b/c", "/a"), ("https://h.st/a/b", "https://h.st")]:
        assert paths.xrelpath(*args) == real.xrelpath(*args)


@pytest.fixture(params=["local", "memory", "zip"])
def place(request, tmp_path, remote, archive, content):
    """A folder with a.txt and deep/b.txt."""
    if request.param == "zip":
        return f"zip://::{archive('zip', ['a.txt', 'deep/b.txt'])}"
    if request.param == "memory":
        remote.pipe({"/top/a.txt": content.encode(), "/top/deep/b.txt": content.encode()})
        return "memory://top"
    (tmp_path / "deep").mkdir()
    for name in ("a.txt", "deep/b.txt"):
        (tmp_path / name).write_text(content)
    return str(tmp_path)


def test_functions_that_look(place, content):
    file, folder = paths.xjoin(place, "a.txt"), paths.xjoin(place, "deep")
    assert paths.xexists(file) and paths.xisfile(file) and not paths.xisdir(file)
    assert paths.xisdir(folder) and paths.xisdir(place) and not paths.xisfile(folder)
    assert not paths.xexists(paths.xjoin(place, "none")) and paths.xgetsize(file) == len(content)
    assert set(paths.xlistdir(folder)) == {"b.txt"} and "a.txt" in paths.xlistdir(place)
    found = paths.xglob(paths.xjoin(place, "*", "b.txt"))
    assert [paths.xbasename(one) for one in found] == ["b.txt"]
    assert paths.xopen(found[0]).read() == content
    with paths.xopen(found[0], "rb") as opened:
        assert opened.readline() == b"first line\n"
    walked = [(folders, files) for _, folders, files in paths.xwalk(place)]
    assert walked[0][0] == ["deep"] and "a.txt" in walked[0][1] and walked[1] == ([], ["b.txt"])


def test_sizes_of_what_tells_none(packed, content):
    assert paths.xgetsize(f"gzip://text.txt::{packed('gz')}") == len(content)
    with pytest.raises(FileNotFoundError, match="holds 'text.txt'"):
        paths.xopen(f"gzip://other.txt::{packed('gz')}")


def test_what_is_not_there(remote):
    with pytest.raises(PathMissing, match=r"memory://none\.txt was not found"):
        paths.xopen("memory://none.txt")
    with pytest.raises(PathMissing, match="Directory doesn't exist"):
        paths.xlistdir("memory://none")
    assert list(paths.xwalk("memory://none")) == []


def test_opening_is_tried_again(remote, monkeypatch):
    remote.pipe("/a", b"1")
    opened, tries = type(remote).open, []

    def failing(self, *args, **kwargs):
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("gone")
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(type(remote), "open", failing)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    assert paths.xopen("memory://a", "rb").read() == b"1" and len(tries) == 3
    tries.clear()
    monkeypatch.setattr(paths.config, "STREAMING_OPEN_MAX_RETRIES", 2)
    with pytest.raises(ConnectionError):
        paths.xopen("memory://a")


@pytest.mark.parametrize("url", [
    "https://huggingface.co/datasets/a/b/resolve/main/c.csv", "https://h.st/a.csv",
    "https://raw.githubusercontent.com/a/b/c", "hf://datasets/a/b/c.csv",
    "zip://a::https://huggingface.co/datasets/a/b/resolve/main/c.zip"])
def test_what_fsspec_is_given(url):
    from datasets import DownloadConfig as Real

    from enfold.data.download import DownloadConfig

    chain, options = paths.prepared(url, DownloadConfig(token="t"))
    expected, theirs = real._prepare_path_and_storage_options(url, Real(token="t"))
    assert chain == expected
    protocol = chain.split("::")[-1].split("://")[0]
    assert options.get(protocol, options) == theirs[protocol]


def test_nested():
    data = {"a": [1, (2, 3)], "b": {}, "c": 4}
    assert flatten(data) == [1, 2, 3, 4]
    for threads in (1, 3):
        assert map_nested(lambda x: x + 1, data, threads) == {"a": [2, (3, 4)], "b": {}, "c": 5}
    assert map_nested(str, 3) == "3"


@pytest.mark.parametrize("size", [3, "50MB", "1GiB", "2KB", "3TB"])
def test_size_strings(size):
    from datasets.utils import py_utils

    number = py_utils.convert_file_size_to_int(size)
    assert convert_file_size_to_int(size) == number
    assert size_str(number) == py_utils.size_str(number)


def test_sizes_that_are_none():
    with pytest.raises(DataError, match="not in a valid format"):
        convert_file_size_to_int("big")
    assert size_str(None) == "Unknown size"
