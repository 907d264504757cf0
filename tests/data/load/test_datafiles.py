"""Patterns, splits by names and digests of data files, beside the real library's."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pytest
from datasets import data_files as theirs

from enfold.data.datafiles import (
    DataFilesDict,
    DataFilesList,
    DataFilesPatternsDict,
    EmptyDatasetError,
    get_data_patterns,
    resolve_pattern,
    storage_of,
)
from enfold.data.download import DownloadConfig
from enfold.data.fingerprint import digest

Write = Callable[[str, str | bytes], str]
FILES = ("README.md", "train.txt", "data/train/a.txt", "data/train/b.csv", "data/test_x/a.txt.gz",
         "data/.hid/a.txt", ".dot.txt", "data/__pyc__/a.txt", "data/val-1.txt",
         "deep/er/still/a.txt", "data/dev.parquet")
PATTERNS = ("*", "**", "**/*", "*.txt", "data/*", "data/**", "**/*.txt", "**/train/**", "**/a.*",
            "**/*[-._ 0-9]x/**", "data/.hid/*", "**/.hid/**", "data/__pyc__/**", ".dot*",
            "**/.dot*", "data/train/../train/*.txt", "deep/**/a.txt", "data/[dv]*", "nothing/**",
            "data/train/b.csv")


@pytest.fixture
def tree(write: Write, tmp_path: Path) -> str:
    for name in FILES:
        write(f"tree/{name}", name)
    os.symlink(tmp_path / "tree" / "train.txt", tmp_path / "tree" / "data" / "link.txt")
    os.symlink(tmp_path / "tree" / "deep", tmp_path / "tree" / "data" / "folder")
    return str(tmp_path / "tree")


def outcome(resolve: Callable[..., list[str]], *arguments: Any) -> Any:
    try:
        return resolve(*arguments)
    except FileNotFoundError:
        return "not found"


@pytest.mark.parametrize("extensions", [None, [".txt"], [".gz", ".csv"]])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns(tree: str, pattern: str, extensions: Any) -> None:
    assert outcome(resolve_pattern, pattern, tree, extensions) == outcome(
        theirs.resolve_pattern, pattern, tree, extensions)


@pytest.mark.parametrize("names", [
    ["train.csv", "test.csv"], ["data/train-00000-of-00001.parquet", "data/own-00000-of-00001.x"],
    ["train/a.csv", "dev/b.csv"], ["my-test-set/a.csv", "eval.csv"], ["a.csv"], ["contest.csv"],
    ["x/train_1/a.csv", "x/valid.2/b.csv", "x/c.csv"], ["README.md"], []])
def test_splits_by_name(write: Write, tmp_path: Path, names: list[str]) -> None:
    (tmp_path / "d").mkdir()
    for name in names:
        write(f"d/{name}", "x")
    place = str(tmp_path / "d")
    ours = outcome(get_data_patterns, place)
    assert ours == outcome(theirs.get_data_patterns, place)
    if ours == "not found":
        with pytest.raises(EmptyDatasetError, match="doesn't contain any data files"):
            get_data_patterns(place)
    else:
        found = DataFilesDict.from_patterns(ours, place)
        real = theirs.DataFilesDict.from_patterns(ours, place)
        assert {key: sorted(set(files)) for key, files in real.items()} == {
            key: sorted(files) for key, files in found.items()}


def test_a_file_is_one_file_though_globs_overlap(write: Write, tmp_path: Path) -> None:
    path = write("d/a.csv", "x")
    found = DataFilesList.from_patterns(["**", "*.csv"], str(tmp_path / "d"))
    assert found == [path]
    assert DataFilesList.from_patterns([path, path]) == [path, path]


def test_digests(write: Write) -> None:
    one, two = write("a.csv", "x"), write("b.csv", "y")
    made = DataFilesDict.from_patterns({"train": [one], "test": [two]})
    assert digest(made) == digest(DataFilesDict(reversed(made.items())))
    assert pickle.loads(pickle.dumps(made))["train"].origin_metadata == (
        made["train"].origin_metadata)
    before = digest(made)
    write("a.csv", "xx")
    assert digest(DataFilesDict.from_patterns({"train": [one], "test": [two]})) != before


def test_filters_and_patterns(write: Write, tmp_path: Path) -> None:
    for name in ("a.csv", "b.CSV.gz", "c.txt", "metadata.jsonl"):
        write(f"d/{name}", "x")
    patterns = DataFilesPatternsDict.from_patterns({"train": ["**"]})
    found = patterns.resolve(str(tmp_path / "d"))
    names = [Path(file).name for file in found.filter(
        extensions=[".csv"], file_names=["metadata.jsonl"])["train"]]
    assert names == ["a.csv", "b.CSV.gz", "metadata.jsonl"]


def test_other_filesystems(write: Write) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/box/train/a.csv", b"x\n1\n")
    try:
        assert resolve_pattern("**", "memory://box") == ["memory:///box/train/a.csv"]
        assert get_data_patterns("memory://box").keys() == {"train"}
        assert len(DataFilesList.from_patterns(["memory://box/**"]).origin_metadata) == 1
    finally:
        memory.rm("/box", recursive=True)


def test_storage_options() -> None:
    nested = DownloadConfig(storage_options={"s3": {"anon": True}, "memory": {"x": 1}})
    assert storage_of("s3://a/b", nested) == {"anon": True}
    assert storage_of("memory://a", DownloadConfig(storage_options={"y": 2})) == {"y": 2}
    assert storage_of("hf://datasets/a/b/c", DownloadConfig(token="t"))["token"] == "t"
    assert storage_of("zip://a::s3://b/c.zip", nested) == {"s3": {"anon": True}}
    assert storage_of("/a/b", DownloadConfig()) == {}
