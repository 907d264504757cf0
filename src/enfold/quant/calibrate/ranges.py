"""Ranges of groups with the least error on the inputs that a layer sees, not the extremes.

O out, I in, G groups, S inputs of a group
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from enfold.quant.groups import quantize, ranges, round_to

SHRINKS = tuple(1 - step / 25 for step in range(13))  # 1 down to 0.52


def best_ranges(weight: Tensor, moments: Tensor, bits: int, group_size: int, symmetric: bool,
                scale_dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """(scales [O, G], zeros uint8 [O, G]) for a weight [O, I].

    Each group's extremes are drawn in by some steps, and the step is taken at which the error is
    least.  moments: the inputs' [I], for the weights' squared errors each times its input's; or
    [G, S, S], those of each group's inputs with each other, for the error of the group's share of
    the outputs.
    """
    outputs, inputs = weight.shape
    size = inputs if group_size == -1 else group_size
    grouped = weight.float().reshape(outputs, -1, size)
    best = torch.full(grouped.shape[:2], torch.inf, device=weight.device)
    scales, zeros = ranges(weight, bits, group_size, symmetric, scale_dtype)
    for shrink in SHRINKS:
        scale, zero = ranges(weight * shrink, bits, group_size, symmetric, scale_dtype)
        q = round_to(grouped, bits, scale[..., None], zero[..., None]).float()
        found = (q - zero[..., None].float()) * scale[..., None].float()
        error = _weighed(found - grouped, moments)
        better = error < best
        best = torch.where(better, error, best)
        scales, zeros = torch.where(better, scale, scales), torch.where(better, zero, zeros)
    return scales, zeros


def _weighed(change: Tensor, moments: Tensor) -> Tensor:
    """The squared error [O, G] of a change [O, G, S]."""
    if moments.dim() == 1:
        wide = moments.float().clamp_min(1e-30).reshape(1, change.shape[1], -1)
        return (change.square() * wide).sum(-1)
    by_group = change.transpose(0, 1)
    return (by_group @ moments * by_group).sum(-1).t()


def blocks_of(hessian: Tensor, group_size: int) -> Tensor:
    """The blocks [G, S, S] on the diagonal of a Hessian [I, I]."""
    size = hessian.shape[0] if group_size == -1 else group_size
    parts = hessian.reshape(-1, size, hessian.shape[0] // size, size)
    return parts.diagonal(dim1=0, dim2=2).permute(2, 0, 1)


def output_error(change: Tensor, hessian: Tensor) -> float:
    """The squared error of outputs, summed over the samples, of a change [O, I] of the weight."""
    return float((change @ hessian * change).sum())


def nearest_error(weight: Tensor, hessian: Tensor, bits: int, group_size: int, symmetric: bool,
                  scale_dtype: torch.dtype) -> float:
    """The error of outputs, relative, where each number is rounded to the nearest."""
    held = quantize(weight, bits, group_size, symmetric, scale_dtype)
    return relative(held.dequantize(torch.float32), weight, hessian)


def relative(found: Tensor, weight: Tensor, hessian: Tensor) -> float:
    """|y' - y| / |y| over the samples of a Hessian, for a weight [O, I] and what stands for it."""
    weight = weight.float()
    whole = output_error(weight, hessian)
    error = max(output_error(found.float() - weight, hessian), 0.0)
    return math.sqrt(error / max(whole, 1e-30))
