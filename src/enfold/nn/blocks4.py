"""Four bits by blocks: NF4 and FP4, the numbers and the packing of bitsandbytes.

The weight's numbers follow each other row by row and are cut into blocks.  A number is its block's
largest magnitude ("absmax") times one of 16 values; the index of the value takes four bits, two
numbers share a byte, the first in its upper half.       NF4: https://arxiv.org/abs/2305.14314

Where a kernel of ours runs it does the same with the same bits.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from enfold.errors import ConfigError, InputError
from enfold.nn.cuda import four
from enfold.nn.native import blocks4 as native

BLOCKS = (32, 64, 128, 256, 512, 1024, 2048, 4096)
CHUNK = 2**18  # numbers at a time: what is computed from them stays in the processor's cache
TINY = 1e-38
# Values by index.  NF4: quantiles of the normal distribution; FP4: a sign, two bits of exponent and
# one of fraction
VALUES = {
    "nf4": (-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453,
            -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
            0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
            0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
    "fp4": (0.0, 0.0052083334885537624, 0.6666666865348816, 1.0, 0.3333333432674408, 0.5,
            0.1666666716337204, 0.25, 0.0, -0.0052083334885537624, -0.6666666865348816, -1.0,
            -0.3333333432674408, -0.5, -0.1666666716337204, -0.25),
}  # fmt: skip


@cache
def values(kind: str, device: torch.device | str = "cpu") -> Tensor:
    """The 16 values of "nf4" or "fp4", fp32."""
    return torch.tensor(VALUES[kind], device=device)


@cache
def edges(kind: str) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """What lies halfway between neighbours, ascending, and the index of each interval between."""
    found = values(kind)
    order = torch.argsort(found)
    ordered = found[order]
    return tuple(((ordered[:-1] + ordered[1:]) / 2).tolist()), tuple(order.tolist())


def check(kind: str, block: int) -> None:
    """Raise for a format that there isn't."""
    if kind not in VALUES:
        raise ConfigError(f"4-bit blocks of {kind!r}, expected 'nf4' or 'fp4'. Do: use 'nf4'")
    if block not in BLOCKS:
        raise ConfigError(f"4-bit blocks of {block!r} numbers, expected one of "
                          f"{', '.join(map(str, BLOCKS))}. Do: use 64")


def quantize(weight: Tensor, kind: str, block: int = 64) -> tuple[Tensor, Tensor]:
    """(packed uint8 [N / 2, rounded up], absmax fp32 [N / block, rounded up]) of N numbers.

    weight: fp32, bf16 or fp16 of any shape.  Raises `InputError` for inf and nan.
    """
    check(kind, block)
    flat = weight.detach().reshape(-1)
    packed = torch.empty((flat.numel() + 1) // 2, dtype=torch.uint8, device=flat.device)
    absmax = torch.empty(-(-flat.numel() // block), device=flat.device)
    if not native.quantize(flat, packed, absmax, block, *edges(kind)):
        for start in range(0, flat.numel(), _chunk(flat)):
            part = flat[start : start + _chunk(flat)]
            own = absmax[start // block :][: -(-len(part) // block)]
            indices = _indices(part, own, kind, block)
            packed[start // 2 :][: len(indices) // 2] = _pack(indices)
    if not torch.isfinite(absmax).all():
        raise InputError("a weight with inf or nan can't be quantized. Do: look for the cause in "
                         "its checkpoint; float16 ends at 65,504")
    return packed, absmax


def _chunk(x: Tensor) -> int:
    """Numbers that torch's operations take at a time: on a GPU many, each starts a kernel."""
    return CHUNK if x.is_cpu else four.PART


def _indices(part: Tensor, absmax: Tensor, kind: str, block: int) -> Tensor:
    """Indices, uint8, of an even number of numbers; writes their absmax."""
    x = part.float()
    full = len(x) // block * block
    units = []
    if full:
        blocks = x[:full].view(-1, block)
        absmax[: len(blocks)] = blocks.abs().amax(1)
        units.append((blocks * (1 / absmax[: len(blocks)].clamp_min(TINY))[:, None]).flatten())
    if full < len(x):  # bitsandbytes divides in the last block if it isn't whole
        absmax[-1] = x[full:].abs().max().clamp_min(TINY)
        units.append(x[full:] / absmax[-1])
    unit = torch.cat(units) if len(units) > 1 else units[0]
    if len(unit) % 2:
        unit = F.pad(unit, (0, 1))
    bounds, order = edges(kind)
    found, above = torch.zeros(len(unit), dtype=torch.uint8, device=x.device), torch.empty(
        len(unit), dtype=torch.bool, device=x.device)
    for bound in bounds:  # 15 comparisons are faster than a search
        found += torch.gt(unit, bound, out=above)
    if kind == "nf4":
        return found
    return torch.tensor(order, dtype=torch.uint8, device=x.device)[found.int()]


def _pack(indices: Tensor) -> Tensor:
    return (indices[::2] << 4) | indices[1::2]


def unpack(packed: Tensor, count: int) -> Tensor:
    """Indices, uint8 [count]."""
    return torch.stack((packed >> 4, packed & 15), 1).flatten()[:count]


def dequantize(packed: Tensor, absmax: Tensor, kind: str, block: int, count: int,
               dtype: torch.dtype = torch.float32, start: int = 0) -> Tensor:
    """Numbers [start, start + count); both are multiples of the block but at the end.

    Products are fp32 and rounded to dtype.
    """
    out = torch.empty(count, dtype=dtype, device=packed.device)
    if any(kernels.dequantize(packed, absmax, VALUES[kind], block, start, out)
           for kernels in (native, four)):
        return out
    table, step = values(kind, packed.device), _chunk(packed)
    for begin in range(start, start + count, step):
        size = min(step, start + count - begin)
        numbers = table[unpack(packed[begin // 2 : (begin + size + 1) // 2], size).int()]
        scales = absmax[begin // block : -(-(begin + size) // block)]
        whole = F.pad(numbers, (0, -size % block)).view(-1, block) * scales[:, None]
        out[begin - start : begin - start + size] = whole.flatten()[:size]
    return out
