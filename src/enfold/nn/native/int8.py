"""Products with int8 weights and activations quantized row by row as they come.

y[m, o] = sx[m] * scales[o] * sum_i q[m, i] * weight[o, i] + bias[o], where sx[m] is the largest
|x[m, i]| / 127 and q = round(x / sx); the sums are exact integers.

M rows, I in, O out
"""

from __future__ import annotations

import torch
from torch import Tensor

LARGEST = 127


def int8_linear(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [.., I] times an int8 weight [O, I] with scales [O] (fp32), plus bias [O].

    x is fp32, bf16 or fp16; the result [.., O] has its dtype.
    """
    rows = x.reshape(-1, x.shape[-1])
    q, sx = quantize_rows(rows)
    y = integer_product(q, weight).to(torch.float32) * sx * scales
    if bias is not None:
        y = y + bias
    return y.to(x.dtype).reshape(*x.shape[:-1], weight.shape[0])


def quantize_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """int8 numbers [M, I] and their scales [M, 1] (fp32): the largest of each row becomes 127."""
    x = x.to(torch.float32)
    scale = x.abs().amax(1, keepdim=True) / LARGEST
    q = torch.where(scale > 0, x / scale, 0.0).round().clamp_(-LARGEST, LARGEST)
    return q.to(torch.int8), scale


def integer_product(q: Tensor, weight: Tensor) -> Tensor:
    """q [M, I] times weight [O, I], both int8, exactly: int32 on a CPU."""
    if q.device.type == "cpu" and q.numel() and weight.numel():
        return torch._int_mm(q, weight.t())
    return q.to(torch.float32) @ weight.to(torch.float32).t()
