"""Large fp32 products by the native library, with their gradients.

Sizes and the level alone say what goes here, no measurement: a run that is resumed has to make the
same numbers.  Where there are tiles, six products by them take 0.4 of the cycles of one in fp32.

M rows, I in, O out
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from enfold.nn.native.attention import _fields
from enfold.nn.native.library import I64, INT, P, declare
from enfold.nn.native.linear import fits
from enfold.nn.native.training import trains

LEAST = 128  # rows, in and out: below, packing costs more than the product gains


class Side(ctypes.Structure):
    """As in native/split.h."""

    _fields_ = (("at", P), *_fields(I64, "rows row step"))


class ProductArgs(ctypes.Structure):
    """As in native/products.cpp."""

    _fields_ = (*_fields(Side, "a b"), *_fields(P, "bias out"), *_fields(I64, "pitch depth"),
                *_fields(INT, "more threads"))


_product = declare("enfold_product", ctypes.POINTER(ProductArgs))


def takes(module: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether x [.., I] times a weight of `module`, which has the switch `native`, is ours while
    it trains.
    """
    return trains(module, x) and x.shape[-1] == weight.shape[1] and wins(x, weight, bias)


def wins(x: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether our product of x [.., I] and a weight [O, I] beats torch's; they are on the CPU."""
    return (x.dtype == weight.dtype == torch.float32
            and weight.shape[0] >= LEAST <= weight.shape[1]
            and x.numel() >= LEAST * weight.shape[1] and fits(weight, bias)
            and _product() is not None)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [.., I] times weight [O, I], plus bias, with gradients; `takes` holds."""
    return _Linear.apply(x, weight, bias)  # type: ignore[no-any-return, no-untyped-call]


def forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same without gradients; `wins` holds."""
    return matmul(_rows(x), weight.t(), bias=bias).view(*x.shape[:-1], -1)


def matmul(a: Tensor, b: Tensor, out: Tensor | None = None, bias: Tensor | None = None,
           more: bool = False) -> Tensor:
    """a [M, K] times b [K, N] in fp32, plus bias [N]; or added to `out`, if `more`.

    `a` and `b` lie close together by rows or by columns, `out` by rows; there is a native product.
    """
    out = a.new_empty(a.shape[0], b.shape[1]) if out is None else out
    _product()(ProductArgs(  # type: ignore[misc]
        Side(a.data_ptr(), a.shape[0], *a.stride()),
        Side(b.data_ptr(), b.shape[1], *reversed(b.stride())),
        None if bias is None else bias.data_ptr(), out.data_ptr(), out.stride(0), a.shape[1],
        more, torch.get_num_threads()))
    return out


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor,  # type: ignore[override]
                bias: Tensor | None) -> Tensor:
        ctx.shape = x.shape
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight)
        return forward(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (x, weight), above, wanted = ctx.saved_tensors, _rows(above), ctx.needs_input_grad
        mm = torch.mm if torch.is_grad_enabled() else matmul  # a gradient of a gradient is torch's
        to_x = mm(above, weight).view(ctx.shape) if wanted[0] else None
        to_weight = mm(above.t(), _rows(x)) if wanted[1] else None
        return to_x, to_weight, above.sum(0) if wanted[2] else None


def _rows(x: Tensor) -> Tensor:
    """x [.., D] as [M, D], close together."""
    return x.reshape(-1, x.shape[-1]).contiguous()
