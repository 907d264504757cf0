"""Norms, activations and rotary positions by the native library, each in one pass.

D features, R rotated features
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from enfold.nn.act import ACTIVATIONS, Activation
from enfold.nn.native.attention import DTYPES, _fields
from enfold.nn.native.library import F32, I64, INT, P, declare

NAMES = {"silu": 0, "gelu": 1, "gelu_new": 2, "quick_gelu": 3, "relu": 4, "relu2": 5}
CODES: dict[Activation, int] = {ACTIVATIONS[name]: code for name, code in NAMES.items()}


class NormArgs(ctypes.Structure):
    """As in native/fused.cpp."""

    _fields_ = (*_fields(P, "x added weight bias out"),
                *_fields(I64, "rows dim x_row added_row out_row"),
                *_fields(INT, "layer threads dtype"), *_fields(F32, "eps offset"))


class GateArgs(ctypes.Structure):
    """As in native/fused.cpp."""

    _fields_ = (*_fields(P, "gate up out"), *_fields(I64, "rows dim gate_row up_row out_row"),
                *_fields(INT, "act threads dtype"))


class RotateArgs(ctypes.Structure):
    """As in native/fused.cpp."""

    _fields_ = (*_fields(P, "x cos sin"), *_fields(I64, "row token head cos_row"),
                *_fields(INT, "batch length heads dim rotated interleaved threads dtype"))


_norm = declare("enfold_norm", ctypes.POINTER(NormArgs))
_gate = declare("enfold_gate", ctypes.POINTER(GateArgs))
_rotate = declare("enfold_rotate", ctypes.POINTER(RotateArgs))


def takes(x: Tensor) -> bool:
    """Whether the functions here compute on `x`, features close together."""
    return x.dtype in DTYPES and x.is_cpu and _norm() is not None


def normalizer(weight: Tensor | None, bias: Tensor | None, eps: float, *, layer: bool,
               offset: float = 0.0) -> Callable[[Tensor, Tensor | None], Tensor]:
    """norm(x), or norm(x + added) where x becomes the sum: x and added [.., D], contiguous.

    layer: LayerNorm, else RMSNorm with weight + offset.  Of the weight's dtype, if there is one.
    """
    call: Any = _norm()
    args = NormArgs(weight=None if weight is None else weight.data_ptr(),
                    bias=None if bias is None else bias.data_ptr(), layer=layer, eps=eps,
                    offset=offset)

    def run(x: Tensor, added: Tensor | None = None, held: object = (weight, bias)) -> Tensor:
        dim = x.shape[-1]
        out = torch.empty_like(x)
        args.x, args.out, args.rows, args.dim = x.data_ptr(), out.data_ptr(), x.numel() // dim, dim
        args.added = None if added is None else added.data_ptr()
        args.x_row = args.added_row = args.out_row = dim
        args.threads, args.dtype = torch.get_num_threads(), DTYPES[x.dtype]
        call(args)
        return out

    return run


def gate(act: int, x: Tensor, up: Tensor | None = None) -> Tensor:
    """act(x) * up, or act(x), of [.., D], contiguous; act is one of `CODES`."""
    dim, out = x.shape[-1], torch.empty_like(x)
    _gate()(GateArgs(  # type: ignore[misc]
        x.data_ptr(), None if up is None else up.data_ptr(), out.data_ptr(), x.numel() // dim, dim,
        dim, dim, dim, act, torch.get_num_threads(), DTYPES[x.dtype]))
    return out


def rotate(x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool) -> None:
    """The first R features of x [B, H, T, D] turned in place; cos and sin [B or 1, 1, T, R] fp32."""
    batch, heads, length, dim = x.shape
    row, head, token, _ = x.stride()
    _rotate()(RotateArgs(  # type: ignore[misc]
        x.data_ptr(), cos.data_ptr(), sin.data_ptr(), row, token, head,
        0 if cos.shape[0] == 1 else cos.stride(0), batch, length, heads, dim, cos.shape[-1],
        interleaved, torch.get_num_threads(), DTYPES[x.dtype]))
