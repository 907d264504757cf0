"""Files of the Hub: which ones are asked for, and what is said when they can't be had."""

from __future__ import annotations

import huggingface_hub
import pytest
from huggingface_hub import errors

from enfold.data.download import DownloadConfig, DownloadManager, PathMissing, cached_path


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """What hf_hub_download is asked for; it raises what is put into `hub.error`."""
    class Hub(list):
        error = None

    asked = Hub()

    def download(**kwargs):
        asked.append(kwargs)
        if asked.error is not None:
            raise asked.error
        (tmp_path / "file").write_text("x")
        return str(tmp_path / "file")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


@pytest.mark.parametrize(("url", "expected"), [
    ("hf://datasets/org/name@abc/data/train.csv",
     ("org/name", "dataset", "abc", "data/train.csv")),
    ("hf://datasets/org/name@refs%2Fconvert%2Fparquet/a.parquet",
     ("org/name", "dataset", "refs/convert/parquet", "a.parquet")),
    ("hf://datasets/org/name@refs/pr/3/a.parquet",
     ("org/name", "dataset", "refs/pr/3", "a.parquet")),
    ("https://huggingface.co/datasets/org/name/resolve/main/a/b.json",
     ("org/name", "dataset", "main", "a/b.json")),
    ("hf://spaces/org/app@main/x.txt", ("org/app", "space", "main", "x.txt")),
])
def test_urls(hub, tmp_path, url, expected):
    path = DownloadManager(download_config=DownloadConfig(token="t")).download(url)
    assert path == str(tmp_path / "file")
    asked = hub[0]
    assert tuple(asked[key] for key in ("repo_id", "repo_type", "revision", "filename")) == expected
    assert asked["token"] == "t" and asked["local_files_only"] is False


def raised(hub, error, **config):
    hub.error = error
    with pytest.raises(PathMissing) as caught:
        cached_path("hf://datasets/o/n@main/a.csv", DownloadConfig(**config))
    assert isinstance(caught.value, FileNotFoundError)
    return str(caught.value)


def test_what_is_said(hub, monkeypatch):
    said = raised(hub, errors.LocalEntryNotFoundError("x"), local_files_only=True)
    assert "it is not cached, and local_files_only=True forbids a request" in said
    assert hub[-1]["local_files_only"] is True
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE=1 forbids" in raised(hub, errors.LocalEntryNotFoundError("x"))
    monkeypatch.delenv("HF_HUB_OFFLINE")
    hidden = errors.LocalEntryNotFoundError("x")
    hidden.__cause__ = OSError("no route")
    assert "could not be reached (OSError: no route)" in raised(hub, hidden)
    said = raised(hub, RuntimeError("boom"))
    assert said.startswith("hf://datasets/o/n@main/a.csv can't be had from the Hub: ")
    entry = errors.EntryNotFoundError.__new__(errors.EntryNotFoundError)
    assert "has no file 'a.csv' at 'main'" in raised(hub, entry)
