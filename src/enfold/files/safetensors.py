"""The safetensors format: a length, a JSON header, then the tensors' bytes end to end.

    8 bytes   n, little-endian          {"__metadata__": {"format": "pt"},
    n bytes   JSON, padded by spaces     "a": {"dtype": "F32", "shape": [2, 3],
    the rest  tensors without gaps             "data_offsets": [0, 24]}, ...}

Read by mapping the file (see `mapped`), written one tensor at a time.
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from enfold.errors import CheckpointError, FileMissing
from enfold.files.mapped import MappedFile, map_file

if TYPE_CHECKING:
    import torch

# name: (torch's name, bits per element), in the order in which files hold them, reversed
DTYPES = {
    "BOOL": ("bool", 8), "F4": ("float4_e2m1fn_x2", 4), "U8": ("uint8", 8), "I8": ("int8", 8),
    "F8_E5M2": ("float8_e5m2", 8), "F8_E4M3": ("float8_e4m3fn", 8),
    "F8_E8M0": ("float8_e8m0fnu", 8), "F8_E4M3FNUZ": ("float8_e4m3fnuz", 8),
    "F8_E5M2FNUZ": ("float8_e5m2fnuz", 8), "I16": ("int16", 16), "U16": ("uint16", 16),
    "F16": ("float16", 16), "BF16": ("bfloat16", 16), "I32": ("int32", 32), "U32": ("uint32", 32),
    "F32": ("float32", 32), "C64": ("complex64", 64), "F64": ("float64", 64), "I64": ("int64", 64),
    "U64": ("uint64", 64)}
_RANK = {name: rank for rank, name in enumerate(DTYPES)}
_NAMES = {torch_name: name for name, (torch_name, _) in DTYPES.items()}
_MAX_HEADER = 100_000_000  # bytes; the format's own limit


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a header: dtype ("F32"), shape, and its bytes [start, end) after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class SafetensorsFile(MappedFile[Entry]):
    """The tensors of one file, by name.  Opening reads and checks the header only.

    Raises `CheckpointError` naming the file and the tensor if the file is damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if sys.byteorder != "little":
            raise NotImplementedError("safetensors files are little-endian and this machine is "
                                      "not. Do: use a little-endian machine")
        self.path = Path(path)
        self.entries, self.metadata, self.origin = read_header(self.path)

    def shape(self, key: str) -> tuple[int, ...]:
        """The tensor's shape as torch counts it."""
        entry = self._entry(key)
        if entry.dtype == "F4":  # the file counts elements, torch pairs of them
            return (*entry.shape[:-1], entry.shape[-1] // 2)
        return entry.shape

    def dtype(self, key: str) -> torch.dtype:
        import torch

        found: torch.dtype = getattr(torch, DTYPES[self._entry(key).dtype][0])
        return found

    def get(self, key: str) -> torch.Tensor:
        """The tensor, mapped from the file: nothing is read until it is looked at."""
        import torch

        entry, dtype = self._entry(key), self.dtype(key)
        if entry.start == entry.end:
            return torch.empty(self.shape(key), dtype=dtype)
        if self._map is None:
            self._map = map_file(self.path)
        offset = self.origin + entry.start
        flat = torch.frombuffer(self._map, dtype=torch.uint8, count=entry.end - entry.start,
                                offset=offset)
        if offset % dtype.itemsize:
            flat = flat.clone()  # kernels want whole addresses
        return flat.view(dtype).view(self.shape(key))


def read_header(path: Path) -> tuple[dict[str, Entry], dict[str, str], int]:
    """The tensors of a file in the order of their bytes, its metadata, and where bytes begin."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as file:
            start = file.read(8)
            length = int.from_bytes(start, "little")
            if len(start) < 8 or length > _MAX_HEADER or 8 + length > size:
                raise CheckpointError(_not_safetensors(path, start, size))
            raw = file.read(length)
    except FileNotFoundError as error:
        raise FileMissing(f"{path}: no such file. Expected a safetensors file") from error
    header = _parse(path, raw)
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise CheckpointError(f"{path}: bad __metadata__ {metadata!r:.80}. Expected an object of "
                              "strings")
    entries = {name: _checked(path, name, value) for name, value in header.items()}
    entries = dict(sorted(entries.items(), key=lambda item: (item[1].start, item[1].end)))
    _check_layout(path, entries, size - 8 - length)
    return entries, metadata, 8 + length


def write_safetensors(path: str | os.PathLike[str], tensors: Mapping[str, torch.Tensor],
                      metadata: Mapping[str, str] | None = None) -> None:
    """Write a file, byte for byte as the safetensors library does, one tensor at a time.

    Tensors may be on any device and of any strides; at most one is copied at a time.
    """
    dtypes = {name: _dtype_name(name, tensor) for name, tensor in tensors.items()}
    names = sorted(tensors, key=lambda name: (-_RANK[dtypes[name]], name.encode()))
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name in names:
        start, end = end, end + tensors[name].nbytes
        header[name] = {"dtype": dtypes[name], "shape": _file_shape(dtypes[name], tensors[name]),
                        "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(_bytes(tensors[name]))


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    def unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise CheckpointError(f"{path}: the header names {name!r} twice. {_AGAIN}")
            found[name] = value
        return found

    try:
        header = json.loads(raw.decode(), object_pairs_hook=unique)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: the header of {len(raw)} bytes is not JSON ({error}). "
                              f"{_AGAIN}") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{path}: the header is a JSON {type(header).__name__}. Expected an "
                              f"object of tensors. {_AGAIN}")
    return header


def _checked(path: Path, name: str, value: Any) -> Entry:
    """The header's entry for one tensor, if its numbers agree with each other."""
    try:
        dtype, shape, (start, end) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
        sane = all(type(n) is int and n >= 0 for n in (*shape, start, end))
    except (KeyError, TypeError, ValueError):
        sane = False
    if not sane:
        raise CheckpointError(f"{path}: tensor {name!r} has a bad entry {value!r:.100}. Expected "
                              f"dtype, shape and two data_offsets. {_AGAIN}")
    if dtype not in DTYPES:
        raise CheckpointError(f"{path}: tensor {name!r} has the dtype {dtype!r}. Expected one of "
                              f"{', '.join(DTYPES)}")
    needed = math.prod(shape) * DTYPES[dtype][1] / 8
    if end - start != needed:
        raise CheckpointError(f"{path}: tensor {name!r} ({dtype} {list(shape)}) needs "
                              f"{needed:.0f} bytes, its entry gives it {end - start}. {_AGAIN}")
    return Entry(dtype, shape, start, end)


def _check_layout(path: Path, entries: dict[str, Entry], size: int) -> None:
    """Tensors follow each other without gaps and end where the file does."""
    end = 0
    for name, entry in entries.items():
        if entry.start != end:
            fault = "a gap of" if entry.start > end else "an overlap of"
            raise CheckpointError(f"{path}: {fault} {abs(entry.start - end)} bytes before tensor "
                                  f"{name!r}. Expected it to start at byte {end}. {_AGAIN}")
        end = entry.end
        if end > size:
            last = max(e.end for e in entries.values())
            raise CheckpointError(
                f"{path}: truncated at tensor {name!r} ({entry.dtype} {list(entry.shape)}): its "
                f"bytes are {entry.start} to {end}, the file has {size} of {last}. {_AGAIN}")
    if end < size:
        raise CheckpointError(f"{path}: {size - end} bytes follow the last tensor. Expected none. "
                              f"{_AGAIN}")


_AGAIN = "Do: download or save the file again (force_download=True)"


def _not_safetensors(path: Path, start: bytes, size: int) -> str:
    if start.startswith(b"version "):
        return f"{path}: a Git LFS pointer, not the file itself. Do: run `git lfs pull` there"
    if start.startswith((b"PK\x03\x04", b"\x80\x02")):
        return (f"{path}: a torch pickle under a safetensors name. Do: rename it to "
                "pytorch_model.bin")
    return (f"{path}: not a whole safetensors file: {size} bytes, beginning with {start!r}. "
            f"Expected the length of a header that fits. {_AGAIN}")


def _dtype_name(name: str, tensor: torch.Tensor) -> str:
    torch_name = str(tensor.dtype).removeprefix("torch.")
    if str(tensor.layout) != "torch.strided" or torch_name not in _NAMES:
        raise CheckpointError(f"can't save tensor {name!r} ({torch_name}, {tensor.layout}). "
                              f"Expected a dense tensor of {', '.join(_NAMES)}")
    if tensor.is_meta:
        raise CheckpointError(f"can't save tensor {name!r}: it is on the meta device and has no "
                              "values. Do: load or initialise it first")
    return _NAMES[torch_name]


def _file_shape(dtype: str, tensor: torch.Tensor) -> list[int]:
    shape = list(tensor.shape)
    return [*shape[:-1], shape[-1] * 2] if dtype == "F4" else shape


def _bytes(tensor: torch.Tensor) -> memoryview:
    import torch

    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy())  # type: ignore[arg-type]
