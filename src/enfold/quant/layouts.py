"""Groups as checkpoints store them: tensors by leaf name -> Groups, and back bit for bit.

    gptq    qweight int32 [I*b/32, O]  qzeros int32 [G, O*b/32]  scales [G, O]  g_idx int32 [I]
            values packed along the inputs, zeros along the outputs; v1 stores zeros less one
    awq     qweight int32 [I, O/8]     qzeros int32 [G, O/8]     scales [G, O]
            4 bits, packed along the outputs, eight in the order 0 2 4 6 1 3 5 7
    gemv    qweight int32 [O, I/8]     qzeros int32 [O, Z]       scales [O, 8 Z]
            AWQ's other one: along the inputs, zeros and scales padded
    packed  weight_packed int32 [O, W] weight_scale [O, G]       weight_shape int64 [2]
            weight_zero_point int32 [O*b/32, G] unless symmetric, weight_g_idx int32 [I] or none
            compressed-tensors' pack-quantized, whose rows are ours

GPTQ: Frantar et al. 2022 and AutoGPTQ's files; AWQ: Lin et al. 2023 and AutoAWQ's.

O out, I in, G groups, b bits
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from enfold.errors import CheckpointError
from enfold.quant.bits import pack, unpack, words
from enfold.quant.groups import Groups, group_count

Leaves = dict[str, Tensor]
Shapes = dict[str, tuple[tuple[int, ...], torch.dtype | None]]
INTERLEAVED = (0, 2, 4, 6, 1, 3, 5, 7)  # AWQ: the output at each place of a word


def run_group(inputs: int, group_size: int) -> Tensor:
    """The group of each input where groups are runs: int32 [I]."""
    size = inputs if group_size == -1 else group_size
    return torch.arange(inputs, dtype=torch.int32) // size


# ---- GPTQ ----------------------------------------------------------------------------------------
def gptq_shapes(outputs: int, inputs: int, bits: int, group_size: int) -> Shapes:
    """Leaf -> (shape, dtype, None for any float)."""
    groups = group_count(inputs, group_size)
    return {"qweight": ((words(inputs, bits), outputs), torch.int32),
            "qzeros": ((groups, words(outputs, bits)), torch.int32),
            "scales": ((groups, outputs), None), "g_idx": ((inputs,), torch.int32)}


def from_gptq(leaves: Mapping[str, Tensor], bits: int, group_size: int, *, version: int) -> Groups:
    """Groups of GPTQ's tensors; `version` 1 or 2."""
    scales = leaves["scales"].t().contiguous()
    zeros = unpack(leaves["qzeros"], bits, scales.shape[0])
    if version == 1:  # a zero of 0 is stored as all ones
        zeros = (zeros + 1) & (2**bits - 1)
    group = leaves.get("g_idx")
    inputs = group.shape[0] if group is not None else leaves["qweight"].shape[0] * 32 // bits
    if group is not None and (
            int(group.min()) < 0 or int(group.max()) >= scales.shape[1]):
        raise CheckpointError(f"g_idx of a GPTQ layer is {int(group.min())} to {int(group.max())}, "
                              f"expected 0 to {scales.shape[1] - 1}, its groups. Do: download or "
                              "quantize the checkpoint again")
    if group is not None and torch.equal(group, run_group(inputs, group_size).to(group)):
        group = None
    return Groups(bits, inputs, leaves["qweight"].t().contiguous(), scales,
                  zeros.t().contiguous(), group)


def to_gptq(held: Groups, group_size: int, *, version: int) -> Leaves:
    """GPTQ's tensors."""
    zeros = _zeros(held).t()
    if version == 1:
        zeros = (zeros - 1) & (2**held.bits - 1)
    group = run_group(held.inputs, group_size) if held.group is None else held.group
    return {"qweight": held.packed.t(), "qzeros": pack(zeros, held.bits),
            "scales": held.scales.t().contiguous(), "g_idx": group.to(held.packed.device)}


# ---- AWQ -----------------------------------------------------------------------------------------
def awq_shapes(outputs: int, inputs: int, group_size: int) -> Shapes:
    """Leaf -> (shape, dtype)."""
    groups = group_count(inputs, group_size)
    return {"qweight": ((inputs, words(outputs, 4)), torch.int32),
            "qzeros": ((groups, words(outputs, 4)), torch.int32),
            "scales": ((groups, outputs), None)}


def from_awq(leaves: Mapping[str, Tensor]) -> Groups:
    """Groups of AWQ's tensors (version "gemm")."""
    outputs = leaves["scales"].shape[1]
    values = _deinterleave(unpack(leaves["qweight"], 4, outputs)).t()
    zeros = _deinterleave(unpack(leaves["qzeros"], 4, outputs)).t()
    return Groups(4, values.shape[1], pack(values, 4), leaves["scales"].t().contiguous(),
                  zeros.contiguous())


def to_awq(held: Groups) -> Leaves:
    """AWQ's tensors (version "gemm")."""
    return {"qweight": pack(_interleave(held.values().t()), 4),
            "qzeros": pack(_interleave(_zeros(held).t()), 4),
            "scales": held.scales.t().contiguous()}


def _interleave(values: Tensor) -> Tensor:
    """[R, N]: put the outputs of each eight in AWQ's order."""
    return values.reshape(values.shape[0], -1, 8)[..., list(INTERLEAVED)].reshape(values.shape)


