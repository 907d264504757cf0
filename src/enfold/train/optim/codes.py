"""8-bit states: blocks of 256 numbers as one scale and a byte each (https://arxiv.org/abs/2110.02861).

A byte points into a table of 256 values in -1..1 ("dynamic" codes): few bits for the exponent of
numbers near the scale, more for smaller ones, so that seven decades are told apart.

    signed      sign, k zeros, 1, 6 - k bits of fraction      decade 10^-k
    unsigned          k zeros, 1, 7 - k bits of fraction

The tables and the layout are those of bitsandbytes: codes in the tensor's shape, one float32 scale
(`absmax`) for each block of the flattened tensor.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

BLOCK = 256
DECADES = 7


@lru_cache
def _values(signed: bool) -> tuple[float, ...]:
    """The 256 values of the table, ascending."""
    values = [0.0, 1.0]
    for decade in range(DECADES):
        steps = 2 ** (decade if signed else decade + 1)
        edges = torch.linspace(0.1, 1.0, steps + 1)
        middles = 10.0 ** (decade - DECADES + 1) * (edges[:-1] + edges[1:]) / 2
        values += middles.tolist()
        values += (-middles).tolist() if signed else []
    return tuple(sorted(values))


@lru_cache
def table(signed: bool, device: torch.device) -> Tensor:
    """The table on `device`: float32 (256,)."""
    return torch.tensor(_values(signed), dtype=torch.float32, device=device)


@lru_cache
def _bounds(signed: bool, device: torch.device) -> Tensor:
    """What parts neighbours of the table: their means, (255,)."""
    values = table(signed, device)
    return (values[:-1] + values[1:]) / 2


def encode(x: Tensor, signed: bool) -> tuple[Tensor, Tensor]:
    """Codes (uint8, the shape of `x`) and the scales of its blocks (float32)."""
    flat = x.detach().float().flatten()
    blocks = torch.nn.functional.pad(flat, (0, -flat.numel() % BLOCK)).view(-1, BLOCK)
    scales = blocks.abs().amax(dim=1)
    unit = blocks / scales.clamp_min(torch.finfo(torch.float32).tiny)[:, None]
    codes = torch.bucketize(unit, _bounds(signed, x.device), out_int32=True)
    return codes.to(torch.uint8).flatten()[: flat.numel()].view(x.shape), scales


def decode(codes: Tensor, scales: Tensor, signed: bool) -> Tensor:
    """The float32 numbers that `encode` took, to within a step of the table."""
    values = table(signed, codes.device)[codes.flatten().int()]
    blocks = torch.nn.functional.pad(values, (0, -values.numel() % BLOCK)).view(-1, BLOCK)
    return (blocks * scales[:, None]).flatten()[: values.numel()].view(codes.shape)
