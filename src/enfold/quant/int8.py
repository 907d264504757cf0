"""int8 weights with a scale for each output (or tensor, or group), and inputs rounded to int8 row
by row as they come: products of integers, for prefill and encoders.

    weight[o, i] = (q[o, i] - zero[o]) * scale[o]            q int8

The tensors are those of compressed-tensors' int-quantized and naive-quantized formats.  Input
scales that a checkpoint has fixed in advance are kept and saved, but each row's own scale is used,
which is at least as exact.

O out, I in
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from enfold.nn.linear import Kernel
from enfold.nn.native.groups import Parts
from enfold.nn.native.int8 import int8_linear
from enfold.quant.layouts import Leaves, Shapes, check
from enfold.quant.stored import Stored
from enfold.quant.viewed import Viewed

INPUTS = ("input_scale", "input_zero_point")


class Int8Linear(Viewed):
    """int8 weights; `stored` says how, `dynamic` whether inputs become int8 too."""

    method = "int8"
    reads = ("weight", "weight_scale", "weight_zero_point", *INPUTS)
    weight: Tensor
    scale: Tensor
    zero: Tensor | None
    input_scale: Tensor | None
    input_zero_point: Tensor | None

    def __init__(self, linear: nn.Linear, stored: Stored, path: str, dynamic: bool) -> None:
        super().__init__(linear)
        self.stored, self.path, self.dynamic = stored, path, dynamic
        for name in ("weight", "scale", "zero", *INPUTS):
            self.register_buffer(name, None)

    def shapes(self) -> Shapes:
        """Leaf -> (shape, type) of a file."""
        shape = self.stored.scale_shape(self.out_features, self.in_features)
        found: Shapes = {"weight": ((self.out_features, self.in_features), torch.int8),
                         "weight_scale": (shape, None), "weight_zero_point": (shape, torch.int8),
                         "input_scale": ((1,), None), "input_zero_point": ((1,), torch.int8)}
        return found

    def wants(self, held: Collection[str]) -> Collection[str]:
        return ("weight", "weight_scale", *(() if self.stored.symmetric else
                                            ("weight_zero_point",)))

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        check(tensors, self.shapes(), self.path, (*INPUTS, "weight_zero_point"))
        self.weight, self.scale = tensors["weight"], tensors["weight_scale"]
        self.zero = tensors.get("weight_zero_point")
        self.input_scale = tensors.get("input_scale")
        self.input_zero_point = tensors.get("input_zero_point")

    def tensors(self) -> Leaves:
        held = {"weight": self.weight, "weight_scale": self.scale, "weight_zero_point": self.zero,
                "input_scale": self.input_scale, "input_zero_point": self.input_zero_point}
        return {leaf: tensor for leaf, tensor in held.items() if tensor is not None}

    def requantize(self, weight: Tensor) -> None:
        self.weight, self.scale, self.zero = self.stored.to_int8(weight)

    def dequantize(self, dtype: torch.dtype | None = None) -> Tensor:
        dtype = dtype or self.scale.dtype
        if native := self.native(dtype):
            return native.decode(dtype)
        return self.stored.from_int8(self.weight, self.scale, self.zero).to(dtype)

    def held(self) -> tuple[Tensor | None, ...]:
        return self.weight, self.scale, self.zero

    def parts(self) -> Parts | None:
        return self.stored.parts(self.weight, self.scale, self.zero, "signed")

    def traced(self, x: Tensor, exact: bool) -> Tensor | None:
        return super().traced(x, exact) if exact or not self.by_integers() else self.multiply(x)

    def by_integers(self) -> bool:
        """Whether products are of integers alone."""
        return self.dynamic and self.zero is None and self.stored.over not in ("group", "block")

    def multiply(self, x: Tensor) -> Tensor:
        if not self.by_integers():
            return super().multiply(x)
        return int8_linear(x, self.weight, self._of_rows(), self._bias(torch.float32))

    def kernel(self, dtype: torch.dtype) -> Kernel:
        if not self.by_integers():
            return self.multiply if self.dynamic else super().kernel(dtype)
        held = (self.weight, self._of_rows(), self._bias(torch.float32))
        return lambda x: int8_linear(x, *held)

    def _of_rows(self) -> Tensor:
        """A scale for each output, fp32."""
        return self.scale.float().expand(self.out_features, 1).reshape(-1)

    def describe(self) -> str:
        return (f"int8, {self.stored.describe()}"
                + (", inputs in int8 by rows" if self.dynamic else ""))
