"""Quantized layers that kernels multiply and decode in place: those of `nn/native/groups.py`, on a
GPU of `nn/cuda/four.py`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from enfold.nn.cuda import four
from enfold.nn.linear import Kernel
from enfold.nn.native.groups import KINDS, GroupWeight, Parts
from enfold.nn.native.linear import observed
from enfold.nn.quantized import QuantizedLinear

Weight = GroupWeight | four.GroupWeight


class Viewed(QuantizedLinear):
    """A layer with a view of its tensors for the kernels, made when it is first needed."""

    _view: tuple[tuple[int, ...], Weight | None] | None = None

    @abstractmethod
    def parts(self) -> Parts | None:
        """The weight as the kernels take it; None where they can't."""

    @abstractmethod
    def held(self) -> tuple[Tensor | None, ...]:
        """The tensors that `parts` is made of."""

    def arranged(self, x: Tensor) -> Tensor:
        """Inputs in the order in which they are stored."""
        return x

    def multiply(self, x: Tensor) -> Tensor:
        native = self.native(x.dtype)
        if native is None or x.numel() == 0:
            return super().multiply(x)
        return native.linear(self.arranged(x), self._bias(x.dtype))

    def kernel(self, dtype: torch.dtype) -> Kernel:
        native, bias = self.native(dtype), self._bias(dtype)
        if native is None:
            return self.multiply
        if type(self).arranged is not Viewed.arranged:
            return lambda x: native.linear(self.arranged(x), bias)
        return lambda x: native.linear(x, bias)

    def native(self, dtype: torch.dtype) -> Weight | None:
        """The view for products and numbers of a type, None where torch has to do the work."""
        if dtype not in KINDS or torch.compiler.is_compiling() or observed():
            return None
        state = tuple(0 if part is None else part.data_ptr() for part in self.held())
        if self._view is None or self._view[0] != state:
            self.__dict__["_view"] = (state, _viewed(self.parts()))
        return self._view[1]  # type: ignore[index]

    def traced(self, x: Tensor, exact: bool) -> Tensor | None:
        parts = self.parts() if x.dtype in KINDS and x.is_cpu else None
        if parts is None or not GroupWeight.fits(*parts):
            return None
        bits, inputs, packed, scales, zeros, form = parts
        bias = None if exact else self._bias(x.dtype)
        return torch.ops.enfold.groups_linear(  # type: ignore[no-any-return]
            self.arranged(x), packed, scales, zeros, bits, inputs, form, bias, exact)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_view"}


def _viewed(parts: Parts | None) -> Weight | None:
    kinds = () if parts is None else (GroupWeight, four.GroupWeight)
    return next((kind(*parts) for kind in kinds if kind.fits(*parts)), None)  # type: ignore[misc]


# ---- for graphs: torch.compile sees one operation ------------------------------------------------
@torch.library.custom_op("enfold::groups_linear", mutates_args=())
def _linear(x: Tensor, packed: Tensor, scales: Tensor, zeros: Tensor | None, bits: int,
            inputs: int, form: str, bias: Tensor | None, exact: bool) -> Tensor:
    """exact: through the weight's numbers, as training wants it."""
    weight = GroupWeight(bits, inputs, packed, scales, zeros, form)
    return F.linear(x, weight.decode(x.dtype), bias) if exact else weight.linear(x, bias)


@_linear.register_fake
def _(x: Tensor, packed: Tensor, scales: Tensor, zeros: Tensor | None, bits: int, inputs: int,
      form: str, bias: Tensor | None, exact: bool) -> Tensor:
    return x.new_empty((*x.shape[:-1], packed.shape[0]))


@torch.library.custom_op("enfold::groups_numbers", mutates_args=())
def _numbers(packed: Tensor, scales: Tensor, zeros: Tensor | None, bits: int, inputs: int,
             form: str, dtype: torch.dtype) -> Tensor:
    """The weight [O, I]."""
    return GroupWeight(bits, inputs, packed, scales, zeros, form).decode(dtype)


@_numbers.register_fake
def _(packed: Tensor, scales: Tensor, zeros: Tensor | None, bits: int, inputs: int, form: str,
      dtype: torch.dtype) -> Tensor:
    return packed.new_empty((packed.shape[0], inputs), dtype=dtype)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, packed, scales, zeros, *ctx.rest = inputs
    ctx.save_for_backward(packed, scales, zeros)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    bits, inputs, form, bias, _ = ctx.rest
    weight = torch.ops.enfold.groups_numbers(*ctx.saved_tensors, bits, inputs, form, grad.dtype)
    to_bias = None if bias is None else grad.flatten(0, -2).sum(0)
    return grad @ weight, None, None, None, None, None, None, to_bias, None


_linear.register_autograd(_backward, setup_context=_keep)
