"""Linear products straight from plain weights [O, I]: fp32, bf16 and fp16, sums in fp32.

M rows, I in, O out
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from enfold.nn.native.library import I64, INT, Call, P, declare

ONE = (P, P, I64, I64, P, I64, I64, I64, P, INT)
SEVERAL = (P, INT, P, I64, I64, I64, P, INT)
NAMES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}
_one = {dtype: declare(f"enfold_linear_{name}_one", *ONE) for dtype, name in NAMES.items()}
_several = {dtype: declare(f"enfold_linear_{name}", *SEVERAL) for dtype, name in NAMES.items()}


class Weight(ctypes.Structure):
    """A weight as the library takes it, see native/weights.h."""

    _fields_ = (("data", P), ("bias", P), ("scales", P), ("rows", I64), ("stride", I64))

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None, scales: Tensor | None = None) -> Weight:
        """The places of a weight's parts; the tensors have to be kept by the caller."""
        return cls(weight.data_ptr(), None if bias is None else bias.data_ptr(),
                   None if scales is None else scales.data_ptr(), weight.shape[0],
                   weight.stride(0))


def available(dtype: torch.dtype) -> bool:
    """Whether the library multiplies this dtype here."""
    return dtype in _one and _one[dtype]() is not None


def fits(weight: Tensor, bias: Tensor | None) -> bool:
    """Whether a weight and its bias lie in memory as the library takes them."""
    return (_plain(weight) and weight.dim() == 2 and weight.stride(1) == 1
            and weight.stride(0) >= weight.shape[1] and weight.dtype in NAMES
            and (bias is None or (_plain(bias) and bias.dtype == weight.dtype
                                  and bias.is_contiguous())))


def _plain(x: Tensor) -> bool:
    return x.is_cpu and type(x) in (Tensor, nn.Parameter)


def observed() -> bool:
    """Whether something wants to see torch's own operations: a mode, a transform, a trace."""
    c: Any = torch._C
    return bool(c._len_torch_dispatch_stack() or c._len_torch_function_stack()
                or c._get_tracing_state() is not None
                or c._functorch.peek_interpreter_stack() is not None)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x [.., I] times weight [O, I] of the same dtype, plus bias; `fits` and `available` hold."""
    call: Any = _one[x.dtype]()
    return _apply(call, x, weight, bias)


def kernel(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    """`linear` with a weight that stays where it is."""
    call: Any = _one[weight.dtype]()
    return lambda x: _apply(call, x, weight, bias)


def _apply(call: Call, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if not x.is_contiguous():
        x = x.contiguous()
    size, (rows, width) = x.shape, weight.shape
    y = x.new_empty((*size[:-1], rows))
    call(weight.data_ptr(), None if bias is None else bias.data_ptr(), rows, weight.stride(0),
         x.data_ptr(), x.numel() // width, width, width, y.data_ptr(), torch.get_num_threads())
    return y


def joined(weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Callable[[Tensor], Any]:
    """x [.., I] -> its products with several weights that stay where they are, in one pass.

    The results [.., O1], [.., O2], ... lie one after the other in memory.
    """
    call: Any = _several[weights[0].dtype]()
    sizes, width, count = [each.shape[0] for each in weights], weights[0].shape[1], len(weights)
    parts = (Weight * count)(*map(Weight.of, weights, biases))
    held, place, total = (tuple(weights), tuple(biases), parts), ctypes.addressof(parts), sum(sizes)

    def run(x: Tensor, held: Any = held) -> list[Tensor]:  # held: keeps the tensors
        if not x.is_contiguous():
            x = x.contiguous()
        rows, before = x.numel() // width, x.shape[:-1]
        y = x.new_empty(rows * total)
        call(place, count, x.data_ptr(), rows, width, width, y.data_ptr(), torch.get_num_threads())
        parts = torch.split(y, [rows * size for size in sizes])
        return [part.view(*before, size) for part, size in zip(parts, sizes, strict=True)]

    return run
