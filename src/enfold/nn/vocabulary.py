"""Cross-entropy over a vocabulary, some rows at a time: the logits of a batch never stand together.

    loss = sum over n of  logsumexp(W h_n + b) - (W h_n + b)[label_n]

The gradients are made in the forward pass, while a chunk's logits are there:
d h_n = W^T (softmax_n - onehot_n), d W = sum over n of (softmax_n - onehot_n) h_n^T.
What stays is of the size of h and W.  After Hsu et al., Liger Kernel, arXiv 2410.10989.

N rows, D width, V vocabulary
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from enfold.nn.native import products

CHUNK = 2**24  # logits that stand at once: 64 MB


def summed_entropy(hidden: Tensor, out: nn.Linear, labels: Tensor,
                   fixed: Tensor | None = None) -> Tensor:
    """Sum over hidden [N, D] of the cross-entropy of out(hidden) + fixed [V] against labels [N].

    In fp32, under autocast with products in its type.  The labels must be class indices.
    """
    ours = getattr(out, "native", False) and products.takes(out, hidden, out.weight, out.bias)
    arguments = hidden.contiguous(), out.weight, out.bias, labels, fixed, ours
    return _Entropy.apply(*arguments)  # type: ignore[no-any-return, no-untyped-call]


class _Entropy(torch.autograd.Function):
    """The sum, with gradients for hidden, weight and bias."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None,  # type: ignore[override]
                labels: Tensor, fixed: Tensor | None, ours: bool) -> Tensor:
        wanted, kind = ctx.needs_input_grad, hidden.device.type
        ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        rows = max(1, CHUNK // weight.shape[0])
        total = torch.zeros((), device=hidden.device)
        grads: list[Tensor | None] = [
            torch.empty_like(hidden) if wanted[0] else None,
            torch.zeros(weight.shape, device=hidden.device) if wanted[1] else None,
            torch.zeros(weight.shape[:1], device=hidden.device) if wanted[2] else None]
        with torch.autocast(kind, enabled=False):
            matrix, shift = weight.to(dtype), None if bias is None else bias.to(dtype)
            held = torch.empty(min(rows, hidden.shape[0]), weight.shape[0], device=hidden.device)
            for start in range(0, hidden.shape[0], rows):
                part = slice(start, start + rows)
                h, target = hidden[part].to(dtype), labels[part][:, None]
                logits = _product(h, matrix, shift, held[:h.shape[0]], ours)
                if fixed is not None:
                    logits += fixed
                top = logits.amax(-1, keepdim=True)
                right = logits.gather(1, target) - top
                sums = logits.sub_(top).exp_().sum(-1, keepdim=True)
                total += (sums.log() - right).sum()
                if any(wanted):
                    logits.div_(sums).scatter_add_(1, target, -torch.ones_like(sums))
                    _add(grads, logits, h, matrix, part, ours)
        ctx.save_for_backward(*grads)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        scaled = (None if grad is None else (grad * above).to(dtype)
                  for grad, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True))
        return (*scaled, None, None, None)


def _product(h: Tensor, matrix: Tensor, shift: Tensor | None, out: Tensor, ours: bool) -> Tensor:
    """h W^T + b [n, V] in fp32, in memory that is there: new pages cost more than the sums."""
    if ours:
        return products.matmul(h, matrix.t(), out, shift)
    if h.dtype != out.dtype:
        return out.copy_(F.linear(h, matrix, shift))
    if shift is None:
        return torch.mm(h, matrix.t(), out=out)
    return torch.addmm(shift, h, matrix.t(), out=out)


def _add(grads: list[Tensor | None], change: Tensor, h: Tensor, matrix: Tensor,
         part: slice, ours: bool) -> None:
    """Add a chunk's share: change [n, V] = softmax - onehot, h [n, D]."""
    to_hidden, to_weight, to_bias = grads
    rounded = change.to(h.dtype)
    if to_hidden is not None:
        if ours:
            products.matmul(rounded, matrix, to_hidden[part])
        else:
            to_hidden[part] = rounded @ matrix
    if to_weight is not None:
        if ours:
            products.matmul(rounded.t(), h, to_weight, more=True)
        elif h.dtype == to_weight.dtype:
            to_weight.addmm_(rounded.t(), h)
        else:
            to_weight += rounded.t() @ h
    if to_bias is not None:
        to_bias += change.sum(0)
