"""Adapters of the time when each expert was a linear layer, on the stacks of today.

    experts.0.w1.lora_A.weight [r, I], experts.0.w3.lora_A.weight, experts.1.w1. ...

become one A [E 2r, I] and one B [2F, 2r E]: layers that are one parameter today stay apart, as B
has zeros where one would meet the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from enfold.adapt.stacked import AdaptedParameter

ENDS = ("lora_A", "lora_B")


def as_stacks(adapters: Any, tensors: Mapping[str, Tensor], prefix: str) -> Mapping[str, Tensor]:
    """The tensors of a file with those of single experts stacked; others, and parts, stay."""
    table = getattr(adapters.model, "pieces", ())
    layers = {key.removeprefix(prefix)[: -len(".lora_A.weight")] for key in tensors
              if re.search(r"\.lora_[AB]\.weight$", key)}
    names = {(pieces, name) for layer in layers for pieces in table
             if (name := pieces.whole(f"{layer}.weight")) is not None}
    found = dict(tensors)
    for pieces, name in names:
        goal = _place(adapters, name)
        parts = [prefix + part.removesuffix(".weight") for part in pieces.split(name)]
        keys = [[f"{part}.{end}.weight" for part in parts] for end in ENDS]
        if goal is None or not all(key in tensors for key in (*keys[0], *keys[1])):
            continue
        first, second = ([found.pop(key) for key in each] for each in keys)
        for end, joint in zip(ENDS, _joined(first, second, len(pieces.parts)), strict=True):
            found[f"{prefix}{goal}.{end}.weight"] = joint
    return found


def _joined(firsts: list[Tensor], seconds: list[Tensor], parts: int) -> tuple[Tensor, Tensor]:
    """A and B of the stack; each expert has so many parts, one after the other."""
    blocks = [torch.block_diag(*seconds[start : start + parts])  # type: ignore[no-untyped-call]
              for start in range(0, len(seconds), parts)]
    stacked = torch.stack(blocks, -1)  # [O, r, E]
    return torch.cat(firsts), stacked.flatten(1)


def _place(adapters: Any, name: str) -> str | None:
    """The path of the layer that adapts a parameter."""
    module, _, leaf = name.rpartition(".")
    return next((path for path, layer in adapters.layers.items()
                 if isinstance(layer, AdaptedParameter) and layer.parameter == leaf
                 and re.fullmatch(re.escape(module) + r"(\.base_layer)*", path)), None)
