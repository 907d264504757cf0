"""Four-bit blocks (NF4, FP4) natively: quantizing, dequantizing, and products of few rows.

The formats are those of `nn/blocks4.py`, read as they are stored.

M rows, I in, O out
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from enfold.nn.native.library import F32, I64, INT, P, declare

KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
_quantize = declare("enfold_blocks4_quantize", P, INT, I64, I64, P, P, P, P, INT)
_multiply = declare("enfold_blocks4_multiply", P, INT, I64, I64, I64, P, I64, P, P, P, P, F32, I64,
                    P, P, P, INT, INT)
_many = declare("enfold_blocks4_many", P, I64, I64, I64, P, I64, P, P, P, P, F32, I64, P, P, P, INT)
_dequantize = declare("enfold_blocks4_dequantize", P, P, P, I64, I64, I64, P, INT, INT)


def quantize(x: Tensor, packed: Tensor, absmax: Tensor, block: int, bounds: Sequence[float],
             order: Sequence[int]) -> bool:
    """Fill packed and absmax from x [N]; False if there is no kernel for it.

    bounds: the 15 numbers halfway between neighbouring values; order: the index of each interval.
    """
    call = _quantize()
    if call is None or not _plain(x, packed, absmax) or x.dtype not in KINDS:
        return False
    call(x.data_ptr(), KINDS[x.dtype], x.numel(), block, _floats(tuple(bounds)).data_ptr(),
         _bytes(tuple(order)).data_ptr(), packed.data_ptr(), absmax.data_ptr(),
         torch.get_num_threads())
    return True


def dequantize(packed: Tensor, absmax: Tensor, values: Sequence[float], block: int, start: int,
               out: Tensor) -> bool:
    """Fill out [N] with the numbers from `start`, a multiple of the block; False without a kernel.
    """
    call = _dequantize()
    if call is None or not _plain(packed, absmax, out) or out.dtype not in KINDS:
        return False
    call(packed.data_ptr(), absmax.data_ptr(), _floats(tuple(values)).data_ptr(), block, start,
         out.numel(), out.data_ptr(), KINDS[out.dtype], torch.get_num_threads())
    return True


def _plain(*tensors: Tensor) -> bool:
    return (all(t.device.type == "cpu" and t.is_contiguous() for t in tensors)
            and not torch.compiler.is_compiling())


@dataclass(frozen=True, slots=True)
class Nested:
    """Scales as indices (uint8) into a map of 256, times a scale for each `group` of them, plus an
    offset.
    """

    indices: Tensor
    outer: Tensor
    map: Tensor
    offset: float
    group: int

    def pointers(self) -> tuple[Any, ...]:
        """As the kernel takes them."""
        return (None, self.indices.data_ptr(), self.outer.data_ptr(), self.map.data_ptr(),
                self.offset, self.group)


NOT_NESTED = (None, None, None, 0.0, 1)
MOST = 8  # rows of x for which reading the packed weight is worth it


def multiply(x: Tensor, packed: Tensor, scales: Tensor | Nested, values: Sequence[float],
             outputs: int, block: int, bias: Tensor | None, *, narrow: bool) -> Tensor | None:
    """x [.., I] times a packed weight [O, I], plus bias (fp32), in x's type; None without a kernel.

    narrow: within what products of bf16 with fp32 sums give, else fp32.
    """
    call, inputs = _multiply(), x.shape[-1]
    rows = x.numel() // max(inputs, 1)
    if call is None or not 0 < rows <= MOST or not _fits(x, packed, block):
        return None
    x, out = x.contiguous(), x.new_empty((*x.shape[:-1], outputs))
    call(x.data_ptr(), KINDS[x.dtype], rows, inputs, outputs, packed.data_ptr(), block,
         *_pointers(scales), _floats(tuple(values)).data_ptr(),
         None if bias is None else bias.data_ptr(), out.data_ptr(), narrow,
         torch.get_num_threads())
    return out


def multiply_many(x: Tensor, packed: Tensor, scales: Tensor | Nested, values: Sequence[float],
                  outputs: int, block: int, bias: Tensor | None) -> Tensor | None:
    """`multiply` for any number of rows of bf16, bias too; None without a kernel."""
    call, inputs = _many(), x.shape[-1]
    if call is None or x.dtype != torch.bfloat16 or not x.numel() or not _fits(x, packed, block):
        return None
    x, out = x.contiguous(), x.new_empty((*x.shape[:-1], outputs))
    call(x.data_ptr(), x.numel() // inputs, inputs, outputs, packed.data_ptr(), block,
         *_pointers(scales), _floats(tuple(values)).data_ptr(),
         None if bias is None else bias.data_ptr(), out.data_ptr(), torch.get_num_threads())
    return out


def _fits(x: Tensor, packed: Tensor, block: int) -> bool:
    """Whether rows of the weight are whole blocks, and x of a type that kernels take."""
    return (x.shape[-1] % 64 == 0 and x.shape[-1] % block == 0 and block >= 64 and x.dtype in KINDS
            and packed.is_cpu and x.is_cpu and not torch.compiler.is_compiling())


def _pointers(scales: Tensor | Nested) -> tuple[Any, ...]:
    return scales.pointers() if isinstance(scales, Nested) else (scales.data_ptr(), *NOT_NESTED)


@cache
def _floats(numbers: tuple[float, ...]) -> Tensor:
    return torch.tensor(numbers + (0.0,) * (16 - len(numbers)))


@cache
def _bytes(numbers: tuple[int, ...]) -> Tensor:
    return torch.tensor(numbers, dtype=torch.uint8)
