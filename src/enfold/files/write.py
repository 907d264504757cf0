"""Saving weights, as huggingface's libraries name, shard and index them.

    model.safetensors                          when all fits in one shard
    model-00001-of-00003.safetensors, ...      otherwise, with model.safetensors.index.json

The old checkpoint of the folder stays loadable until the new one is complete: see `atomic`.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enfold.errors import CheckpointError
from enfold.files.atomic import atomic_folder_write
from enfold.files.checkpoint import add_variant
from enfold.files.jsons import write_json
from enfold.files.safetensors import write_safetensors
from enfold.files.shards import parse_size, plan_shards

if TYPE_CHECKING:
    import torch


def write_checkpoint(folder: str | os.PathLike[str], tensors: Mapping[str, torch.Tensor], *,
                     max_shard_size: int | str = "50GB", metadata: Mapping[str, str] | None = None,
                     safe: bool = True, variant: str | None = None,
                     total_parameters: int | None = None) -> list[str]:
    """Save named tensors into `folder`, and return the names of the files.

    One tensor at a time goes through memory.  Two names must not share memory: leave out what is
    tied.  max_shard_size: bytes, or such as "5GB".  safe=False writes torch pickles
    (pytorch_model.bin).  total_parameters goes into the index; by default all elements count.
    Raises `CheckpointError` for tensors that can't be saved, `OSError` when the disk is full.
    """
    if not tensors:
        raise CheckpointError(f"can't save to {folder}: no tensors were given")
    held = dict(tensors.items())
    _refuse_overlaps(held)
    limit = parse_size(max_shard_size)
    shards = plan_shards(((name, tensor.nbytes) for name, tensor in held.items()), limit)
    base = add_variant("model.safetensors" if safe else "pytorch_model.bin", variant)
    names = _shard_names(base, len(shards))
    total = sum(tensor.nbytes for tensor in held.values())
    with atomic_folder_write(folder) as staging:
        _require_space(Path(folder), total)
        for name, keys in zip(names, shards, strict=True):
            part = {key: held[key] for key in keys}
            _write_shard(staging / name, part, metadata or {"format": "pt"}, safe)
        if len(shards) > 1:
            elements = sum(tensor.numel() for tensor in held.values())
            index = {"metadata": {"total_parameters": total_parameters or elements,
                                  "total_size": total},
                     "weight_map": {key: name for name, keys in zip(names, shards, strict=True)
                                    for key in keys}}
            whole = "model.safetensors" if safe else "pytorch_model.bin"
            names.append(add_variant(f"{whole}.index.json", variant))
            write_json(staging / names[-1], index)
    return names


def _shard_names(base: str, count: int) -> list[str]:
    stem, _, suffix = base.rpartition(".")
    if count == 1:
        return [base]
    return [f"{stem}-{n:05d}-of-{count:05d}.{suffix}" for n in range(1, count + 1)]


def _write_shard(path: Path, tensors: dict[str, torch.Tensor], metadata: Mapping[str, str],
                 safe: bool) -> None:
    if safe:
        write_safetensors(path, tensors, metadata)
        return
    import torch

    whole = {name: _alone(tensor.detach().cpu()) for name, tensor in tensors.items()}
    torch.save(whole, path)


def _alone(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that owns its storage: torch.save writes storages whole."""
    owned = tensor.untyped_storage().nbytes() == tensor.nbytes and tensor.is_contiguous()
    return tensor if owned else tensor.contiguous().clone()


def _refuse_overlaps(tensors: dict[str, torch.Tensor]) -> None:
    spans: list[tuple[Any, int, int, str]] = []
    for name, tensor in tensors.items():
        if tensor.numel() and not tensor.is_meta and str(tensor.layout) == "torch.strided":
            last = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.stride(), strict=True))
            start = tensor.data_ptr()
            spans.append((str(tensor.device), start, start + (last + 1) * tensor.itemsize, name))
    spans.sort()
    for (device, _, end, name), (other_device, start, _, other) in pairwise(spans):
        if device == other_device and start < end:
            raise CheckpointError(f"can't save: {name!r} and {other!r} share memory. Expected tied "
                                  "tensors once: leave one out, or .clone() it")


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"can't save {needed:,} bytes: the disk has {free:,} left, and "
                      "the older checkpoint stays until the new one is complete. Do: free some "
                      "space, or save elsewhere", str(folder))
