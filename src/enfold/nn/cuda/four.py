"""Weights of four bits on a GPU: their numbers, and products of few rows by the packed bytes.

NF4 and FP4 as bitsandbytes stores them, and integers in groups, lower half first.  Many rows are
multiplied by torch with the numbers written out.  Nothing here looks at values on the host, so that
a CUDA graph can hold it.

M rows, I in, O out, G groups
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from enfold.nn.native.blocks4 import Nested

FEW = 4  # rows up to which the packed bytes are multiplied: what fits into registers
PART = 2**25  # numbers of the weight that are written out at a time for more rows
PAIRS = 1024  # bytes of a program that writes numbers out
OUTPUTS, BYTES = 8, 256  # of a product's program, at a time: counted, not tuned
FLOATS = (torch.float32, torch.bfloat16, torch.float16)


@cache
def installed() -> bool:
    """Whether Triton is there."""
    return find_spec("triton") is not None


def takes(x: Tensor) -> bool:
    """Whether products with x are computed here."""
    return x.is_cuda and x.dtype in FLOATS and installed() and not torch.compiler.is_compiling()


def dequantize(packed: Tensor, scales: Tensor, values: Sequence[float], block: int, start: int,
               out: Tensor) -> bool:
    """As `native.blocks4.dequantize`: NF4 or FP4 to out [N], from `start`; False without a kernel.
    """
    if not takes(out):
        return False
    _decode(packed, scales, None, _table(tuple(values), packed.device), block, start, out)
    return True


def multiply(x: Tensor, packed: Tensor, scales: Tensor | Nested, values: Sequence[float],
             outputs: int, block: int, bias: Tensor | None) -> Tensor | None:
    """As `native.blocks4.multiply`: x [.., I] times NF4 or FP4 [O, I]; None without a kernel.

    Products and sums are in fp32.
    """
    inputs = x.shape[-1]
    if not takes(x) or inputs % block or not 0 < x.numel() <= FEW * inputs:
        return None
    return _product(x, packed, scales, None, _table(tuple(values), x.device), outputs, block, bias)


class GroupWeight:
    """Four-bit integers in groups on a GPU; as `native.groups.GroupWeight`, on the same tensors."""

    def __init__(self, bits: int, inputs: int, packed: Tensor, scales: Tensor,
                 zeros: Tensor | None, form: str = "unsigned") -> None:
        self.tensors = packed, scales, zeros
        self.outputs, self.inputs, self.size = packed.shape[0], inputs, inputs // scales.shape[1]

    @staticmethod
    def fits(bits: int, inputs: int, packed: Tensor, scales: Tensor, zeros: Tensor | None,
             form: str = "unsigned") -> bool:
        """Whether there is a kernel: rows of whole words, groups of whole blocks of 32."""
        held = (packed, scales) if zeros is None else (packed, scales, zeros)
        groups = scales.shape[1]
        return (takes(scales) and bits == 4 and form == "unsigned" and inputs % groups == 0
                and inputs // groups % 32 == 0 and all(t.is_contiguous() for t in held))

    def linear(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """x [.., I] times the weight, plus bias [O], in x's type."""
        if 0 < x.numel() <= FEW * self.inputs:
            packed, scales, zeros = self.tensors
            return _product(x, packed, scales, zeros, None, self.outputs, self.size, bias)
        step = max(1, PART // self.inputs)
        if step >= self.outputs:
            return F.linear(x, self.decode(x.dtype), bias)
        y = x.new_empty(*x.shape[:-1], self.outputs)
        for start in range(0, self.outputs, step):
            part = self.decode(x.dtype, start, min(start + step, self.outputs))
            y[..., start : start + len(part)] = F.linear(x, part)
        return y if bias is None else y.add_(bias)

    def decode(self, dtype: torch.dtype, start: int = 0, stop: int | None = None) -> Tensor:
        """The weight's numbers, [O, I] or some of its outputs."""
        packed, scales, zeros = self.tensors
        count = (self.outputs if stop is None else stop) - start
        out = torch.empty(count, self.inputs, dtype=dtype, device=packed.device)
        _decode(packed, scales, zeros, None, self.size, start * self.inputs, out)
        return out


def _decode(packed: Tensor, scales: Tensor, zeros: Tensor | None, table: Tensor | None, size: int,
            start: int, out: Tensor) -> None:
    """Numbers [start, start + N) of the weight, row by row, into out."""
    count = out.numel()  # multiplied and added apart, so that bits are those of a CPU
    with torch.cuda.device_of(out):  # type: ignore[no-untyped-call]
        _programs().decode[(-(-count // (2 * PAIRS)),)](
            packed.view(torch.uint8), scales, zeros, table, out, start, count, size,
            TABLE=table is not None, ZEROS=zeros is not None, PAIRS=PAIRS, enable_fp_fusion=False)


def _product(x: Tensor, packed: Tensor, scales: Tensor | Nested, zeros: Tensor | None,
             table: Tensor | None, outputs: int, size: int, bias: Tensor | None) -> Tensor:
    x, inputs = x.contiguous(), x.shape[-1]
    y, rows = x.new_empty(*x.shape[:-1], outputs), x.numel() // inputs
    nested = isinstance(scales, Nested)
    held, steps, outer, nest, offset = (
        (scales.indices, scales.map, scales.outer, scales.group, scales.offset)
        if isinstance(scales, Nested) else (scales, None, None, 1, 0.0))
    run = min(size & -size, 64)  # the largest power of two in it, up to 64
    given = (x, packed.view(torch.uint8), held, zeros, table, steps, outer, bias, y, nest, offset,
             outputs, inputs, size, rows)
    flags: dict[str, Any] = {"TABLE": table is not None, "ZEROS": zeros is not None,
                             "NESTED": nested, "BIAS": bias is not None}
    with torch.cuda.device_of(x):  # type: ignore[no-untyped-call]
        _programs().product[(-(-outputs // OUTPUTS),)](
            *given, **flags, RUN=run, RUNS=2 * BYTES // run, OUTPUTS=OUTPUTS,
            ROWS=1 << (rows - 1).bit_length(), enable_fp_fusion=True)
    return y


@cache
def _table(values: tuple[float, ...], device: torch.device) -> Tensor:
    return torch.tensor(values, device=device)


def _programs() -> Any:
    """The Triton programs: imported when the first runs."""
    from enfold.nn.cuda import programs

    return programs
