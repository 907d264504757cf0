"""Writing GGUF: header and metadata, then the tensors, each converted as it is written."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from enfold.errors import CheckpointError
from enfold.files.atomic import atomic_file
from enfold.files.gguf.kinds import ALIGNMENT, BOOL, LIST, NUMBERS, TEXT, Kind, kind_named
from enfold.files.gguf.quantize import quantize

if TYPE_CHECKING:
    from torch import Tensor

U32, I32, F32, U64, I64, F64 = 4, 5, 6, 10, 11, 12
LONGEST_NAME = 63  # bytes; ggml's own limit


class Typed(NamedTuple):
    """A metadata value with its type's number, where the usual one is not meant."""

    number: int
    value: Any


def write_gguf(path: str | os.PathLike[str], metadata: Mapping[str, Any],
               tensors: Mapping[str, Tensor], kinds: Mapping[str, str],
               change: Callable[[str, Tensor], Tensor] = lambda name, tensor: tensor) -> None:
    """Write a GGUF file (version 3, little-endian), whole or not at all.

    metadata: booleans, integers (u32, or i32, u64, i64 where that is too small), floats (f32),
    text, and lists of one of them (integers as i32); Typed(number, value) to say otherwise.
    kinds: "F32", "F16", "BF16", "Q8_0" or "Q4_0" for each tensor.  change: what is done to a
    tensor before it is written; its shape stays.  Memory holds what is made of one tensor.
    """
    chosen = {name: _checked(name, tensor, kind_named(kinds[name]))
              for name, tensor in tensors.items()}
    with atomic_file(path) as file:
        file.write(_header(metadata, tensors, chosen))
        for name, tensor in tensors.items():
            _pad(file)
            file.write(encode(name, change(name, tensor), chosen[name]))
        _pad(file)


def encode(name: str, tensor: Tensor, kind: Kind) -> memoryview:
    """A tensor's bytes in a kind."""
    import torch

    if kind.torch:
        made = tensor.detach().cpu().to(getattr(torch, kind.torch)).contiguous()
        if kind.name == "F16" and tensor.dtype != made.dtype and bool(
                (made.isinf() & ~tensor.detach().cpu().isinf()).any()):
            raise CheckpointError(f"tensor {name!r} has values that F16 can't hold: they go up to "
                                  f"{float(tensor.abs().max()):g}, expected below 65,520. Do: "
                                  "convert to bf16")
    else:
        made = quantize(tensor, kind)
    return memoryview(made.reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]


def _header(metadata: Mapping[str, Any], tensors: Mapping[str, Tensor],
            kinds: Mapping[str, Kind]) -> bytes:
    parts = [b"GGUF", struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        number, value = value if isinstance(value, Typed) else (_number(key, value), value)
        parts += [_text(key), struct.pack("<I", number), *_value(number, key, value)]
    offset = 0
    for name, tensor in tensors.items():
        kind, shape = kinds[name], tuple(reversed(tensor.shape))
        parts += [_text(name), struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind.number,
                                           offset)]
        size = tensor.numel() // kind.block * kind.size
        offset += -(-size // ALIGNMENT) * ALIGNMENT
    return b"".join(parts)


def _number(key: str, value: Any) -> int:
    """The type's number of a value."""
    if isinstance(value, bool):
        return BOOL
    if isinstance(value, int):
        kinds = (U32, U64) if value >= 0 else (I32, I64)
        return kinds[0] if -(1 << 31) <= value < 1 << 32 else kinds[1]
    for kind, number in ((float, F32), (str, TEXT), (list, LIST), (tuple, LIST)):
        if isinstance(value, kind):
            return number
    raise CheckpointError(f"GGUF metadata {key!r} is a {type(value).__name__}. Expected a boolean, "
                          "a number, text or a list of one of these")


def _value(number: int, key: str, value: Any) -> Iterable[bytes]:
    if number == TEXT:
        return [_text(value)]
    if number == LIST:
        return _list(key, value)
    return [struct.pack(f"<{NUMBERS[number]}", value)]


def _list(key: str, values: Sequence[Any]) -> Iterable[bytes]:
    kinds = {I32 if number in (U32, I32) else number
             for number in (_number(key, value) for value in values)}
    if len(kinds) > 1:
        raise CheckpointError(f"GGUF metadata {key!r} is a list of several kinds of values. "
                              "Expected one kind")
    number = kinds.pop() if kinds else I32
    yield struct.pack("<IQ", number, len(values))
    if number in NUMBERS:
        yield struct.pack(f"<{len(values)}{NUMBERS[number]}", *values)
    else:
        for value in values:
            yield from _value(number, key, value)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _checked(name: str, tensor: Tensor, kind: Kind) -> Kind:
    if len(name.encode()) > LONGEST_NAME or tensor.ndim > 4:
        raise CheckpointError(f"tensor {name!r} of shape {list(tensor.shape)} can't be in a GGUF "
                              f"file: expected a name of at most {LONGEST_NAME} bytes and at most "
                              "4 dimensions")
    if tensor.is_meta:
        raise CheckpointError(f"can't save tensor {name!r}: it is on the meta device and has no "
                              "values. Do: load or initialise it first")
    if (tensor.shape[-1] if tensor.ndim else 1) % kind.block:
        raise CheckpointError(f"tensor {name!r} of shape {list(tensor.shape)} can't be "
                              f"{kind.name}: expected rows of a multiple of {kind.block}")
    return kind


def _pad(file: BinaryIO) -> None:
    file.write(b"\0" * (-file.tell() % ALIGNMENT))
