"""The parts of a model: what a plan places.

    body.embed, body.layers.0, body.layers.1, ..., body.norm, body.pooler, head
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import chain, takewhile
from typing import Any

import torch
from torch import nn

from enfold.nn.embed import TokenEmbedding
from enfold.nn.stack import Transformer
from enfold.spec import MLP, Attention, Block, Branch, MoE
from enfold.weights.packed import packed
from enfold.weights.place.planner import Part
from enfold.weights.slots import PARTS, members

Leaf = tuple[str, Hashable, int]
FOUR = re.compile(r"(?<!\d)4(?!\d)")  # in what formats of about four bits say of themselves
LENGTH = 2048  # tokens of context that plans leave room for


def model_parts(model: nn.Module, dtype: torch.dtype | None = None) -> list[Part]:
    """The parts of a model (our names) in the order of running; floating weights as `dtype`."""
    made = partition(leaves(model, dtype), units(model))
    caches, length = dict(_caches(model, dtype)), context_length(model)
    return [Part(p.name, p.tensors, caches.get(p.name, 0) * length,
                 isinstance(nn.Module.get_submodule(model, p.name), TokenEmbedding),
                 their_path(model, p)) for p in made]


def their_path(model: Any, part: Part) -> str:
    """Where their names put a part: what the names of its tensors begin with."""
    if not hasattr(model, "names"):
        return ""
    paths = [name.split(".")[:-1] for name in their_names(model, part)]
    shared = takewhile(lambda words: len(set(words)) == 1, zip(*paths, strict=False))
    return ".".join(words[0] for words in shared)


def leaves(model: nn.Module, dtype: torch.dtype | None = None) -> Iterator[Leaf]:
    """(our name, identity, bytes) of what a model will hold; it need not be loaded.

    A quantized layer is one leaf, a little larger than its format makes it.
    """
    for name, tensor, _ in members(model, packed=False):
        width = tensor.itemsize if dtype is None or not tensor.is_floating_point() else \
            dtype.itemsize
        yield name, id(tensor), tensor.numel() * width
    for path, layer in packed(model).items():
        bits = 5 if FOUR.search(f"{layer.method} {layer.describe()}") else 9
        yield f"{path}.weight", id(layer), layer.in_features * layer.out_features * bits // 8


def their_names(model: Any, part: Part) -> list[str]:
    """The tensors of a part, by their names."""
    start = f"{part.name}."
    return [model.names.theirs(name) for name, _, _ in leaves(model) if name.startswith(start)]


def partition(tensors: Iterable[Leaf], units: Sequence[str]) -> list[Part]:
    """(name, identity, bytes) of tensors by the unit they are in; units without any are left out.

    A tensor in no unit raises: every tensor is placed.
    """
    found: dict[str, dict[Hashable, int]] = {unit: {} for unit in units}
    for name, key, count in tensors:
        path = name.split(".")
        home = next((unit for end in range(len(path), 0, -1)
                     if (unit := ".".join(path[:end])) in found), None)
        if home is None:
            raise ValueError(f"{name!r} is in no unit of {list(units)}")
        found[home][key] = count
    return [Part(unit, held) for unit, held in found.items() if held]


def units(model: nn.Module) -> list[str]:
    """Paths (ours) of the modules that run whole on one device, in the order of running."""
    found = []
    for path, stack in stacks(model):
        for leaf, module in stack.named_children():
            inner = f"{path}.{leaf}"
            found += ([f"{inner}.{index}" for index in range(len(module))]
                      if isinstance(module, nn.ModuleList) else [inner])
    found += [part for part in PARTS if part != "body" and part in model._modules]
    return found


def stacks(model: nn.Module) -> Iterator[tuple[str, Transformer]]:
    """(path, stack): the body, or its halves."""
    body = model.get_submodule("body")
    for path, module in chain([("body", body)], body.named_children()):
        if isinstance(module, Transformer):
            yield path if path == "body" else f"body.{path}", module


def _caches(model: nn.Module, dtype: torch.dtype | None) -> Iterator[tuple[str, int]]:
    """(block, bytes of keys and values per token) of decoders."""
    width = (dtype or torch.float32).itemsize
    for path, stack in stacks(model):
        for index, block in enumerate(stack.spec.blocks):
            heads = [a for a in _attentions(block) if a.causal or a.cross]
            if any(attention.causal for attention in heads):
                yield f"{path}.layers.{index}", sum(2 * a.kv_heads * a.head_dim * width
                                                    for a in heads)


def work_size(model: nn.Module, dtype: torch.dtype | None = None) -> int:
    """Bytes of the activations of one text's pass: a block's inputs, outputs and inner states."""
    width, length = (dtype or torch.float32).itemsize, context_length(model)
    rows = [6 * stack.spec.dim + max((_hidden(block) for block in stack.spec.blocks), default=0)
            for _, stack in stacks(model)]
    return max(rows) * length * width


def context_length(model: Any) -> int:
    """Tokens that room is left for: the model's positions, up to 2,048."""
    return min(int(model.config.get("max_position_embeddings") or LENGTH), LENGTH)


def _attentions(block: Block) -> list[Attention]:
    return [branch for branch in block.branches if isinstance(branch, Attention)]


def _hidden(block: Block) -> int:
    return sum(_width(branch) for branch in block.branches)


def _width(branch: Branch | None) -> int:
    """Inner numbers of a feed-forward for a token, of a mixture those of its experts."""
    if isinstance(branch, MoE):
        return branch.router.top_k * _width(branch.expert) + _width(branch.shared)
    return branch.hidden * (3 if branch.gated else 2) if isinstance(branch, MLP) else 0
