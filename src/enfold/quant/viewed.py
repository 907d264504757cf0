"""Quantized layers that the kernels of `nn/native/groups.py` multiply and decode in place."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from enfold.nn.linear import Kernel
from enfold.nn.native.groups import KINDS, GroupWeight
from enfold.nn.native.linear import observed
from enfold.nn.quantized import QuantizedLinear


class Viewed(QuantizedLinear):
    """A layer with a view of its tensors for the kernels, made when it is first needed."""

    _view: tuple[tuple[int, ...], GroupWeight | None] | None = None

    @abstractmethod
    def view(self) -> GroupWeight | None:
        """The kernels' view of the tensors as they are; None where there is no kernel for them."""

    @abstractmethod
    def parts(self) -> tuple[Tensor | None, ...]:
        """The tensors that the view is of."""

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

    def native(self, dtype: torch.dtype) -> GroupWeight | None:
        """The view for products and numbers of a type, None where torch has to do the work."""
        if dtype not in KINDS or torch.compiler.is_compiling() or observed():
            return None
        state = tuple(0 if part is None else part.data_ptr() for part in self.parts())
        if self._view is None or self._view[0] != state:
            self.__dict__["_view"] = (state, self.view())
        return self._view[1]  # type: ignore[index]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_view"}
