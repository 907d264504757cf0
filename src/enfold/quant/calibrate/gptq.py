"""GPTQ (Frantar et al. 2022, https://arxiv.org/abs/2210.17323): inputs are rounded one after the
other, and what an input's rounding does to the outputs is made up for by those that are left.

    H = sum of x x^T over samples            U = upper Cholesky factor of H^-1
    e = (w_i - q_i) / U_ii                   w_j -= e U_ij   for every j behind i

O out, I in, G groups
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from enfold.errors import InputError
from enfold.quant.calibrate.ranges import best_ranges
from enfold.quant.groups import Groups, encode

BLOCK = 128  # inputs whose changes are applied together to those behind
MOST_DAMP = 1.0


@dataclass(frozen=True, slots=True)
class Rules:
    """bits, group_size (-1: one group), symmetric; order: inputs by descending activation; static:
    with `order`, groups stay runs of inputs; damp: of the mean of H's diagonal.
    """

    bits: int = 4
    group_size: int = 128
    symmetric: bool = True
    order: bool = False
    static: bool = False
    damp: float = 0.01
    scale_dtype: torch.dtype = torch.float16


def gptq(weight: Tensor, hessian: Tensor, rules: Rules) -> Groups:
    """A weight [O, I] in groups; hessian [I, I] of its inputs.

    Raises InputError if the Hessian can't be inverted however much is added to its diagonal.
    """
    inputs = weight.shape[1]
    diagonal = hessian.diagonal()
    order = (torch.argsort(diagonal, descending=True) if rules.order
             else torch.arange(inputs, device=weight.device))
    w = weight.float()[:, order].clone()
    w[:, diagonal[order] == 0] = 0  # inputs that are never there
    upper = _factor(hessian, order, rules.damp)
    size = inputs if rules.group_size == -1 else rules.group_size
    group = torch.arange(inputs, device=weight.device) // size
    ready = None
    if rules.order and rules.static:
        ready = _ranges(weight, diagonal, rules, rules.group_size)
        group = order // size
    values, scales, zeros = _round(w, upper, group, diagonal[order], ready, rules)
    back = torch.argsort(order)
    runs = not rules.order or rules.static or rules.group_size == -1
    own = None if runs else group[back].int()
    # encode() would round again: what was rounded is a whole number of scales, so it finds the same
    whole = (values - zeros[:, group].float()) * scales[:, group].float()
    return encode(whole[:, back], rules.bits, scales, zeros, rules.symmetric, own)


def _round(w: Tensor, upper: Tensor, group: Tensor, importance: Tensor,
           ready: tuple[Tensor, Tensor] | None, rules: Rules) -> tuple[Tensor, Tensor, Tensor]:
    """(q [O, I], scales [O, G], zeros [O, G]) of a weight whose inputs are in their order."""
    inputs, groups = w.shape[1], group.tolist()
    size = inputs if rules.group_size == -1 else rules.group_size
    w = w.t().contiguous()  # [I, O]: an input is a row
    values, pivots, top = torch.empty_like(w), upper.diagonal().tolist(), 2**rules.bits - 1
    parts: list[tuple[Tensor, Tensor]] = []
    for start in range(0, inputs, BLOCK):
        stop = min(start + BLOCK, inputs)
        errors = torch.empty_like(w[start:stop])
        for i in range(start, stop):
            if ready is None and i % size == 0:
                ahead = w[i:min(i + size, inputs)].clone()
                if i + size > stop:  # what lies behind the block has not been changed yet
                    ahead[stop - i:] -= upper[start:i, stop:i + size].t() @ errors[:i - start]
                parts.append(_ranges(ahead.t(), importance[i:i + size], rules, -1))
            scale, zero = (part.float() for part in _at(ready, parts, groups[i]))
            q = (w[i] / scale).round_().add_(zero).clamp_(0, top)
            error = (w[i] - (q - zero) * scale) / pivots[i]
            w[i:stop].addr_(upper[i, i:stop], error, alpha=-1)
            values[i], errors[i - start] = q, error
        w[stop:] -= upper[start:stop, stop:].t() @ errors
    scales, zeros = ready or (torch.cat([part[0] for part in parts], 1),
                              torch.cat([part[1] for part in parts], 1))
    return values.t(), scales, zeros


def _at(ready: tuple[Tensor, Tensor] | None, parts: list[tuple[Tensor, Tensor]],
        group: int) -> tuple[Tensor, Tensor]:
    if ready is not None:
        return ready[0][:, group], ready[1][:, group]
    return parts[-1][0][:, 0], parts[-1][1][:, 0]


def _ranges(weight: Tensor, importance: Tensor, rules: Rules,
            group_size: int) -> tuple[Tensor, Tensor]:
    return best_ranges(weight, importance, rules.bits, group_size, rules.symmetric,
                       rules.scale_dtype)


def _factor(hessian: Tensor, order: Tensor, damp: float) -> Tensor:
    """U for the inputs in an order, damped as much as it takes."""
    h = hessian.float()[order][:, order]
    h.diagonal()[h.diagonal() == 0] = 1
    mean = float(h.diagonal().mean())
    while damp <= MOST_DAMP:
        damped = h.clone()
        damped.diagonal().add_(damp * mean)
        lower, failed = torch.linalg.cholesky_ex(damped)
        if not failed:
            upper, failed = torch.linalg.cholesky_ex(torch.cholesky_inverse(lower), upper=True)
            if not failed and bool(upper.isfinite().all()):
                return torch.as_tensor(upper)
        damp *= 10
    raise InputError("gptq: the second moments of a layer's inputs can't be inverted, expected "
                     "finite activations. Do: check the model's outputs on the text for nan, or "
                     "use --method int4")
