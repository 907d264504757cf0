"""Norms, activations and rotary positions by the native library, each in one pass.

D features, R rotated features
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from enfold.nn.act import ACTIVATIONS, Activation
from enfold.nn.native.attention import DTYPES, _fields
from enfold.nn.native.library import F32, I64, INT, P, declare, known
from enfold.nn.native.linear import observed

NAMES = {"silu": 0, "gelu": 1, "gelu_new": 2, "quick_gelu": 3, "relu": 4, "relu2": 5}
CODES: dict[Activation, int] = {ACTIVATIONS[name]: code for name, code in NAMES.items()}


class NormArgs(ctypes.Structure):
    """As in native/fused.cpp."""

    _fields_ = (*_fields(P, "x added weight bias sum out"), *_fields(I64, "rows dim"),
                *_fields(INT, "layer threads dtype"), *_fields(F32, "eps offset"))


class GateArgs(ctypes.Structure):
    """As in native/fused.cpp."""

    _fields_ = (*_fields(P, "gate up out"), *_fields(I64, "rows dim"),
                *_fields(INT, "act threads dtype"))


class RotateArgs(ctypes.Structure):
    """As in native/fused.cpp."""

    _fields_ = (*_fields(P, "x out cos sin"), *_fields(I64, "row token head cos_row"),
                *_fields(INT, "batch length heads dim rotated interleaved threads dtype"))


_norm = declare("enfold_norm", ctypes.POINTER(NormArgs))
_gate = declare("enfold_gate", ctypes.POINTER(GateArgs))
_rotate = declare("enfold_rotate", ctypes.POINTER(RotateArgs))


def goes_native(module: Any, x: Tensor) -> bool:
    """Whether a module that has the switch `native` computes on `x` here, in inference."""
    return (module.native and not torch.is_grad_enabled() and not module.training
            and not torch.compiler.is_compiling() and type(x) is Tensor and x.dtype in DTYPES
            and x.is_cpu and _norm() is not None and not torch.is_autocast_enabled("cpu")
            and not observed())


def in_graph(module: Any, x: Tensor) -> bool:
    """The same of a graph that torch.compile makes: norms, activations and rotations are left to
    the compiler, which joins them with what is around them; attention is not.
    """
    return (torch.compiler.is_compiling() and not torch.compiler.is_exporting() and module.native
            and not torch.is_grad_enabled() and not module.training and x.dtype in DTYPES
            and x.is_cpu and known() and not torch.is_autocast_enabled("cpu"))


class Normalizer:
    """LayerNorm, or RMSNorm with weight + offset, over the last dimension.

    Weight and bias, if there, are of the inputs' dtype, and close together.
    """

    def __init__(self, weight: Tensor | None, bias: Tensor | None, eps: float, *, layer: bool,
                 offset: float = 0.0) -> None:
        self.call: Any = _norm()
        self.held = weight, bias
        self.args = NormArgs(weight=None if weight is None else weight.data_ptr(),
                             bias=None if bias is None else bias.data_ptr(),
                             layer=layer, eps=eps, offset=offset)

    def __call__(self, x: Tensor, added: Tensor | None = None,
                 total: Tensor | None = None) -> Tensor:
        """norm(x), or norm(x + added) with the sum in `total`, which may be x.  [.., D]."""
        x = x.contiguous()
        args, dim, out = self.args, x.shape[-1], torch.empty_like(x)
        args.x, args.out, args.rows, args.dim = x.data_ptr(), out.data_ptr(), x.numel() // dim, dim
        args.added = args.sum = None
        if added is not None and total is not None:
            added = added.contiguous()
            args.added, args.sum = added.data_ptr(), total.data_ptr()
        args.threads, args.dtype = torch.get_num_threads(), DTYPES[x.dtype]
        self.call(args)
        return out


def gate(act: int, x: Tensor, up: Tensor | None = None) -> Tensor:
    """act(x) * up, or act(x), of [.., D]; act is one of `CODES`."""
    x, up = x.contiguous(), None if up is None else up.contiguous()
    out = torch.empty_like(x)
    _gate()(GateArgs(  # type: ignore[misc]
        x.data_ptr(), None if up is None else up.data_ptr(), out.data_ptr(),
        x.numel() // x.shape[-1], x.shape[-1], act, torch.get_num_threads(), DTYPES[x.dtype]))
    return out


def rotate(x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool) -> Tensor:
    """x [B, H, T, D] with its first R features turned by cos and sin [B or 1, 1, T, R] in fp32."""
    batch, heads, length, dim = x.shape
    row, head, token, _ = x.stride()
    out = x.new_empty(batch, length, heads, dim).transpose(1, 2)
    _rotate()(RotateArgs(  # type: ignore[misc]
        x.data_ptr(), out.data_ptr(), cos.data_ptr(), sin.data_ptr(), row, token, head,
        0 if cos.shape[0] == 1 else cos.stride(0), batch, length, heads, dim, cos.shape[-1],
        interleaved, torch.get_num_threads(), DTYPES[x.dtype]))
    return out
