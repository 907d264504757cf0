"""AWQ (Lin et al. 2023, https://arxiv.org/abs/2306.00978): inputs that are large are scaled up in
the weight before it is rounded, and scaled down where they come from.

    s = mean|x| ^ a, for the a of a grid at which the outputs' error is least
    y = Q(W diag(s)) (diag(s)^-1 x)          diag(s)^-1 goes into the norm or the layer before

O out, I in
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from enfold.quant.calibrate.ranges import best_ranges, blocks_of, output_error
from enfold.quant.groups import Groups, encode

GRID = 20
LEAST = 1e-4


def awq(weight: Tensor, hessian: Tensor, bits: int, group_size: int, symmetric: bool,
        scale_dtype: torch.dtype) -> Groups:
    """A weight [O, I], scaled already, in groups with the best of drawn-in ranges.

    hessian [I, I]: of its inputs, scaled too.
    """
    blocks = blocks_of(hessian, group_size)
    scales, zeros = best_ranges(weight, blocks, bits, group_size, symmetric, scale_dtype)
    return encode(weight, bits, scales, zeros, symmetric)


def best_scales(weights: Sequence[Tensor], hessian: Tensor, size: Tensor,
                rounded: Callable[[Tensor], Tensor]) -> Tensor:
    """Factors [I] for the inputs of some weights [O, I] that share them.

    hessian [I, I] and size [I] (mean |x|) of the inputs; rounded(weight) is the weight as it will
    be.
    """
    best, found = torch.inf, torch.ones_like(size)
    for step in range(GRID):
        s = size.clamp_min(LEAST) ** (step / GRID)
        s = s / (s.max() * s.min()).sqrt()
        error = sum(output_error(rounded(w.float() * s) / s - w.float(), hessian) for w in weights)
        if error < best:
            best, found = error, s
    return found


def rounded_by(bits: int, group_size: int, symmetric: bool) -> Callable[[Tensor], Tensor]:
    """A weight rounded to the nearest in groups."""
    from enfold.quant.groups import quantize

    return lambda w: quantize(w, bits, group_size, symmetric).dequantize(torch.float32)


@torch.no_grad()
def fold(before: nn.Module, after: Sequence[nn.Linear], s: Tensor) -> None:
    """Scale the inputs of `after` by s in their weights, and their source by 1 / s."""
    for linear in after:
        linear.weight.mul_(s.to(linear.weight.dtype))
    offset = float(getattr(before, "offset", 0.0))  # norms that multiply by weight + offset
    weight: Any = before.weight
    factor = s.to(torch.float32)
    if isinstance(before, nn.Linear):
        weight.copy_(weight.float() / factor[:, None])
    else:
        weight.copy_((weight.float() + offset) / factor - offset)
    bias: Any = getattr(before, "bias", None)
    if bias is not None:
        bias.copy_(bias.float() / factor)
