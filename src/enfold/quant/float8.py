"""float8 weights (e4m3, e5m2) with scales.  Products run in the inputs' type on the dequantized
weight: where a device has products of float8 they would round the inputs as well.

    compressed-tensors' float-quantized   weight, weight_scale (input_scale: kept, not used)
    fine-grained fp8 (DeepSeek)           weight, weight_scale_inv [O/128, I/128]

O out, I in
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from enfold.nn.native.groups import Parts
from enfold.quant.layouts import Leaves, Shapes, check
from enfold.quant.stored import Stored
from enfold.quant.viewed import Viewed

KINDS = {torch.float8_e4m3fn: "e4m3", torch.float8_e5m2: "e5m2"}


class Float8Linear(Viewed):
    """float8 weights of `kind`; `scale_leaf` is what the file calls the scales."""

    method = "fp8"
    reads = ("weight", "weight_scale", "weight_scale_inv", "input_scale")
    weight: Tensor
    scale: Tensor
    input_scale: Tensor | None

    def __init__(self, linear: nn.Linear, stored: Stored, path: str,
                 kind: torch.dtype = torch.float8_e4m3fn, scale_leaf: str = "weight_scale") -> None:
        super().__init__(linear)
        self.stored, self.path, self.kind, self.scale_leaf = stored, path, kind, scale_leaf
        for name in ("weight", "scale", "input_scale"):
            self.register_buffer(name, None)

    def shapes(self) -> Shapes:
        """Leaf -> (shape, type) of a file."""
        shape = self.stored.scale_shape(self.out_features, self.in_features)
        return {"weight": ((self.out_features, self.in_features), self.kind),
                self.scale_leaf: (shape, None), "input_scale": ((1,), None)}

    def wants(self, held: Collection[str]) -> Collection[str]:
        return ("weight", self.scale_leaf)

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        check(tensors, self.shapes(), self.path, ("input_scale",))
        self.weight, self.scale = tensors["weight"], tensors[self.scale_leaf]
        self.input_scale = tensors.get("input_scale")

    def tensors(self) -> Leaves:
        held = {"weight": self.weight, self.scale_leaf: self.scale}
        return held if self.input_scale is None else held | {"input_scale": self.input_scale}

    def requantize(self, weight: Tensor) -> None:
        wide = torch.float32 if self.scale_leaf == "weight_scale_inv" else None
        self.weight, self.scale = self.stored.to_float8(weight, self.kind, wide)

    def dequantize(self, dtype: torch.dtype | None = None) -> Tensor:
        dtype = dtype or self.scale.dtype
        if native := self.native(dtype):
            return native.decode(dtype)
        return self.stored.from_float8(self.weight, self.scale).to(dtype)

    def held(self) -> tuple[Tensor | None, ...]:
        return self.weight, self.scale

    def parts(self) -> Parts | None:
        return self.stored.parts(self.weight, self.scale, None, KINDS.get(self.weight.dtype, ""))

    def describe(self) -> str:
        return f"{str(self.kind).removeprefix('torch.float8_')}, {self.stored.describe()}"
