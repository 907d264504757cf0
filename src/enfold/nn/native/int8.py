"""Products with int8 weights and activations quantized row by row as they come.

y[m, o] = sx[m] * scales[o] * sum_i q[m, i] * weight[o, i] + bias[o], where sx[m] is the largest
|x[m, i]| / 127 and q = round(x / sx); the sums are exact integers.

M rows, I in, O out
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from enfold.nn.native.library import I64, INT, P, declare
from enfold.nn.native.linear import NAMES

LARGEST = 127
FEWEST = 17  # rows that torch multiplies as integers on a GPU
_functions = {dtype: declare(f"enfold_int8_{name}", P, P, P, I64, I64, P, I64, I64, I64, P, INT)
              for dtype, name in NAMES.items()}


def int8_linear(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [.., I] times an int8 weight [O, I] with scales [O] (fp32), plus bias [O].

    x is fp32, bf16 or fp16; the result [.., O] has its dtype.
    """
    if torch.compiler.is_compiling():
        return torch.ops.enfold.int8_linear(x, weight, scales, bias)  # type: ignore[no-any-return]
    return _int8_linear(x, weight, scales, bias)


def _int8_linear(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None) -> Tensor:
    call: Any = _functions[x.dtype]() if x.is_cpu and x.dtype in _functions else None
    if call is None or not all(map(_plain, (weight, scales, bias))):
        return reference(x, weight, scales, bias)
    x = x.contiguous()
    rows, width = weight.shape
    y = x.new_empty((*x.shape[:-1], rows))
    call(weight.data_ptr(), scales.data_ptr(), None if bias is None else bias.data_ptr(), rows,
         width, x.data_ptr(), x.numel() // width, width, width, y.data_ptr(),
         torch.get_num_threads())
    return y


def _plain(x: Tensor | None) -> bool:
    return x is None or (x.is_cpu and x.is_contiguous() and x.dtype in (torch.int8, torch.float32))


def reference(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None) -> Tensor:
    """The same in torch's operations, on any device."""
    q, sx = quantize_rows(x.reshape(-1, x.shape[-1]))
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
    """q [M, I] times weight [O, I], both int8, exactly: int32 on a CPU, and on a GPU if I and O are
    multiples of 8.
    """
    if q.is_cpu and q.numel() and q.shape[1] > 1:  # torch 2.13 gives wrong sums of one product
        return torch._int_mm(q, weight.t())
    if q.is_cuda and q.numel() and not any(size % 8 for size in weight.shape):
        rows = F.pad(q, (0, 0, 0, max(0, FEWEST - len(q))))
        return torch._int_mm(rows, weight.t())[: len(q)]
    return q.to(torch.float32) @ weight.to(torch.float32).t()


@torch.library.custom_op("enfold::int8_linear", mutates_args=())
def _op(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None) -> Tensor:
    """For graphs: torch.compile sees one operation."""
    return _int8_linear(x, weight, scales, bias)


@_op.register_fake
def _(x: Tensor, weight: Tensor, scales: Tensor, bias: Tensor | None) -> Tensor:
    return x.new_empty((*x.shape[:-1], weight.shape[0]))
