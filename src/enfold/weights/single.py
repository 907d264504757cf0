"""Experts one by one in the model, too, under the names of files: where they are quantized."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

from enfold.nn.moe import Experts, SingleExperts
from enfold.weights.names import NameTable
from enfold.weights.pieces import Pieces

LEAVES = {"gate_up_proj": ("gate", "up"), "down_proj": ("down",)}


def single_experts(model: Any, keys: Iterable[str]) -> None:
    """Give a model (on the meta device) linear layers for each expert in place of the stacks.

    keys: of the checkpoint, which has to hold experts one by one.
    """
    stacks = [pieces for pieces in model.pieces if pieces.count]
    if not stacks:
        return
    if held := [key for key in keys if any(pieces.split(key) for pieces in stacks)]:
        raise NotImplementedError(
            f"{type(model).__name__}: the checkpoint has experts stacked ({held[0]!r}), and only "
            "single ones are quantized. Do: load it without quantization, save_pretrained, which "
            "writes single experts, and load that folder")
    for path, module in list(model._ours()):
        if type(module) is Experts:
            parent, _, leaf = path.rpartition(".")
            setattr(nn.Module.get_submodule(model, parent), leaf, SingleExperts(module))
    model.names, model.pieces = single_names(model.names, model.pieces)


def single_names(names: NameTable,
                 pieces: tuple[Pieces, ...]) -> tuple[NameTable, tuple[Pieces, ...]]:
    """The table with a line for each layer of an expert, and what is left of the pieces."""
    table = dict(names.table)
    for one in pieces:
        module, _, leaf = one.name.rpartition(".")
        for ours, theirs in names.forward.items() if one.count else ():
            if theirs.endswith(f".{module}"):
                start = theirs.removesuffix(module)
                for own, part in zip(LEAVES[leaf], one.parts, strict=True):
                    table[f"{ours}.*.{own}"] = start + part.removesuffix(".weight")
    return NameTable(table), tuple(one for one in pieces if not one.count)
