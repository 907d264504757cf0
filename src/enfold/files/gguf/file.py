"""One GGUF file: its metadata, and its tensors mapped, turned into numbers when they are read."""

from __future__ import annotations

import math
import mmap
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enfold.errors import CheckpointError, FileMissing
from enfold.files.gguf.blocks import dequantize
from enfold.files.gguf.header import Entry, read_header
from enfold.files.mapped import MappedFile, map_file

if TYPE_CHECKING:
    import torch

SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")


class GGUFFile(MappedFile[Entry]):
    """The tensors of a GGUF file by the names in it.  Opening reads and checks the header only.

    `metadata`: its values (numbers, booleans, text, lists) by key.  Raises `CheckpointError` naming
    the file and the tensor or key if the file is damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if sys.byteorder != "little":
            raise NotImplementedError("GGUF files are read on little-endian machines only and this "
                                      "is none. Do: use another machine")
        self.path = Path(path)
        self._map: mmap.mmap = _mapped(self.path)
        header = read_header(self.path, self._map)
        self.version, self.big_endian = header.version, header.big_endian
        self.metadata: dict[str, Any] = header.metadata
        self.entries = header.entries

    def shape(self, key: str) -> tuple[int, ...]:
        return self._entry(key).shape

    def kind(self, key: str) -> str:
        """How the tensor is stored: "F16", "Q4_K", ..."""
        return self._entry(key).kind.name

    def dtype(self, key: str) -> torch.dtype:
        """What `get` gives: the stored type of plain numbers, float32 for blocks."""
        import torch

        found: torch.dtype = getattr(torch, self._entry(key).kind.torch or "float32")
        return found

    def get(self, key: str, dtype: torch.dtype | None = None) -> torch.Tensor:
        """The tensor: mapped from the file if it holds plain numbers, else computed.

        dtype: of a tensor that is computed from blocks, or converted; by default see `dtype`.
        """
        entry = self._entry(key)
        if not entry.kind.torch:
            flat = dequantize(self.raw(key).view(-1), entry.kind, dtype or self.dtype(key))
            return flat.view(entry.shape)
        flat = self.raw(key).view(-1).view(self.dtype(key))
        return flat.view(entry.shape).to(dtype or flat.dtype)

    def raw(self, key: str) -> torch.Tensor:
        """The bytes as stored, little-endian: uint8 [rows, bytes of a row]."""
        import torch

        entry = self._entry(key)
        if entry.start == entry.end:
            return torch.empty(0, 0, dtype=torch.uint8)
        flat = torch.frombuffer(self._map, dtype=torch.uint8, count=entry.end - entry.start,
                                offset=entry.start)
        if self.big_endian:
            flat = _swapped(flat, entry, self.path, key)
        elif entry.kind.torch and entry.start % entry.kind.size:
            flat = flat.clone()  # kernels want whole addresses
        return flat.view(math.prod(entry.shape[:-1]), -1)

    def bytes(self, key: str) -> bytes:
        """The bytes as stored in the file."""
        entry = self._entry(key)
        return self._map[entry.start:entry.end]


def open_shards(path: str | os.PathLike[str]) -> list[GGUFFile]:
    """The file, and where it is one of several that llama.cpp split a model into, the others."""
    first = GGUFFile(path)
    count = first.metadata.get("split.count", 1)
    if not isinstance(count, int) or count <= 1:
        return [first]
    named = SHARD.fullmatch(first.path.name)
    if named is None or int(named[3]) != count:
        raise CheckpointError(f"{path}: one of {count} files, but not named as such. Expected "
                              f"NAME-00001-of-{count:05d}.gguf. Do: keep the names they came with")
    names = [f"{named[1]}-{n:05d}-of-{named[3]}.gguf" for n in range(1, count + 1)]
    lacking = [name for name in names if not first.path.with_name(name).is_file()]
    if lacking:
        raise FileMissing(f"{path}: one of {count} files, and {', '.join(lacking[:3])} "
                          f"{'is' if len(lacking) == 1 else 'are'} missing. Do: put all into one "
                          "folder")
    return [GGUFFile(first.path.with_name(name)) for name in names]


def _mapped(path: Path) -> mmap.mmap:
    try:
        if path.stat().st_size < 24:
            raise CheckpointError(f"{path}: not a GGUF file: {path.stat().st_size} bytes. Expected "
                                  "at least 24. Do: download it again (force_download=True)")
        return map_file(path)
    except FileNotFoundError as error:
        raise FileMissing(f"{path}: no such file. Expected a GGUF file") from error


def _swapped(flat: torch.Tensor, entry: Entry, path: Path, key: str) -> torch.Tensor:
    """A big-endian tensor's bytes in our order: of blocks, their scales are turned."""
    kind = entry.kind
    if kind.torch:
        return flat.view(-1, kind.size).flip(1).flatten()
    if not kind.halves:
        raise NotImplementedError(f"{path}: tensor {key!r} is {kind.name} in a big-endian file, "
                                  "which is not read. Do: give the little-endian file")
    blocks = flat.view(-1, kind.size).clone()
    for at in kind.halves:
        blocks[:, at:at + 2] = blocks[:, at:at + 2].flip(1)
    return blocks.flatten()
