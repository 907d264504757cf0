"""Weights of 4 or 8 bits in groups of inputs, natively: products, and the weight's numbers.

Few rows are multiplied as bytes: inputs are rounded to int8 in blocks of 32 with a scale each.
Many rows go through the weight's numbers, in the inputs' type.

M rows, I in, O out, G groups
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from enfold.nn.native.library import I64, INT, P, declare, known
from enfold.nn.native.linear import observed

KINDS = {torch.float32: 0, torch.bfloat16: 1, torch.float16: 2}
NAMES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}
FORMS = ("unsigned", "signed", "e4m3", "e5m2")
BLOCK = 32
FEW = 8  # rows up to which products of bytes are faster


Parts = tuple[int, int, Tensor, Tensor, Tensor | None, str]  # what a GroupWeight is made of


class _Groups(ctypes.Structure):
    """`Groups` of native/groups.h."""

    _fields_ = (("q", P), ("scales", P), ("zeros", P), ("outputs", I64), ("inputs", I64),
                ("groups", I64), ("row", I64), ("bits", ctypes.c_int32), ("kind", ctypes.c_int32),
                ("form", ctypes.c_int32))


_linear = {dtype: declare(f"enfold_groups_{name}", P, P, P, INT, P, P, I64, I64, INT)
           for dtype, name in NAMES.items()}
_decode = declare("enfold_groups_decode", P, P, INT, INT)
_quantize = declare("enfold_groups_quantize", P, INT, I64, I64, I64, INT, P, I64, P, P, INT)


def quantize(weight: Tensor, bits: int, size: int, symmetric: bool
             ) -> tuple[Tensor, Tensor, Tensor | None] | None:
    """(packed, scales of the weight's type, zeros) of a weight [O, I] in groups of `size` inputs,
    each between its extremes; None where there is no kernel.
    """
    call = _quantize()
    outputs, inputs = weight.shape
    if (call is None or bits not in (4, 8) or weight.dtype not in KINDS or inputs % size
            or weight.device.type != "cpu" or torch.compiler.is_compiling() or observed()):
        return None
    weight = weight.detach().contiguous()
    words, groups = -(-inputs * bits // 32), inputs // size
    packed = torch.empty(outputs, words, dtype=torch.int32)
    scales = torch.empty(outputs, groups, dtype=weight.dtype)
    zeros = None if symmetric else torch.empty(outputs, groups, dtype=torch.uint8)
    call(weight.data_ptr(), KINDS[weight.dtype], outputs, inputs, size, bits, packed.data_ptr(),
         words * 4, scales.data_ptr(), None if zeros is None else zeros.data_ptr(),
         torch.get_num_threads())
    return packed, scales, zeros


class GroupWeight:
    """A weight [O, I] as the kernels take it.

    packed: rows of values of `bits` bits, int32 [O, W], or with 8 bits [O, I]; scales [O, G] fp32,
    bf16 or fp16; zeros uint8 [O, G], None for symmetric ones.  form: what bytes mean, see FORMS; of
    "signed" ones zeros are 128 more than they are, of floats there are none.  The tensors are held
    and have to stay as they are.
    """

    def __init__(self, bits: int, inputs: int, packed: Tensor, scales: Tensor,
                 zeros: Tensor | None, form: str = "unsigned") -> None:
        self.tensors = packed, scales, zeros
        self.outputs, self.inputs = packed.shape[0], inputs
        size = inputs // scales.shape[1]
        blocks = torch.arange(-(-inputs // BLOCK), dtype=torch.int32)
        self.group = blocks * BLOCK // size
        run = size // BLOCK
        self.run = run if run in (1, 2, 4, 8) or (run and run % 16 == 0) else 0
        self.struct = _Groups(packed.data_ptr(), scales.data_ptr(),
                              None if zeros is None else zeros.data_ptr(), self.outputs, inputs,
                              scales.shape[1], packed.shape[1] * packed.element_size(), bits,
                              KINDS[scales.dtype], FORMS.index(form))
        self.at = ctypes.addressof(self.struct)

    @staticmethod
    def fits(bits: int, inputs: int, packed: Tensor, scales: Tensor, zeros: Tensor | None,
             form: str = "unsigned") -> bool:
        """Whether there is a kernel: 4 or 8 bits on a CPU, groups of whole blocks."""
        held = (packed, scales) if zeros is None else (packed, scales, zeros)
        groups = scales.shape[1]
        ready = known() if torch.compiler.is_compiling() else _decode() is not None
        return (ready and bits in (4, 8) and scales.dtype in KINDS
                and all(t.device.type == "cpu" and t.is_contiguous() for t in held)
                and inputs % 2 == 0 and inputs % groups == 0 and form in FORMS
                and (groups == 1 or inputs // groups % BLOCK == 0))

    def linear(self, x: Tensor, bias: Tensor | None, few: int = FEW) -> Tensor:
        """x [.., I] times the weight, plus bias [O] of x's type; up to `few` rows as bytes."""
        call: Any = _linear[x.dtype]()
        x = x.contiguous()
        y = x.new_empty(*x.shape[:-1], self.outputs)
        call(self.at, x.data_ptr(), self.group.data_ptr(), self.run,
             None if bias is None else bias.data_ptr(), y.data_ptr(), x.numel() // self.inputs, few,
             torch.get_num_threads())
        return y

    def decode(self, dtype: torch.dtype) -> Tensor:
        """The weight's numbers [O, I]."""
        found = torch.empty(self.outputs, self.inputs, dtype=dtype)
        call: Any = _decode()
        call(self.at, found.data_ptr(), KINDS[dtype], torch.get_num_threads())
        return found
