"""Integers with a scale and a zero for every group of inputs: what int4, GPTQ, AWQ and
compressed-tensors have in common.

    weight[o, i] = (q[o, i] - zero[o, g]) * scale[o, g]        g = i // group_size, or group[i]

q and zero are unsigned, 0 .. 2^bits - 1; a symmetric quantization has 2^(bits-1) for every zero.

O out, I in, G groups
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from enfold.errors import ConfigError
from enfold.nn.native import groups as native
from enfold.quant.bits import pack, unpack


@dataclass(slots=True)
class Groups:
    """A weight [O, I] in groups: `packed` int32 [O, W] (see `bits`), `scales` [O, G], `zeros` uint8
    [O, G] or None for symmetric ones, `group` int32 [I] where groups are not runs of inputs.
    """

    bits: int
    inputs: int
    packed: Tensor
    scales: Tensor
    zeros: Tensor | None = None
    group: Tensor | None = None

    def values(self) -> Tensor:
        """q: uint8 [O, I]."""
        return unpack(self.packed, self.bits, self.inputs)

    def rows(self, start: int, stop: int) -> Groups:
        """Some outputs of it, sharing memory."""
        return Groups(self.bits, self.inputs, self.packed[start:stop], self.scales[start:stop],
                      None if self.zeros is None else self.zeros[start:stop], self.group)

    def dequantize(self, dtype: torch.dtype) -> Tensor:
        """The weight [O, I], rounded once: products of fp16 scales are exact in fp32."""
        return dequantize(self.values(), self.scales, self.zeros, self.bits, self.group).to(dtype)


def group_count(inputs: int, group_size: int) -> int:
    """How many groups `inputs` make; -1 is one group for all."""
    return 1 if group_size == -1 else -(-inputs // group_size)


def check_group_size(group_size: int, inputs: int, name: str) -> None:
    """Raise where groups don't divide the inputs."""
    if group_size == -1 or (group_size > 0 and inputs % group_size == 0):
        return
    fitting = [size for size in (128, 64, 32, 16, 8) if inputs % size == 0]
    raise ConfigError(f"{name}: group_size is {group_size}, expected -1 (one group) or a divisor "
                      f"of its {inputs} inputs. Do: use {', '.join(map(str, [*fitting, -1]))}, or "
                      "leave this layer out (modules_to_not_convert)")


def quantize(weight: Tensor, bits: int, group_size: int, symmetric: bool,
             scale_dtype: torch.dtype = torch.float32) -> Groups:
    """A weight [O, I] rounded to the nearest, each group between its extremes."""
    inputs = weight.shape[1]
    if scale_dtype == weight.dtype:
        held = native.quantize(weight, bits, group_size if group_size > 0 else inputs, symmetric)
        if held is not None:
            return Groups(bits, inputs, *held)
    scales, zeros = ranges(weight, bits, group_size, symmetric, scale_dtype)
    return encode(weight, bits, scales, zeros, symmetric)


def ranges(weight: Tensor, bits: int, group_size: int, symmetric: bool,
           scale_dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """(scales [O, G], zeros uint8 [O, G]) that hold the extremes of each group, and zero."""
    outputs, inputs = weight.shape
    grouped = weight.float().reshape(outputs, group_count(inputs, group_size), -1)
    low, high = grouped.amin(-1).clamp(max=0), grouped.amax(-1).clamp(min=0)
    if symmetric:
        high = torch.maximum(-low, high)
        low = -high
    top = 2**bits - 1
    scales = ((high - low) / top).to(scale_dtype)
    scales = torch.where(scales == 0, torch.ones_like(scales), scales)
    if symmetric:
        return scales, torch.full_like(scales, 2 ** (bits - 1), dtype=torch.uint8)
    return scales, (-low / scales.float()).round().clamp(0, top).to(torch.uint8)


def encode(weight: Tensor, bits: int, scales: Tensor, zeros: Tensor, symmetric: bool,
           group: Tensor | None = None) -> Groups:
    """A weight in given ranges."""
    values = round_to(weight, bits, spread(scales, weight.shape[1], group),
                      spread(zeros, weight.shape[1], group))
    return Groups(bits, weight.shape[1], pack(values, bits), scales, None if symmetric else zeros,
                  group)


def round_to(weight: Tensor, bits: int, scale: Tensor, zero: Tensor) -> Tensor:
    """q for scales and zeros that broadcast over the weight."""
    q = (weight.float() / scale.float()).round_().add_(zero.float())
    return q.clamp_(0, 2**bits - 1).to(torch.uint8)


def dequantize(values: Tensor, scales: Tensor, zeros: Tensor | None, bits: int,
               group: Tensor | None = None) -> Tensor:
    """q [O, I] -> fp32 [O, I]."""
    inputs = values.shape[1]
    zero = 2.0 ** (bits - 1) if zeros is None else spread(zeros.float(), inputs, group)
    return (values.float() - zero) * spread(scales.float(), inputs, group)


def spread(per_group: Tensor, inputs: int, group: Tensor | None) -> Tensor:
    """[O, G] -> [O, I]: the entry of each input."""
    if group is not None:
        return per_group[:, group.long()]
    size = -(-inputs // per_group.shape[1])
    return per_group.repeat_interleave(size, 1)[:, :inputs]
