"""Normalisation layers.  Shapes: [..., D] in and out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.nn.native.fused import Normalizer, goes_native
from enfold.nn.native.training import rms, trains
from enfold.spec import Norm


class RMSNorm(nn.Module):
    """x / rms(x) * (weight + offset), in fp32, cast back before the weight (arXiv 1910.07467)."""

    native = True
    weight: nn.Parameter | None

    def __init__(self, dim: int, spec: Norm) -> None:
        super().__init__()
        self.eps, self.offset = spec.eps, spec.offset
        self.weight = nn.Parameter(torch.empty(dim)) if spec.affine else None

    def forward(self, x: Tensor) -> Tensor:
        own = normalizer(self, x)
        if own is not None:
            return own(x)
        weight = self.weight
        if trains(self, x) and (weight is None or (weight.dtype == x.dtype
                                                   and weight.is_contiguous())):
            return rms(x, weight, self.eps, self.offset)
        if weight is not None and self.offset:
            weight = weight + self.offset  # type: ignore[assignment]
        h = x.float()
        if torch.is_grad_enabled():
            square = h.square().mean(-1, keepdim=True)
        else:  # the same number in one pass over the row
            square = torch.linalg.vector_norm(h, dim=-1, keepdim=True).square() * (1 / h.shape[-1])
        h = (h * torch.rsqrt(square + self.eps)).to(x.dtype)
        return h if weight is None else h * weight

    def kernel(self, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
        """`forward` on inputs of `dtype` without gradients, in as few operations as there are."""
        if self.weight is None:
            return self.forward
        weight = self.weight + self.offset if self.offset else self.weight
        if weight.is_cuda and weight.dtype == dtype:  # one kernel there, where a kernel is time
            return lambda x: F.rms_norm(x, weight.shape, weight, self.eps)
        eps, share = torch.tensor(self.eps, device=weight.device), 1 / weight.shape[0]

        def normalise(x: Tensor) -> Tensor:
            h = x.float()
            length = torch.linalg.vector_norm(h, dim=-1, keepdim=True)
            h = h * torch.addcmul(eps, length, length, value=share).rsqrt_()
            return h.to(x.dtype) * weight

        def exact(x: Tensor) -> Tensor:
            length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            return x * torch.addcmul(eps, length, length, value=share).rsqrt_() * weight

        return exact if dtype == weight.dtype == torch.float32 else normalise

    def extra_repr(self) -> str:
        return f"{None if self.weight is None else self.weight.numel()}, eps={self.eps}"


class LayerNorm(nn.LayerNorm):
    """torch's LayerNorm, built from a spec."""

    native = True

    def __init__(self, dim: int, spec: Norm) -> None:
        super().__init__(dim, spec.eps, spec.affine, spec.bias)


def normalizer(module: Any, x: Tensor) -> Normalizer | None:
    """A norm of ours as one native call on `x`; None where torch computes it."""
    if type(module) not in (RMSNorm, LayerNorm) or not goes_native(module, x):
        return None
    weight, bias = module.weight, getattr(module, "bias", None)
    if any(part is not None and (part.dtype != x.dtype or not part.is_contiguous())
           for part in (weight, bias)):
        return None
    return Normalizer(weight, bias, module.eps, layer=type(module) is LayerNorm,
                      offset=getattr(module, "offset", 0.0))


def sum_norm(module: nn.Module, x: Tensor, h: Tensor) -> Tensor:
    """module(x + h)."""
    own = None if _hooked(module) else normalizer(module, x)
    return module(x + h) if own is None else own(x, h, torch.empty_like(x))


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def norm(spec: Norm, dim: int) -> nn.Module:
    """The normalisation that `spec` names, over `dim` features."""
    if spec.kind == "rms":
        return RMSNorm(dim, spec)
    if spec.kind == "layer":
        return LayerNorm(dim, spec)
    raise NotImplementedError(f"no norm of kind {spec.kind!r}; there are 'rms' and 'layer'")
