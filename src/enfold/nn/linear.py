"""Linear layers.

On a CPU inference goes through oneDNN with a packed copy of the weight where that is faster: torch
sends fp32 products to MKL and packs bf16 weights anew at each call.

B rows, I in, O out
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Kernel = Callable[[Tensor], Tensor]
GAIN = 0.75  # of torch's time is what packed products may take: they cost a copy of the weight
ERRORS = {torch.float32: 1e-5, torch.bfloat16: 2e-2}  # largest relative difference to accept
SMALLEST = 2**14  # weights with fewer numbers are not worth a copy
_linear = torch.ops.mkldnn._linear_pointwise


class Linear(nn.Linear):
    """nn.Linear that keeps a packed copy of its weight for inference on a CPU.

    The copy is made at the first call without gradients and made again when the weight has changed
    (another tensor, or written to in place).  `packing = False` turns it off for a layer.
    """

    packing = True
    _packed: tuple[tuple[int, int], Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or not self.packs(x.dtype):
            return F.linear(x, self.weight, self.bias)
        return multiply(x, self.packed(), self.bias)

    def packs(self, dtype: torch.dtype) -> bool:
        """Whether inputs of `dtype` go through the packed copy."""
        weight = self.weight
        return (self.packing and weight.dtype == dtype and weight.device.type == "cpu"
                and weight.numel() >= SMALLEST and worthwhile(dtype)
                and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling())

    def packed(self) -> Tensor:
        """The packed copy, up to date."""
        weight = self.weight
        state = (weight.data_ptr(), 0 if weight.is_inference() else weight._version)
        if self._packed is None or self._packed[0] != state:
            self.__dict__["_packed"] = (state, pack(weight.detach()))
        return self._packed[1]  # type: ignore[index]

    def kernel(self, dtype: torch.dtype) -> Kernel:
        """`forward` for inference on inputs of `dtype` with all choices made."""
        weight, bias = self.weight, self.bias
        if not self.packs(dtype):
            return lambda x: F.linear(x, weight, bias)
        packed = self.packed()
        return lambda x: multiply(x, packed, bias)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_packed"}


class Conv1D(nn.Linear):
    """A linear layer whose weight is stored [I, O], as in GPT-2's checkpoints; same arithmetic."""

    @classmethod
    def of(cls, linear: nn.Linear) -> Conv1D:
        """`linear` with its weight turned, uninitialised, on the same device."""
        turned = cls.__new__(cls)
        nn.Module.__init__(turned)
        turned.in_features, turned.out_features = linear.in_features, linear.out_features
        size = (linear.in_features, linear.out_features)
        turned.weight = nn.Parameter(linear.weight.new_empty(size))
        turned.bias = linear.bias
        return turned

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.t(), self.bias)


def pack(weight: Tensor) -> Tensor:
    """`weight` [O, I] in the blocked layout of the machine's instructions."""
    return torch.ops.mkldnn._reorder_linear_weight(weight, None)  # type: ignore[no-any-return]


def multiply(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    """x [.., I] times a packed weight, plus bias."""
    return _linear(x, packed, bias, "none", [], "")  # type: ignore[no-any-return]


@cache
def worthwhile(dtype: torch.dtype) -> bool:
    """Whether packed products of `dtype` are faster here than torch's, and as exact.

    Measured once per process.
    """
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if dtype not in ERRORS or not available:
        return False
    with torch.inference_mode():
        weight = torch.randn(1024, 1024, generator=torch.Generator().manual_seed(0)).to(dtype)
        packed, ours, theirs = pack(weight), 0.0, 0.0
        for rows in (1, 64):
            x = weight[:rows]
            exact, found = F.linear(x.double(), weight.double()), multiply(x, packed, None)
            if (found - exact).norm() > ERRORS[dtype] * exact.norm():
                return False
            best = fastest(lambda x=x: multiply(x, packed, None),  # type: ignore[misc]
                           lambda x=x: F.linear(x, weight))  # type: ignore[misc]
            ours, theirs = ours + best[0], theirs + best[1]
    return ours <= GAIN * theirs


def fastest(*works: Callable[[], object], runs: int = 12) -> list[float]:
    """Seconds of the fastest of some runs of each, taken in turn."""
    best = [float("inf")] * len(works)
    for _ in range(runs):
        for place, work in enumerate(works):
            start = time.perf_counter()
            work()
            best[place] = min(best[place], time.perf_counter() - start)
    return best
