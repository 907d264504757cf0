"""LLM.int8 layers, stored as bitsandbytes stores them.

    weight           int8 [O, I], each row's largest magnitude is 127
    SCB              fp32 [O], those magnitudes
    weight_format    uint8, 0: rows follow each other

x [.., I], weights [O, I]                                       https://arxiv.org/abs/2208.07339
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from enfold.errors import CheckpointError
from enfold.nn.quantized import QuantizedLinear
from enfold.quant import rows8


class Linear8bitLt(QuantizedLinear):
    """A linear layer of int8 rows.

    threshold: columns of the input with a number at least that large are multiplied in full, 0 for
    none.
    """

    method = "llm_int8"
    reads = ("weight", "SCB", "weight_format")

    def __init__(self, linear: nn.Linear, threshold: float = 6.0) -> None:
        super().__init__(linear)
        self.threshold = threshold
        self.weight = nn.Parameter(torch.empty(0, 0, dtype=torch.int8), requires_grad=False)
        self.register_buffer("SCB", None)

    @property
    def waits(self) -> bool:  # type: ignore[override]
        """Which columns are large is asked for at each product."""
        return self.threshold > 0

    def requantize(self, weight: Tensor) -> None:
        rows, scales = rows8.quantize(weight)
        self.weight, self.SCB = nn.Parameter(rows, requires_grad=False), scales

    def take(self, tensors: Mapping[str, Tensor]) -> None:
        shape = (self.out_features, self.in_features)
        weight, scales = tensors["weight"], tensors["SCB"]
        if tuple(weight.shape) != shape or scales.numel() != shape[0] or (
                weight.dtype != torch.int8 or not scales.is_floating_point()):
            raise CheckpointError(f"an 8-bit layer of the checkpoint has {weight.dtype} "
                                  f"{tuple(weight.shape)} and {scales.numel()} scales of "
                                  f"{scales.dtype}, expected int8 {shape} and {shape[0]} floats. "
                                  "Do: check config.json against the weights")
        if "weight_format" in tensors and int(tensors["weight_format"]) != 0:
            raise CheckpointError("an 8-bit layer of the checkpoint has weight_format "
                                  f"{int(tensors['weight_format'])}, expected 0 (row by row). Do: "
                                  "save it again with bitsandbytes 0.45 or later")
        self.weight, self.SCB = nn.Parameter(weight, requires_grad=False), scales

    def tensors(self) -> dict[str, Tensor]:
        return {"weight": self.weight, "SCB": self.SCB,
                "weight_format": torch.zeros((), dtype=torch.uint8, device=self.SCB.device)}

    def wants(self, held: Collection[str]) -> Collection[str]:
        return ("weight", "SCB")  # old files don't say the format

    def describe(self) -> str:
        return f"llm_int8, threshold {self.threshold:g}"

    def dequantize(self, dtype: torch.dtype | None = None) -> Tensor:
        return rows8.dequantize(self.weight.detach(), self.SCB, dtype or torch.float32)

    def multiply(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self.in_features)
        y = rows8.multiply(rows, self.weight.detach(), self.SCB, self.bias, self.threshold)
        return y.view(*x.shape[:-1], self.out_features)

    def traced(self, x: Tensor, exact: bool) -> Tensor | None:
        if exact:
            return None
        return torch.ops.enfold.llm_int8_linear(  # type: ignore[no-any-return]
            x, self.weight, self.SCB, self.bias, self.threshold)


@torch.library.custom_op("enfold::llm_int8_linear", mutates_args=())
def _linear(x: Tensor, rows: Tensor, scales: Tensor, bias: Tensor | None,
            threshold: float) -> Tensor:
    """For graphs: torch.compile sees one operation, whichever columns are multiplied in full."""
    y = rows8.multiply(x.reshape(-1, x.shape[-1]), rows, scales, bias, threshold)
    return y.view(*x.shape[:-1], rows.shape[0])


@_linear.register_fake
def _(x: Tensor, rows: Tensor, scales: Tensor, bias: Tensor | None, threshold: float) -> Tensor:
    return x.new_empty((*x.shape[:-1], rows.shape[0]))
