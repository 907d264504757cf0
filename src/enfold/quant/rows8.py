"""Eight bits by rows, with the large inputs left out: LLM.int8.   https://arxiv.org/abs/2208.07339

A row of the weight is its largest magnitude / 127 times int8 numbers; so is a row of the input,
after numbers of at least `threshold` were taken out.  Products are exact whole numbers, scaled at
the end; the columns that were taken out are multiplied in full and added.

M rows, I in, O out
"""

from __future__ import annotations

import torch
from torch import Tensor

from enfold.errors import InputError
from enfold.nn.native.int8 import integer_product

LARGEST = 127.0
UNIT = 7.874015718698502e-3  # 1 / 127, as bitsandbytes rounds it
UNIT_SQUARED = 6.200124e-05
CHUNK = 2**20  # numbers at a time


def quantize(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(int8 [O, I], largest magnitudes fp32 [O]) of a weight, which is rounded to fp16 first.

    Raises `InputError` for what is not finite in fp16.
    """
    rows, scales = torch.empty(weight.shape, dtype=torch.int8, device=weight.device), torch.empty(
        len(weight), device=weight.device)
    step = max(1, CHUNK // max(weight.shape[1], 1))
    for start in range(0, len(weight), step):
        part = weight.detach()[start : start + step].half()
        rows[start : start + step], scales[start : start + step] = _rows(part)
    if not torch.isfinite(scales).all():
        raise InputError("a weight with inf or nan, or above 65,504, can't be quantized to 8 bits. "
                         "Do: look for the cause in its checkpoint")
    return rows, scales


def _rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """int8 numbers and the largest magnitudes, fp32 [M], of x [M, I], fp16."""
    scales = x.abs().amax(1).float()
    return torch.round(x * (LARGEST / scales[:, None])).nan_to_num(0.0).to(torch.int8), scales


def dequantize(rows: Tensor, scales: Tensor, dtype: torch.dtype) -> Tensor:
    """The weight [O, I]."""
    return (rows * scales[:, None] * UNIT).to(dtype)


def multiply(x: Tensor, rows: Tensor, scales: Tensor, bias: Tensor | None,
             threshold: float) -> Tensor:
    """x [M, I] times the weight, plus bias, in x's type."""
    given, columns = x.half(), None
    if threshold > 0.0:
        large = given.abs() >= threshold
        columns = large.any(0).nonzero().view(-1)
        given = given.masked_fill(large, 0.0)
    numbers, largest = _rows(given)
    if columns is not None and len(columns):
        numbers[:, columns] = 0
    y = integer_product(numbers, rows) * (largest[:, None] * scales) * UNIT_SQUARED
    if bias is not None:
        y += bias
    y = y.to(x.dtype)
    if columns is None or not len(columns):
        return y
    return y.addmm_(x[:, columns], dequantize(rows[:, columns], scales, x.dtype).t())
