"""Linear layers over groups of integers, in the formats of `layouts`.

Whatever the file's layout, the layer holds rows of packed values, so that one kernel serves all:
tensors are turned as they are read, and turned back, bit for bit, as they are saved.  Inputs that
GPTQ sorted by activation are stored in the order of their groups.

O out, I in, G groups
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from enfold.nn.native.groups import Parts
from enfold.quant import layouts
from enfold.quant.bits import pack
from enfold.quant.groups import Groups, check_group_size, encode, quantize, ranges
from enfold.quant.layouts import Leaves, Shapes
from enfold.quant.viewed import Viewed

FLOATS = (torch.float16, torch.bfloat16, torch.float32)


@dataclass(frozen=True, slots=True)
class Scheme:
    """What a configuration says of a layer.  group_size -1 is one group for all inputs; version is
    the file's layout where a method has several (GPTQ's zeros 1 or 2, AWQ's "gemm" or "gemv").
    """

    bits: int = 4
    group_size: int = 128
    symmetric: bool = True
    ordered: bool = False
    version: int | str = 1


class GroupLinear(Viewed):
    """A weight in groups.  `path`: the layer's name in messages."""

    packed: Tensor
    scales: Tensor
    zeros: Tensor | None
    group: Tensor | None  # the group of each input, of files that have sorted them
    order: Tensor | None  # the inputs in the order of storage, where that is not their own

    def __init__(self, linear: nn.Linear, scheme: Scheme, path: str,
                 held: Collection[str] = ()) -> None:
        super().__init__(linear)
        check_group_size(scheme.group_size, self.in_features, path)
        self.lent = self.bias is None and "bias" in held  # AutoGPTQ gave every layer a bias
        if self.lent:
            self.bias = nn.Parameter(torch.empty(self.out_features, device="meta"))
        self.scheme, self.path = scheme, path
        for name in ("packed", "scales", "zeros", "group", "order"):
            self.register_buffer(name, None)

    # ---- a layout defines ------------------------------------------------------------------------
    def shapes(self) -> Shapes:
        """Leaf -> (shape, type) of a file."""
        raise NotImplementedError

    def read(self, tensors: Mapping[str, Tensor]) -> Groups:
        """Groups of a file's tensors, checked."""
        raise NotImplementedError

    def written(self, groups: Groups) -> Leaves:
        """A file's tensors."""
        raise NotImplementedError

    # ---- the base's contract ---------------------------------------------------------------------
    def take(self, tensors: Mapping[str, Tensor]) -> None:
        layouts.check(tensors, self.shapes(), self.path, self.optional)
        self.hold(self.read(tensors))

    optional: ClassVar[tuple[str, ...]] = ()

    def wants(self, held: Collection[str]) -> Collection[str]:
        return [leaf for leaf in self.shapes() if leaf not in self.optional]

    def tensors(self) -> Leaves:
        return self.written(self.groups())

    def requantize(self, weight: Tensor) -> None:
        """Round to the nearest, in the groups that the layer has, or in runs if it has none."""
        scheme, group = self.scheme, self.group
        dtype = weight.dtype if weight.dtype in FLOATS else torch.float32
        if group is None:
            self.hold(quantize(weight, scheme.bits, scheme.group_size, scheme.symmetric, dtype))
            return
        order = torch.argsort(group, stable=True)
        scales, zeros = ranges(weight[:, order], scheme.bits, scheme.group_size, scheme.symmetric,
                               dtype)
        self.hold(encode(weight, scheme.bits, scales, zeros, scheme.symmetric, group))

    def dequantize(self, dtype: torch.dtype | None = None) -> Tensor:
        dtype = dtype or self.scales.dtype
        native = self.native(dtype)
        weight = native.decode(dtype) if native else self._stored().dequantize(dtype)
        return weight if self.order is None else weight[:, torch.argsort(self.order)]

    def plain(self, dtype: torch.dtype | None = None) -> nn.Linear:
        found = super().plain(dtype)
        if self.lent and not found.bias.any():  # the architecture has none, nor would a file of it
            found.bias = None  # type: ignore[assignment]
        return found

    def arranged(self, x: Tensor) -> Tensor:
        return x if self.order is None else x[..., self.order]

    def held(self) -> tuple[Tensor | None, ...]:
        return self.packed, self.scales, self.zeros

    def parts(self) -> Parts | None:
        if self.group is not None and self.order is None:  # groups are no runs
            return None
        return (self.scheme.bits, self.in_features, self.packed, self.scales, self.zeros,
                "unsigned")

    def describe(self) -> str:
        scheme = self.scheme
        size = f"groups of {scheme.group_size}" if scheme.group_size > 0 else "by rows"
        kind = "" if scheme.symmetric else ", with zeros"
        return (f"{self.method}, {scheme.bits} bits, {size}{kind}"
                + (", inputs ordered" if self.group is not None else ""))

    # ---- groups ----------------------------------------------------------------------------------
    def hold(self, groups: Groups) -> None:
        """Store groups; sorted inputs are put where their groups are runs."""
        group, order = groups.group, None
        if group is not None and _is_sortable(group, groups.scales.shape[1]):
            order = torch.argsort(group, stable=True).int()
            values = groups.values()[:, order]
            groups = Groups(groups.bits, groups.inputs, pack(values, groups.bits), groups.scales,
                            groups.zeros)
        self.packed, self.scales, self.zeros = groups.packed, groups.scales, groups.zeros
        self.group, self.order = group, order

    def groups(self) -> Groups:
        """The weight as groups, inputs in their own order."""
        held = self._stored()
        if self.order is not None:
            values = held.values()[:, torch.argsort(self.order)]
            held = Groups(held.bits, held.inputs, pack(values, held.bits), held.scales, held.zeros,
                          self.group)
        return held

    def _stored(self) -> Groups:
        return Groups(self.scheme.bits, self.in_features, self.packed, self.scales, self.zeros,
                      self.group if self.order is None else None)


