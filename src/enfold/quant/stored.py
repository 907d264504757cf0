"""Weights in 8 bits with scales over the whole tensor, outputs, groups of inputs, or blocks.

    weight[o, i] = (q[o, i] - zero) * scale          q int8, or a float8 without zeros

O out, I in
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from enfold.errors import ConfigError
from enfold.nn.native.groups import Parts

INT8 = 127


@dataclass(frozen=True, slots=True)
class Stored:
    """Over what a scale goes: `over` is "tensor", "channel", "group" (of `size` inputs) or "block"
    (`size` outputs x `inputs` inputs).
    """

    over: str = "channel"
    size: int = -1
    inputs: int = -1
    symmetric: bool = True

    def scale_shape(self, outputs: int, inputs: int) -> tuple[int, ...]:
        """The shape of the scales."""
        if self.over == "tensor":
            return (1,)
        if self.over == "channel":
            return (outputs, 1)
        if self.over == "group":
            return (outputs, -(-inputs // self.size))
        return (-(-outputs // self.size), -(-inputs // self.inputs))

    def check(self, inputs: int, path: str) -> None:
        """Raise where groups don't divide the inputs."""
        if self.over == "group" and inputs % self.size:
            raise ConfigError(f"{path}: group_size is {self.size}, expected a divisor of its "
                              f"{inputs} inputs. Do: use strategy 'channel', or leave this layer "
                              "out")

    def spread(self, scale: Tensor, outputs: int, inputs: int) -> Tensor:
        """Scales such that they broadcast over the weight [O, I]."""
        if self.over in ("tensor", "channel"):
            return scale.reshape(self.scale_shape(outputs, inputs))
        if self.over == "block":
            scale = scale.repeat_interleave(self.size, 0)[:outputs]
        wide = self.inputs if self.over == "block" else self.size
        return scale.repeat_interleave(wide, 1)[:, :inputs]

    def matrix(self, scale: Tensor, outputs: int, inputs: int) -> Tensor | None:
        """Scales by output and group [O, G], None where blocks don't divide the inputs."""
        if self.over == "block":
            if inputs % self.inputs:
                return None
            return scale.repeat_interleave(self.size, 0)[:outputs].contiguous()
        if self.over == "tensor":
            return scale.reshape(1, 1).expand(outputs, 1).contiguous()
        return scale.contiguous()

    def parts(self, q: Tensor, scale: Tensor, zero: Tensor | None, form: str) -> Parts | None:
        """A weight [O, I] as the kernels take it, None where they can't."""
        outputs, inputs = q.shape
        scales = self.matrix(scale, outputs, inputs)
        zeros = None
        if zero is not None:
            shifted = (zero.to(torch.int16) + 128).to(torch.uint8)
            zeros = self.matrix(shifted, outputs, inputs)
        return None if scales is None else (8, inputs, q, scales, zeros, form)

    def extremes(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(smallest, largest) of what each scale covers, and zero, in the scales' shape."""
        outputs, inputs = weight.shape
        shape = self.scale_shape(outputs, inputs)
        if self.over == "tensor":
            parts, axes = weight.reshape(1, -1), (1,)
        elif self.over == "block":
            pad = (0, shape[1] * self.inputs - inputs, 0, shape[0] * self.size - outputs)
            full = torch.nn.functional.pad(weight, pad)
            parts = full.view(shape[0], self.size, shape[1], self.inputs)
            axes = (1, 3)  # type: ignore[assignment]
        else:
            parts, axes = weight.reshape(*shape, -1), (2,)
        low, high = parts.float().amin(axes).clamp(max=0), parts.float().amax(axes).clamp(min=0)
        return low.view(shape), high.view(shape)

    # ---- int8 ------------------------------------------------------------------------------------
    def to_int8(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """(q, scale in the weight's type, zero or None)."""
        low, high = self.extremes(weight)
        if self.symmetric:
            scale, zero = torch.maximum(-low, high) / INT8, None
        else:
            scale = (high - low) / 255
        scale = torch.where(scale == 0, 1.0, scale).to(weight.dtype)
        scale = torch.where(scale == 0, torch.finfo(scale.dtype).tiny, scale)
        if not self.symmetric:
            zero = (-128 - low / scale.float()).round().clamp(-128, 127).to(torch.int8)
        wide = self.spread(scale.float(), *weight.shape)
        q = (weight.float() / wide).round_()
        if zero is not None:
            q += self.spread(zero, *weight.shape)
        return q.clamp_(-INT8 if zero is None else -128, 127).to(torch.int8), scale, zero

    def from_int8(self, q: Tensor, scale: Tensor, zero: Tensor | None) -> Tensor:
        """The weight in fp32."""
        found = q.float()
        if zero is not None:
            found -= self.spread(zero, *q.shape)
        return found.mul_(self.spread(scale.float(), *q.shape))

    # ---- float8 ----------------------------------------------------------------------------------
    def to_float8(self, weight: Tensor, dtype: torch.dtype,
                  scale_dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
        """(q, scale): the largest of each part becomes the largest number of the type."""
        low, high = self.extremes(weight)
        top = torch.finfo(dtype).max
        scale = (torch.maximum(-low, high) / top).clamp_min(1e-12).to(scale_dtype or weight.dtype)
        scale = torch.where(scale == 0, torch.finfo(scale.dtype).tiny, scale)
        q = weight.float() / self.spread(scale.float(), *weight.shape)
        return q.clamp_(-top, top).to(dtype), scale

    def from_float8(self, q: Tensor, scale: Tensor) -> Tensor:
        """The weight in fp32."""
        return q.float().mul_(self.spread(scale.float(), *q.shape))

    def describe(self) -> str:
        """In a few words."""
        kinds = {"tensor": "one scale", "channel": "scales by rows",
                 "group": f"groups of {self.size}", "block": f"blocks of {self.size}x{self.inputs}"}
        return kinds[self.over] + ("" if self.symmetric else ", with zeros")
