"""Training's passes by the native library, in fp32: dropout, gates, norms, rotary positions.

Each is a Function whose gradient is native too; a gradient of a gradient is torch's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from enfold.nn.act import ACTIVATIONS, Activation
from enfold.nn.native import fused
from enfold.nn.native.attention import _fields
from enfold.nn.native.library import F32, I64, INT, P, declare
from enfold.nn.native.linear import observed

SLOPES: dict[Activation, int] = {ACTIVATIONS[name]: fused.NAMES[name]
                                 for name in ("silu", "gelu", "gelu_new")}
F64, U64 = ctypes.c_double, ctypes.c_uint64
LEAST = 4096  # numbers: below, the way here costs more than it gains


class GateGradArgs(ctypes.Structure):
    """As in native/train.cpp."""

    _fields_ = (*_fields(P, "gate up above to_gate to_up"), ("count", I64),
                *_fields(INT, "act threads"))


class RmsGradArgs(ctypes.Structure):
    """As in native/train.cpp."""

    _fields_ = (*_fields(P, "x weight above to_x"), *_fields(I64, "rows dim"), ("threads", INT),
                *_fields(F32, "eps offset"))


_drop = declare("enfold_drop", P, P, I64, U64, F64, INT)
_gate_grad = declare("enfold_gate_grad", ctypes.POINTER(GateGradArgs))
_rms_grad = declare("enfold_rms_grad", ctypes.POINTER(RmsGradArgs))


def trains(module: Any, x: Tensor) -> bool:
    """Whether a module that has the switch `native` computes on `x`, with gradients, here."""
    return (module.native and torch.is_grad_enabled() and type(x) is Tensor and x.is_cpu
            and x.dtype == torch.float32 and x.numel() >= LEAST and _drop() is not None
            and not torch.compiler.is_compiling() and not torch.is_autocast_enabled("cpu")
            and not observed())


# ---- dropout -------------------------------------------------------------------------------------
def seed() -> int:
    """A seed of 62 bits, drawn from torch's generator."""
    return int(torch.randint(2**62, ()))


def dropout(module: Any, x: Tensor, rate: float) -> Tensor:
    """Dropout, of a module that has the switch `native`."""
    if not trains(module, x) or not 0 < rate < 1:
        return F.dropout(x, rate)
    return _Drop.apply(x, rate, seed())  # type: ignore[no-any-return, no-untyped-call]


class _Drop(torch.autograd.Function):
    """x * kept / (1 - rate); what is kept follows from the seed."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, rate: float, drawn: int) -> Tensor:  # type: ignore[override]
        ctx.drawn = rate, drawn
        x = x.contiguous()
        out = torch.empty_like(x)
        _drop()(x.data_ptr(), out.data_ptr(), x.numel(), drawn, rate,  # type: ignore[misc]
                torch.get_num_threads())
        return out

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        return _Drop.apply(above, *ctx.drawn), None, None  # type: ignore[no-untyped-call]


# ---- gates ---------------------------------------------------------------------------------------
def gate(act: Activation, x: Tensor, up: Tensor | None) -> Tensor:
    """act(x) * up, or act(x); act is one of `SLOPES`."""
    return _Gate.apply(x, up, act)  # type: ignore[no-any-return, no-untyped-call]


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, up: Tensor | None,  # type: ignore[override]
                act: Activation) -> Tensor:
        x, up = x.contiguous(), None if up is None else up.contiguous()
        ctx.save_for_backward(x, up)
        ctx.act = act
        return fused.gate(SLOPES[act], x, up)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, up = ctx.saved_tensors
        if torch.is_grad_enabled():
            return *_again(lambda a, b=None: ctx.act(a) if b is None else ctx.act(a) * b,
                           (x, up), above), None
        above, to_x = above.contiguous(), torch.empty_like(x)
        to_up = None if up is None else torch.empty_like(up)
        _gate_grad()(GateGradArgs(  # type: ignore[misc]
            x.data_ptr(), None if up is None else up.data_ptr(), above.data_ptr(),
            to_x.data_ptr(), None if to_up is None else to_up.data_ptr(), x.numel(),
            SLOPES[ctx.act], torch.get_num_threads()))
        return to_x, to_up, None


# ---- norms ---------------------------------------------------------------------------------------
def rms(x: Tensor, weight: Tensor | None, eps: float, offset: float) -> Tensor:
    """x / rms(x) * (weight + offset), [.., D]."""
    return _Rms.apply(x, weight, eps, offset)  # type: ignore[no-any-return, no-untyped-call]


class _Rms(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None,  # type: ignore[override]
                eps: float, offset: float) -> Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x, weight)
        ctx.facts = eps, offset
        return fused.Normalizer(weight, None, eps, layer=False, offset=offset)(x)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        (x, weight), (eps, offset) = ctx.saved_tensors, ctx.facts
        if torch.is_grad_enabled():
            def plain(a: Tensor, w: Tensor | None = None) -> Tensor:
                y = a * torch.rsqrt(a.square().mean(-1, keepdim=True) + eps)
                return y if w is None else y * (w + offset)

            return *_again(plain, (x, weight), above), None, None
        above, dim = above.contiguous(), x.shape[-1]
        to_x = to_weight = None
        if ctx.needs_input_grad[0]:
            to_x = torch.empty_like(x)
            _rms_grad()(RmsGradArgs(  # type: ignore[misc]
                x.data_ptr(), None if weight is None else weight.data_ptr(), above.data_ptr(),
                to_x.data_ptr(), x.numel() // dim, dim, torch.get_num_threads(), eps, offset))
        if ctx.needs_input_grad[1]:
            unit = fused.Normalizer(None, None, eps, layer=False)(x)
            to_weight = unit.mul_(above).flatten(0, -2).sum(0)
        return to_x, to_weight, None, None


# ---- rotary positions ----------------------------------------------------------------------------
def rotate(x: Tensor, cos: Tensor, sin: Tensor, interleaved: bool) -> Tensor:
    """x [B, H, T, D] turned, as `fused.rotate`; cos and sin need no gradients."""
    return _Rotate.apply(x, cos, sin, interleaved)  # type: ignore[no-any-return, no-untyped-call]


class _Rotate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor,  # type: ignore[override]
                interleaved: bool) -> Tensor:
        ctx.save_for_backward(cos, sin)
        ctx.interleaved = interleaved
        return fused.rotate(x if x.stride(-1) == 1 else x.contiguous(), cos, sin, interleaved)

    @staticmethod
    def backward(ctx: Any, above: Tensor) -> tuple[Tensor, None, None, None]:  # type: ignore[override]
        cos, sin = ctx.saved_tensors
        turned = _Rotate.apply(above, cos, -sin, ctx.interleaved)  # type: ignore[no-untyped-call]
        return turned, None, None, None


def _again(plain: Callable[..., Tensor], given: tuple[Tensor | None, ...],
           above: Tensor) -> list[Tensor | None]:
    """Gradients of what torch computes from `given`, which can be differentiated themselves."""
    wanted = [x for x in given if x is not None and x.requires_grad]
    with torch.enable_grad():
        found = iter(torch.autograd.grad(plain(*given), wanted, above, create_graph=True))
    return [next(found) if x is not None and x.requires_grad else None for x in given]
