"""GGUF's block formats to numbers: a few bits for each number, scales for 16 to 256 of them.

    B blocks of a tensor, end to end: uint8 [B, bytes of a block] -> float32 [B, numbers]

A format is a function that takes a block apart; sums and products are in the order of ggml's
reference, so that results are equal bit for bit.  https://github.com/ggml-org/ggml (ggml-quants)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from enfold.files.gguf.kinds import Kind

if TYPE_CHECKING:
    import torch
    from torch import Tensor

AT_ONCE = 1 << 18  # numbers taken apart together: temporaries of 1 MB stay in the cache
NONLINEAR = (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)


def dequantize(raw: Tensor, kind: Kind, dtype: torch.dtype) -> Tensor:
    """The numbers [B * block] of blocks uint8 [B * size], a piece at a time into `dtype`.

    Raises NotImplementedError for a format that is not read.
    """
    import torch

    if kind.name not in FORMATS:
        raise NotImplementedError(
            f"GGUF tensors of type {kind.name} are not read. Expected one of F32, F16, BF16, F64, "
            f"{', '.join(FORMATS)}. Do: give a file in one of these (llama-quantize "
            "--allow-requantize in.gguf out.gguf Q8_0)")
    blocks = raw.view(-1, kind.size)
    out = torch.empty(len(blocks), kind.block, dtype=dtype)
    step = AT_ONCE // kind.block
    for start in range(0, len(blocks), step):
        out[start:start + step] = FORMATS[kind.name](blocks[start:start + step])
    return out.view(-1)


def half(blocks: Tensor, at: int) -> Tensor:
    """The two-byte float at byte `at` of each block: [B, 1]."""
    import torch

    return blocks[:, at:at + 2].contiguous().view(torch.float16).float()


def nibbles(data: Tensor, group: int) -> Tensor:
    """Four-bit numbers [B, n / group, 2 * group]: of `group` bytes, the low halves go first."""
    return fields(data, group, 4).flatten(2)


def fields(data: Tensor, group: int, bits: int) -> Tensor:
    """Small numbers [B, n / group, 8 / bits, group]: byte i of a group has one of each row."""
    import torch

    shifts = torch.arange(0, 8, bits, dtype=torch.uint8).view(-1, 1)
    found: Tensor = (data.reshape(len(data), -1, 1, group) >> shifts) & (2**bits - 1)
    return found


def fifth_bits(data: Tensor) -> Tensor:
    """Thirty-two single bits, worth 16, out of four bytes: [B, 32]."""
    import torch

    bits: Tensor = (data[:, :, None] >> torch.arange(8, dtype=torch.uint8)) & 1
    return bits.flatten(1) << 4


def q4_0(b: Tensor) -> Tensor:
    """A scale, 32 numbers of four bits around 8."""
    return half(b, 0) * (nibbles(b[:, 2:], 16).flatten(1).float() - 8)


def q4_1(b: Tensor) -> Tensor:
    """A scale, a minimum, 32 numbers of four bits."""
    return half(b, 0) * nibbles(b[:, 4:], 16).flatten(1).float() + half(b, 2)


def q5_0(b: Tensor) -> Tensor:
    """A scale, 32 numbers of five bits around 16."""
    number = nibbles(b[:, 6:], 16).flatten(1) | fifth_bits(b[:, 2:6])
    return half(b, 0) * (number.float() - 16)


def q5_1(b: Tensor) -> Tensor:
    """A scale, a minimum, 32 numbers of five bits."""
    number = nibbles(b[:, 8:], 16).flatten(1) | fifth_bits(b[:, 4:8])
    return half(b, 0) * number.float() + half(b, 2)


def q8_0(b: Tensor) -> Tensor:
    """A scale, 32 signed bytes."""
    import torch

    return b[:, 2:].contiguous().view(torch.int8).float() * half(b, 0)


def q2_k(b: Tensor) -> Tensor:
    """Sixteen runs of 16, each with a four-bit scale and a four-bit minimum."""
    scale, least = half(b, 80) * (b[:, :16] & 15).float(), half(b, 82) * (b[:, :16] >> 4).float()
    number = fields(b[:, 16:80], 32, 2).reshape(-1, 16, 16).float()
    return (scale[:, :, None] * number - least[:, :, None]).flatten(1)


def q3_k(b: Tensor) -> Tensor:
    """Sixteen runs of 16 with six-bit scales; the third bit of a number is apart, inverted."""
    low, high = fields(b[:, 96:104], 8, 4).flatten(1), fields(b[:, 104:108], 4, 2).flatten(1)
    scale = half(b, 108) * ((low | (high << 4)).float() - 32)
    third = fields(b[:, :32], 32, 1).reshape(-1, 16, 16).float() * 4 - 4
    number = fields(b[:, 32:96], 32, 2).reshape(-1, 16, 16).float() + third
    return (scale[:, :, None] * number).flatten(1)


def six_bits(data: Tensor) -> tuple[Tensor, Tensor]:
    """Eight scales and eight minima of six bits, packed in 12 bytes: [B, 8] each."""
    import torch

    first, second, rest = data[:, :4], data[:, 4:8], data[:, 8:]
    scale = torch.cat([first & 63, (rest & 15) | ((first >> 2) & 48)], 1)
    least = torch.cat([second & 63, (rest >> 4) | ((second >> 2) & 48)], 1)
    return scale.float(), least.float()


def _eight_runs(b: Tensor, number: Tensor) -> Tensor:
    """Numbers [B, 8, 32] with the scales that open the block."""
    scale, least = six_bits(b[:, 4:16])
    scale, least = (half(b, 0) * scale)[:, :, None], (half(b, 2) * least)[:, :, None]
    return (scale * number.float() - least).flatten(1)


def q4_k(b: Tensor) -> Tensor:
    """Eight runs of 32, four bits, with six-bit scales and minima."""
    return _eight_runs(b, nibbles(b[:, 16:], 32).reshape(-1, 8, 32))


def q5_k(b: Tensor) -> Tensor:
    """Eight runs of 32, five bits, with six-bit scales and minima."""
    fifth = fields(b[:, 16:48], 32, 1).reshape(-1, 8, 32)
    return _eight_runs(b, nibbles(b[:, 48:], 32).reshape(-1, 8, 32) | (fifth << 4))


def q6_k(b: Tensor) -> Tensor:
    """Sixteen runs of 16 with eight-bit scales; two bits of a number are apart from four."""
    import torch

    low, high = nibbles(b[:, :128], 64).reshape(-1, 16, 16), fields(b[:, 128:192], 32, 2)
    number = (low | (high.reshape(-1, 16, 16) << 4)).float() - 32
    scale = half(b, 208) * b[:, 192:208].contiguous().view(torch.int8).float()
    return (scale[:, :, None] * number).flatten(1)


def _nonlinear(index: Tensor) -> Tensor:
    """Four-bit numbers that stand for unevenly spaced ones."""
    import torch

    return torch.tensor(NONLINEAR, dtype=torch.float32)[index.int()]


def iq4_nl(b: Tensor) -> Tensor:
    """A scale, 32 places in the table of uneven numbers."""
    return half(b, 0) * _nonlinear(nibbles(b[:, 2:], 16).flatten(1))


def iq4_xs(b: Tensor) -> Tensor:
    """Eight runs of 32 with six-bit scales, in four bits and two."""
    low = fields(b[:, 4:8], 1, 4).flatten(1)
    high = fields(b[:, 2:4], 1, 2).flatten(1)
    scale = half(b, 0) * ((low | (high << 4)).float() - 32)
    number = _nonlinear(nibbles(b[:, 8:], 16).reshape(-1, 8, 32))
    return (scale[:, :, None] * number).flatten(1)


FORMATS: dict[str, Callable[[Tensor], Tensor]] = {
    "Q4_0": q4_0, "Q4_1": q4_1, "Q5_0": q5_0, "Q5_1": q5_1, "Q8_0": q8_0, "Q2_K": q2_k,
    "Q3_K": q3_k, "Q4_K": q4_k, "Q5_K": q5_k, "Q6_K": q6_k, "IQ4_NL": iq4_nl, "IQ4_XS": iq4_xs}
