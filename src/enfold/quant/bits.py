"""Small integers packed densely: value i of a row starts at bit `bits * i` of its little-endian
words, and may reach over a word's end (3 bits).

GPTQ's qweight (turned), compressed-tensors' weight_packed and our own int4 all store rows so.

R rows, N values in a row, W = ceil(N * bits / 32) words
"""

from __future__ import annotations

import torch
from torch import Tensor

from enfold.errors import CheckpointError


def words(count: int, bits: int) -> int:
    """How many int32 hold `count` values."""
    return -(-count * bits // 32)


def pack(values: Tensor, bits: int) -> Tensor:
    """values [R, N] of 0 .. 2^bits - 1 -> int32 [R, W]; what is left of the last word is zero."""
    rows, count = values.shape
    width = words(count, bits)
    if 8 % bits == 0:
        per_byte = 8 // bits
        padded = _padded(values.to(torch.uint8), width * 4 * per_byte)
        parts = padded.view(rows, -1, per_byte)
        packed = parts[..., 0].clone()
        for place in range(1, per_byte):
            packed |= parts[..., place] << (bits * place)
        return packed.contiguous().view(torch.int32)
    stream = _padded(values.to(torch.int64), -(-count // 32) * 32).view(rows, -1, 32)
    packed = stream.new_zeros(rows, stream.shape[1], bits)
    for place in range(32):
        word, shift = divmod(bits * place, 32)
        packed[..., word] |= (stream[..., place] << shift) & 0xFFFFFFFF
        if shift + bits > 32:
            packed[..., word + 1] |= stream[..., place] >> (32 - shift)
    return _as_int32(packed.view(rows, -1)[:, :width])


def unpack(packed: Tensor, bits: int, count: int) -> Tensor:
    """int32 [R, W] -> uint8 [R, N]."""
    rows, width = packed.shape
    if width != words(count, bits):
        raise CheckpointError(f"{count} values of {bits} bits are packed in {width} words, "
                              f"expected {words(count, bits)}. Do: check bits and shapes")
    if 8 % bits == 0:
        stored = packed.contiguous().view(torch.uint8)
        mask, per_byte = 2**bits - 1, 8 // bits
        parts = [(stored >> (bits * place)) & mask for place in range(per_byte)]
        return (torch.stack(parts, -1).view(rows, -1)[:, :count] if per_byte > 1
                else stored[:, :count])
    stream = _padded(packed.to(torch.int64) & 0xFFFFFFFF, -(-width // bits) * bits)
    stream = stream.view(rows, -1, bits)
    values = stream.new_empty(rows, stream.shape[1], 32, dtype=torch.uint8)
    for place in range(32):
        word, shift = divmod(bits * place, 32)
        value = stream[..., word] >> shift
        if shift + bits > 32:
            value = value | (stream[..., word + 1] << (32 - shift))
        values[..., place] = value & (2**bits - 1)
    return values.view(rows, -1)[:, :count]


def _padded(values: Tensor, count: int) -> Tensor:
    return torch.nn.functional.pad(values, (0, count - values.shape[1])).contiguous()


def _as_int32(values: Tensor) -> Tensor:
    """The low 32 bits of int64 as int32."""
    return torch.where(values >= 2**31, values - 2**32, values).to(torch.int32)