def _deinterleave(values: Tensor) -> Tensor:
    places = [INTERLEAVED.index(output) for output in range(8)]
    return values.reshape(values.shape[0], -1, 8)[..., places].reshape(values.shape)


def gemv_width(inputs: int, group_size: int) -> int:
    """Z: words of zeros in a row of AWQ's "gemv" tensors, as AutoAWQ rounds it."""
    groups, multiple = group_count(inputs, group_size), max(128 // max(group_size, 1), 1)
    width = -(-(inputs // group_size if group_size > 0 else groups) // 8)
    return -(-width // multiple) * multiple


def gemv_shapes(outputs: int, inputs: int, group_size: int) -> Shapes:
    """Leaf -> (shape, dtype)."""
    width = gemv_width(inputs, group_size)
    return {"qweight": ((outputs, words(inputs, 4)), torch.int32),
            "qzeros": ((outputs, width), torch.int32), "scales": ((outputs, 8 * width), None)}


def from_gemv(leaves: Mapping[str, Tensor], group_size: int) -> Groups:
    """Groups of AWQ's tensors (version "gemv")."""
    inputs = leaves["qweight"].shape[1] * 8
    count, width = group_count(inputs, group_size), leaves["qzeros"].shape[1]
    zeros = unpack(leaves["qzeros"], 4, 8 * width)[:, :count]
    return Groups(4, inputs, leaves["qweight"], leaves["scales"][:, :count].contiguous(),
                  zeros.contiguous())


def to_gemv(held: Groups, group_size: int) -> Leaves:
    """AWQ's tensors (version "gemv"), padded with zeros."""
    width = gemv_width(held.inputs, group_size)
    scales = held.scales.new_zeros(held.scales.shape[0], 8 * width)
    scales[:, : held.scales.shape[1]] = held.scales
    zeros = scales.new_zeros(scales.shape, dtype=torch.uint8)
    zeros[:, : held.scales.shape[1]] = _zeros(held)
    return {"qweight": held.packed, "qzeros": pack(zeros, 4), "scales": scales}


# ---- compressed-tensors --------------------------------------------------------------------------
def packed_shapes(outputs: int, inputs: int, bits: int, group_size: int, symmetric: bool,
                  ordered: bool = False) -> Shapes:
    """Leaf -> (shape, dtype)."""
    groups = group_count(inputs, group_size)
    found: Shapes = {"weight_packed": ((outputs, words(inputs, bits)), torch.int32),
                     "weight_scale": ((outputs, groups), None),
                     "weight_shape": ((2,), torch.int64)}
    if not symmetric:
        found["weight_zero_point"] = ((words(outputs, bits), groups), torch.int32)
    if ordered:
        found["weight_g_idx"] = ((inputs,), torch.int32)
    return found


def from_packed(leaves: Mapping[str, Tensor], bits: int, inputs: int) -> Groups:
    """Groups of compressed-tensors' tensors."""
    scales, zeros = leaves["weight_scale"], leaves.get("weight_zero_point")
    if zeros is not None:
        zeros = unpack(zeros.t(), bits, scales.shape[0]).t().contiguous()
    return Groups(bits, inputs, leaves["weight_packed"].contiguous(), scales, zeros,
                  leaves.get("weight_g_idx"))


def to_packed(held: Groups) -> Leaves:
    """compressed-tensors' tensors."""
    leaves = {"weight_packed": held.packed, "weight_scale": held.scales,
              "weight_shape": torch.tensor([held.packed.shape[0], held.inputs])}
    if held.zeros is not None:
        leaves["weight_zero_point"] = pack(held.zeros.t(), held.bits).t().contiguous()
    if held.group is not None:
        leaves["weight_g_idx"] = held.group
    return leaves


# ---- checks --------------------------------------------------------------------------------------
def check(leaves: Mapping[str, Tensor], shapes: Shapes, name: str, optional: tuple[str, ...] = ()
          ) -> None:
    """Raise for tensors that are missing, or not of the shape and type the format has."""
    missing = [leaf for leaf in shapes if leaf not in leaves and leaf not in optional]
    if missing:
        held = ", ".join(repr(f"{name}.{leaf}") for leaf in leaves) or "none of its tensors"
        raise CheckpointError(f"{name}: the checkpoint lacks {f'{name}.{missing[0]}'!r}, expected "
                              f"{', '.join(shapes)}; it has {held}. Do: check quantization_config "
                              "in config.json against the weights (method, format)")
    for leaf, tensor in leaves.items():
        if leaf not in shapes:
            raise CheckpointError(f"{name}: the checkpoint has {f'{name}.{leaf}'!r}, expected "
                                  f"{', '.join(shapes)}. Do: check quantization_config in "
                                  "config.json against the weights (method, format)")
        shape, dtype = shapes[leaf]
        fits = tensor.dtype == dtype if dtype is not None else tensor.dtype.is_floating_point
        if (tuple(tensor.shape) or (1,)) != shape or not fits:
            raise CheckpointError(
                f"{name}.{leaf} has shape {tuple(tensor.shape)} and type {tensor.dtype}, expected "
                f"{shape} and {dtype or 'a floating type'}. Do: check bits and group_size of "
                "quantization_config in config.json against the weights")


def _zeros(held: Groups) -> Tensor:
    if held.zeros is not None:
        return held.zeros
    return torch.full_like(held.scales, 2 ** (held.bits - 1), dtype=torch.uint8)
