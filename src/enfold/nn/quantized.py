"""Linear layers whose weight is stored in fewer bits: what every format has in common.

How a format is added (`enfold.quant` has examples):

1. A module in `quant/` inherits `QuantizedLinear`.  Its constructor takes the plain layer that it
   replaces, on the meta device, and calls `super().__init__(linear)`.  `method` names the format,
   `reads` all names of tensors below the layer that a file may hold, the bias apart ("weight",
   "weight.absmax", or "qweight", "qzeros", "scales", "g_idx").
2. It keeps its tensors as buffers, or as parameters without gradient, and defines: `requantize(w)`
   from a plain weight [O, I]; `take(tensors)` from those of a file; `tensors()`, what a file gets;
   `dequantize(dtype)`; `describe()`.  A format that is only read leaves `requantize` alone.
   `wants(held)` says which names a file that has some of them needs to have.
3. It may define `multiply(x)`, inference through a kernel; what it inherits dequantizes.
4. A `Method` (weights/packed.py) makes the layers of a model: `layer(path, linear, held)` gives the
   new layer, or None to leave a linear layer as it is.
5. A line of `quant/registry.py` says which module has it, by the `quant_method` of config.json.

Loading quantizes each plain tensor as it is read and gives its pages back, reads stored ones as
they are, and raises for what is absent.  Saving, `state_dict`, adapters, decoding and
`model.dequantize()` need nothing else.

x [.., I], weights [O, I]
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.errors import InputError
from enfold.nn.linear import Conv1D, Kernel, Linear

PLAIN = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


class QuantizedLinear(nn.Linear):
    """A linear layer that holds its weight in a quantized format, and no plain copy of it."""

    method: str = ""
    compute: torch.dtype | None = None  # what products are computed in, None for the input's type
    reads: ClassVar[tuple[str, ...]] = ("weight",)
    waits = False  # whether products look at values on the host, which a CUDA graph can't

    def __init__(self, linear: nn.Linear) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self.turned = isinstance(linear, Conv1D)  # plain tensors of files are [I, O]
        self.training = linear.training

    # ---- a format defines ------------------------------------------------------------------------
    def requantize(self, weight: Tensor) -> None:
        """Hold a plain weight [O, I], on its device."""
        raise NotImplementedError(f"a weight can't be stored as {self.method!r} here: the "
                                  "format is only read. Do: model.dequantize() first")

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        """Hold the tensors of a file, by the names in `reads`."""
        raise NotImplementedError(f"{type(self).__name__} does not define take")

    def tensors(self) -> dict[str, Tensor]:
        """What a file gets, by the names in `reads`; the bias apart."""
        raise NotImplementedError(f"{type(self).__name__} does not define tensors")

    def dequantize(self, dtype: torch.dtype | None = None) -> Tensor:
        """The weight [O, I]; dtype: by default what it was before."""
        raise NotImplementedError(f"{type(self).__name__} does not define dequantize")

    def describe(self) -> str:
        """The format in a few words: "nf4, blocks of 64, nested"."""
        return self.method

    def wants(self, held: Collection[str]) -> Collection[str]:
        """The names that a file has to have for this layer, given that it has `held` of them."""
        return self.reads

    def multiply(self, x: Tensor) -> Tensor:
        """x times the weight, plus bias, without gradients; of x's type."""
        return self._product(x.to(self.compute or x.dtype)).to(x.dtype)

    def traced(self, x: Tensor, exact: bool) -> Tensor | None:
        """The product in a graph of torch.compile, by one operation: as `multiply`, or with
        `exact` (training) as the dequantized weight gives it, without bias; None if there is none.
        """
        return None

    # ---- the rest --------------------------------------------------------------------------------
    def forward(self, x: Tensor) -> Tensor:
        if torch.is_autocast_enabled(x.device.type) and x.is_floating_point():
            x = x.to(torch.get_autocast_dtype(x.device.type))
        bias = self.bias
        wanted = x.requires_grad or (bias is not None and bias.requires_grad)
        exact = torch.is_grad_enabled() and (wanted or self.training)
        if torch.compiler.is_compiling():
            return self._in_graph(x, exact)
        if not exact:
            return self.multiply(x)
        y: Tensor = _Product.apply(x.to(self.compute or x.dtype), self)  # type: ignore[no-untyped-call]
        return (y if bias is None else y + bias.to(y.dtype)).to(x.dtype)

    def kernel(self, dtype: torch.dtype) -> Kernel:
        """`forward` for inference on inputs of `dtype`."""
        return self.multiply

    def plain(self, dtype: torch.dtype | None = None) -> nn.Linear:
        """A linear layer with the dequantized weight, of the kind that this one replaced."""
        weight = self.dequantize(dtype)
        with torch.device("meta"):
            found: nn.Linear = Linear(self.in_features, self.out_features, bias=False)
        if self.turned:
            found, weight = Conv1D.of(found), weight.t().contiguous()
        found.weight, found.bias = nn.Parameter(weight, requires_grad=False), self.bias
        return found.train(self.training)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "weight" and isinstance(value, Tensor) and value.dtype in PLAIN:
            raise InputError(f"a {self.method} layer holds no plain weight, got one of "
                             f"{value.dtype}. Do: layer.requantize(weight), or model.dequantize()")
        super().__setattr__(name, value)

    def extra_repr(self) -> str:
        return (f"in_features={self.in_features}, out_features={self.out_features}, "
                f"bias={self.bias is not None}, {self.describe()}")

    def _in_graph(self, x: Tensor, exact: bool) -> Tensor:
        wide = x.to(self.compute or x.dtype)
        y = None if torch.compiler.is_exporting() else self.traced(wide if exact else x, exact)
        if y is None:
            y = self._product(wide)
        elif exact and self.bias is not None:
            y = y + self.bias.to(y.dtype)
        return y.to(x.dtype)

    def _product(self, x: Tensor) -> Tensor:
        return F.linear(x, self.dequantize(x.dtype), self._bias(x.dtype))

    def _bias(self, dtype: torch.dtype) -> Tensor | None:
        return None if self.bias is None else self.bias.to(dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Moves go through; casts change the bias only, for the rest is stored as it has to be."""
        tables: tuple[dict[str, Any], ...] = (self._parameters, self._buffers)
        before = [(table, name, tensor) for table in tables for name, tensor in table.items()
                  if tensor is not None and name != "bias"]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for table, name, tensor in before:
            if table[name].dtype != tensor.dtype:
                moved = tensor.detach().to(table[name].device)
                table[name] = (nn.Parameter(moved, requires_grad=False)
                               if isinstance(tensor, nn.Parameter) else moved)
        return self


class _Product(torch.autograd.Function):
    """x W^T with a gradient to x; the weight is dequantized again for it, not kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantizedLinear) -> Tensor:
        ctx.layer = layer
        return F.linear(x, layer.dequantize(x.dtype))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad @ ctx.layer.dequantize(grad.dtype), None
