"""Indexes of sharded checkpoints, and how tensors are dealt into shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import split_torch_state_dict_into_shards

from enfold.errors import CheckpointError, FileMissing
from enfold.files.shards import parse_size, plan_shards, read_index


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_reads(tmp_path: Path) -> None:
    index = {"metadata": {"total_size": 3}, "weight_map": {"a": "x-00001-of-00001.safetensors"}}
    assert read_index(write(tmp_path / "i.json", index)) == (index["weight_map"], {"total_size": 3})
    assert read_index(write(tmp_path / "i.json", {"weight_map": {"a": "x"}}))[1] == {}


@pytest.mark.parametrize("shard", ["../evil", "/etc/passwd", "a/b", "a\\b", "..", "", 3, None,
                                   "C:x", "x\0"])
def test_shards_stay_beside_the_index(tmp_path: Path, shard: Any) -> None:
    path = write(tmp_path / "i.json", {"weight_map": {"a": shard}})
    with pytest.raises(CheckpointError) as caught:
        read_index(path)
    assert str(caught.value) == (f"{path}: tensor 'a' is said to be in {shard!r}. Expected the "
                                 "name of a file beside the index")


@pytest.mark.parametrize(("content", "message"), [
    ({"metadata": {}}, "no weight_map. Expected {'weight_map': {tensor: shard file}}, got the keys "
                       "['metadata']"),
    ({"weight_map": {}}, "no weight_map"), ({"weight_map": [1]}, "no weight_map"),
    ("[1]", "holds a JSON list"), ('{"weight_map": ', "bad JSON at line 1, column 16"),
])
def test_damage(tmp_path: Path, content: Any, message: str) -> None:
    path = write(tmp_path / "i.json", content)
    with pytest.raises(CheckpointError) as caught:
        read_index(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_no_index(tmp_path: Path) -> None:
    with pytest.raises(FileMissing, match="no such file"):
        read_index(tmp_path / "i.json")


@pytest.mark.parametrize("sizes", [[4, 4, 4], [40, 4, 4], [4, 40, 4], [40, 40], [9, 1, 9, 1, 1],
                                   [4, 4, 40], [1] * 25])
def test_dealt_as_huggingface_deals(sizes: list[int]) -> None:
    import torch

    tensors = {f"t{n}": torch.zeros(size, dtype=torch.uint8) for n, size in enumerate(sizes)}
    peer = split_torch_state_dict_into_shards(tensors, max_shard_size=10)
    expected = [list(names) for names in peer.filename_to_tensors.values()]
    ours = plan_shards(((name, t.nbytes) for name, t in tensors.items()), 10)
    assert [s for s in ours if s] == [s for s in expected if s]


@pytest.mark.parametrize(("given", "expected"), [
    (5, 5), ("7", 7), ("5MB", 5 * 10**6), ("5 GB", 5 * 10**9), ("1.5KB", 1500), ("2GiB", 2 << 30),
    ("1TB", 10**12), ("3kib", 3 << 10)])
def test_sizes(given: int | str, expected: int) -> None:
    assert parse_size(given) == expected


@pytest.mark.parametrize("given", ["", "big", "5XB", "-1MB", 0, "GB"])
def test_bad_sizes(given: int | str) -> None:
    with pytest.raises(CheckpointError) as caught:
        parse_size(given)
    assert str(caught.value) == (f"max_shard_size={given!r} is not a size. Expected a number of "
                                 "bytes, or such as '500MB', '5GB' or '5GiB'")