def _is_sortable(group: Tensor, count: int) -> bool:
    """Whether every group has the same number of inputs."""
    sizes = torch.bincount(group.long(), minlength=count)
    return bool((sizes == sizes[0]).all())


class PackedLinear(GroupLinear):
    """compressed-tensors' pack-quantized layout, which is also how our own int4 is saved."""

    method = "int4"
    reads = ("weight", "weight_packed", "weight_scale", "weight_shape", "weight_zero_point",
             "weight_g_idx")

    def __init__(self, linear: nn.Linear, scheme: Scheme, path: str,
                 held: Collection[str] = ()) -> None:
        super().__init__(linear, scheme, path, held)
        self.method = f"int{scheme.bits}"

    def shapes(self) -> Shapes:
        scheme = self.scheme
        return layouts.packed_shapes(self.out_features, self.in_features, scheme.bits,
                                     scheme.group_size, scheme.symmetric, scheme.ordered)

    def read(self, tensors: Mapping[str, Tensor]) -> Groups:
        return layouts.from_packed(tensors, self.scheme.bits, self.in_features)

    def written(self, groups: Groups) -> Leaves:
        return layouts.to_packed(groups)


class GPTQLinear(GroupLinear):
    """GPTQ's layout; version 1 stores zeros less one."""

    method = "gptq"
    reads = ("weight", "qweight", "qzeros", "scales", "g_idx")
    optional = ("g_idx",)

    def shapes(self) -> Shapes:
        return layouts.gptq_shapes(self.out_features, self.in_features, self.scheme.bits,
                                   self.scheme.group_size)

    def read(self, tensors: Mapping[str, Tensor]) -> Groups:
        return layouts.from_gptq(tensors, self.scheme.bits, self.scheme.group_size,
                                 version=self._zeros_version())

    def written(self, groups: Groups) -> Leaves:
        return layouts.to_gptq(groups, self.scheme.group_size, version=self._zeros_version())

    def _zeros_version(self) -> int:
        return int(self.scheme.version)


class AwqLinear(GroupLinear):
    """AWQ's layouts, by version: "gemm" (outputs interleaved) or "gemv" (along the inputs)."""

    method = "awq"
    reads = ("weight", "qweight", "qzeros", "scales")

    def shapes(self) -> Shapes:
        find: Callable[[int, int, int], Shapes] = (
            layouts.gemv_shapes if self.scheme.version == "gemv" else layouts.awq_shapes)
        return find(self.out_features, self.in_features, self.scheme.group_size)

    def read(self, tensors: Mapping[str, Tensor]) -> Groups:
        if self.scheme.version == "gemv":
            return layouts.from_gemv(tensors, self.scheme.group_size)
        return layouts.from_awq(tensors)

    def written(self, groups: Groups) -> Leaves:
        if self.scheme.version == "gemv":
            return layouts.to_gemv(groups, self.scheme.group_size)
        return layouts.to_awq(groups)
