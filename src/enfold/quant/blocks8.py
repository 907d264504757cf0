"""Eight bits by blocks with a dynamic exponent: what the scales of 4-bit blocks are stored in.

A number is its block's largest magnitude times one of 256 values: a sign, up to seven zeros that
shift by powers of ten, and a fraction in the bits that are left.  As bitsandbytes has it on a CPU,
whose grid of 65,536 cells decides between neighbours.   https://arxiv.org/abs/1511.04561
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

CELLS = 2**16
SHIFTS = 7


@cache
def dynamic_map() -> Tensor:
    """The 256 values in ascending order, fp32."""
    positive = []
    for shift in range(SHIFTS):
        edges = torch.linspace(0.1, 1, 2**shift + 1)
        positive.append(10.0 ** (shift - SHIFTS + 1) * ((edges[:-1] + edges[1:]) / 2))
    values = torch.cat(positive)
    return torch.cat((values, -values, torch.tensor([0.0, 1.0]))).sort().values


@cache
def _cells() -> Tensor:
    """The value next to each cell of [-1, 1], uint8."""
    values = dynamic_map().double()
    places = torch.linspace(-1, 1, CELLS, dtype=torch.float64)
    return torch.bucketize(places, (values[:-1] + values[1:]) / 2).to(torch.uint8)


def quantize_blocks(x: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """x [N] -> (indices into the map, uint8 [N], and the scales, fp32 [N / block])."""
    padded = F.pad(x.float(), (0, -len(x) % block)).view(-1, block)
    scales = padded.abs().amax(1)
    unit = padded * (1 / scales)[:, None]
    cells = ((unit + 1) * 0.5 * (CELLS - 1) + 0.5).nan_to_num().long().clamp(0, CELLS - 1)
    found = _cells().to(x.device)[cells].masked_fill((scales == 0)[:, None], 0)
    return found.flatten()[: len(x)], scales


def dequantize_blocks(indices: Tensor, scales: Tensor, block: int, values: Tensor) -> Tensor:
    """The numbers, fp32 [N], of indices into `values` and their blocks' scales."""
    return values[indices.int()] * scales.repeat_interleave(block)[: len(indices)]
