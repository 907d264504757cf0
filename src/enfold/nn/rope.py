"""Rotary positions (arXiv 2104.09864) and the ways to stretch them to longer texts.

B batch, T time, H heads, D head_dim, R rotated features (R <= D)
"""

from __future__ import annotations

import math
from functools import singledispatch

import torch
from torch import Tensor

from enfold.spec import Dynamic, Linear, Llama3, LongRope, Rope, Scaling, Yarn


def cos_sin(rope: Rope, dim: int, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """cos and sin [B, 1, T, R] of positions [B, T], computed in fp32, rounded to `dtype` once.

    The first half of sin is negative (each first of a pair, if interleaved), so that `rotate` only
    has to swap halves.
    """
    rotated = rope.dim or dim
    length = int(positions.max()) + 1 if isinstance(rope.scaling, Dynamic | LongRope) else 0
    frequency = _frequencies(rope, rotated, length, positions.device)
    angle = positions[:, None, :, None].float() * frequency
    angle = angle.repeat_interleave(2, -1) if rope.interleaved else torch.cat((angle, angle), -1)
    factor = _attention_factor(rope.scaling)
    cos, sin = angle.cos() * factor, angle.sin() * factor
    first = sin[..., ::2] if rope.interleaved else sin[..., : rotated // 2]
    first.neg_()
    return cos.to(dtype), sin.to(dtype)


def rotate(x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool) -> Tensor:
    """x [B, H, T, D] with its first R features rotated, by the cos and sin of `cos_sin`."""
    rotated = cos.shape[-1]
    if rotated != x.shape[-1]:
        head, tail = x[..., :rotated], x[..., rotated:]
        return torch.cat((rotate(head, cos, sin, interleaved), tail), -1)
    if interleaved:
        swapped = x.view(*x.shape[:-1], -1, 2).flip(-1).view(x.shape)
    else:
        swapped = x.roll(rotated // 2, -1)
    return x * cos + swapped * sin


def _frequencies(rope: Rope, dim: int, length: int, device: torch.device) -> Tensor:
    base = _inverse(rope.theta, dim, device)
    return base if rope.scaling is None else _scale(rope.scaling, base, rope.theta, dim, length)


def _inverse(theta: float, dim: int, device: torch.device) -> Tensor:
    exponent = torch.arange(0, dim, 2, dtype=torch.int64, device=device).float() / dim
    return 1.0 / theta**exponent


def _attention_factor(scaling: Scaling | None) -> float:
    return scaling.attention if isinstance(scaling, Yarn | LongRope) else 1.0


@singledispatch
def _scale(scaling: Scaling, base: Tensor, theta: float, dim: int, length: int) -> Tensor:
    raise NotImplementedError(f"no rope scaling {scaling!r}")


@_scale.register
def _(scaling: Linear, base: Tensor, theta: float, dim: int, length: int) -> Tensor:
    return base / scaling.factor


@_scale.register
def _(scaling: Dynamic, base: Tensor, theta: float, dim: int, length: int) -> Tensor:
    length = max(length, scaling.original)
    growth = scaling.factor * length / scaling.original - (scaling.factor - 1)
    return _inverse(theta * growth ** (dim / (dim - 2)), dim, base.device)


@_scale.register
def _(scaling: Llama3, base: Tensor, theta: float, dim: int, length: int) -> Tensor:
    wavelength = 2 * math.pi / base
    smooth = (scaling.original / wavelength - scaling.low) / (scaling.high - scaling.low)
    blended = (1 - smooth) * base / scaling.factor + smooth * base
    long, short = scaling.original / scaling.low, scaling.original / scaling.high
    return torch.where(wavelength > long, base / scaling.factor,
                       torch.where(wavelength < short, base, blended))


@_scale.register
def _(scaling: Yarn, base: Tensor, theta: float, dim: int, length: int) -> Tensor:
    def dimension(turns: float) -> float:
        """The feature whose wavelength makes `turns` rotations within the original length."""
        return dim * math.log(scaling.original / (turns * 2 * math.pi)) / (2 * math.log(theta))

    low, high = dimension(scaling.fast), dimension(scaling.slow)
    if scaling.truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, dim - 1)
    ramp = (torch.arange(dim // 2, device=base.device).float() - low) / max(high - low, 0.001)
    keep = 1 - ramp.clamp(0, 1)
    return base / scaling.factor * (1 - keep) + base * keep


@_scale.register
def _(scaling: LongRope, base: Tensor, theta: float, dim: int, length: int) -> Tensor:
    divisors = scaling.long if length > scaling.original else scaling.short
    return base / torch.tensor(divisors, device=base.device)
