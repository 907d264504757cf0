"""Checkpoints cut into shards: an index says which file holds which tensor.

    model.safetensors.index.json    {"metadata": {"total_size": 123},
                                     "weight_map": {"a.weight": "model-00001-of-00002.safetensors"}}
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from enfold.errors import CheckpointError, ConfigError
from enfold.files.jsons import read_json

_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
          "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}


def read_index(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The weight map (tensor name to shard's file name) and metadata of an index file."""
    try:
        index = read_json(path)
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    weight_map = index.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path}: no weight_map. Expected {{'weight_map': {{tensor: shard "
                              f"file}}}}, got the keys {sorted(index)}")
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or not _plain(shard):
            raise CheckpointError(f"{path}: tensor {name!r} is said to be in {shard!r}. Expected "
                                  "the name of a file beside the index")
    metadata = index.get("metadata")
    return weight_map, metadata if isinstance(metadata, dict) else {}


def plan_shards(sizes: Iterable[tuple[str, int]], limit: int) -> list[list[str]]:
    """Names by shard: in order, none above `limit` bytes unless a single tensor is."""
    shards: list[list[str]] = []
    current: list[str] = []
    held = 0
    for name, size in sizes:
        if size > limit:
            shards.append([name])
            continue
        if held + size > limit:
            shards.append(current)
            current, held = [], 0
        current.append(name)
        held += size
    return [*shards, current] if current or not shards else shards


def parse_size(size: int | str) -> int:
    """Bytes: 5_000_000, "5MB" (10**6 each) or "5MiB" (2**20 each)."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]I?B)?\s*", str(size).upper())
    if not found or float(found[1]) <= 0:
        raise CheckpointError(f"max_shard_size={size!r} is not a size. Expected a number of bytes, "
                              "or such as '500MB', '5GB' or '5GiB'")
    return int(float(found[1]) * _UNITS[found[2] or ""])


def _plain(shard: str) -> bool:
    """Whether a shard's name stays in the index's folder."""
    return shard not in ("", ".", "..") and not re.search(r"[/\\:\0]", shard)
