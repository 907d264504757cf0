"""The pass that cuts a built model over ranks, before it is loaded, and what gathers it again.

    torchrun --nproc-per-node 2 script.py        from_pretrained(name, tp_plan="auto")
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from enfold.errors import ArgumentError, InputError
from enfold.nn.attention import SelfAttention
from enfold.nn.linear import Linear
from enfold.nn.mlp import FeedForward
from enfold.nn.moe import Mixture
from enfold.spec import Attention
from enfold.weights.place.homes import Homes
from enfold.weights.place.parts import stacks
from enfold.weights.shard.group import meet
from enfold.weights.shard.layers import Split, sliced_linear, split_bias, split_linear
from enfold.weights.slots import PARTS

if TYPE_CHECKING:
    from enfold.files import Checkpoint


def ranks_of(tp_plan: Any, tp_size: int | None) -> int:
    """How many ranks share the model: all that torchrun started.  Meets them."""
    if tp_plan is None:
        if tp_size is not None:
            raise ArgumentError(f"from_pretrained: tp_size={tp_size} without a tp_plan. Do: "
                                "tp_plan='auto'")
        return 1
    if tp_plan != "auto":
        raise NotImplementedError(f"tp_plan is {tp_plan!r:.80}; only 'auto' is built, which cuts "
                                  "attention and feed-forward layers. Do: tp_plan='auto'")
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if tp_size not in (None, count):
        raise InputError(f"tp_size is {tp_size}, but torchrun started {count} processes, and all "
                         f"of them share a model. Do: torchrun --nproc-per-node {tp_size}")
    if count > 1 and not dist.is_initialized():
        meet()
    return count


def in_step() -> None:
    """Give every rank the first one's random numbers: they draw the same tokens, and new heads."""
    state = torch.get_rng_state()
    dist.broadcast(state, 0)
    torch.set_rng_state(state)
    if torch.cuda.is_available():
        state = torch.cuda.get_rng_state()
        dist.broadcast(state, 0)
        torch.cuda.set_rng_state(state)


def cut_model(model: Any, ranks: int) -> None:
    """Make a model (on the meta device) one rank's part of it."""
    for path, stack in stacks(model):
        for number, layer in enumerate(stack.layers):
            for leaf, branch in layer.named_children():
                where = model.names.theirs(f"{path}.layers.{number}.{leaf}.{_named(branch)}")
                _cut_branch(branch, ranks, where.rpartition(".")[0] or where)


    _cut_head(model, ranks)


def _cut_head(model: Any, ranks: int) -> None:
    """A projection to the vocabulary: its rows, or where these are the embedding's, its work."""
    out = model.get_output_embeddings()
    if type(out) is not Linear:
        return
    tied = any(out.weight is stack.embed.token.weight for _, stack in stacks(model))
    if tied or out.out_features % ranks:
        model.head.out = sliced_linear(out)
    else:
        model.head.out = split_linear(out, by_outputs=True, segments=(out.out_features,),
                                      ranks=ranks, gather=True)


def _named(branch: nn.Module) -> str:
    if isinstance(branch, Mixture):
        return "experts"
    return "o" if isinstance(branch, SelfAttention) else "down"


def _cut_branch(branch: nn.Module, ranks: int, where: str) -> None:
    if isinstance(branch, SelfAttention):
        _cut_attention(branch, ranks, where)
    elif isinstance(branch, FeedForward):
        _cut_mlp(branch, ranks, where)
    else:
        raise NotImplementedError(f"{where}: a {type(branch).__name__} can't be cut over ranks. "
                                  "Do: leave tp_plan out")


def _cut_attention(branch: SelfAttention, ranks: int, where: str) -> None:
    spec = branch.spec
    for what, count in (("heads", spec.heads), ("key-value heads", spec.kv_heads)):
        _divide(count, ranks, where, what)
    if branch.q_norm is not None:
        raise NotImplementedError(f"{where}: norms of queries and keys can't be cut over ranks. "
                                  "Do: leave tp_plan out")
    outer = spec.heads * spec.head_dim
    inner = spec.kv_heads * spec.head_dim
    if spec.fused:
        whole = (outer, inner, inner) if spec.fused == "concat" else (outer + 2 * inner,)
        branch.qkv = split_linear(branch.qkv, by_outputs=True,  # type: ignore[assignment]
                                  segments=whole, ranks=ranks)
    else:
        for leaf, width in (("q", outer), ("k", inner), ("v", inner)):
            setattr(branch, leaf, split_linear(getattr(branch, leaf), by_outputs=True,
                                               segments=(width,), ranks=ranks))
    branch.o = split_linear(branch.o, by_outputs=False,  # type: ignore[assignment]
                            segments=(outer,), ranks=ranks)
    if branch.position is not None:
        branch.position = split_bias(branch.position, ranks)
    branch.spec = _part(spec, ranks)


def _part(spec: Attention, ranks: int) -> Attention:
    return replace(spec, heads=spec.heads // ranks, kv_heads=spec.kv_heads // ranks)


def _cut_mlp(branch: FeedForward, ranks: int, where: str) -> None:
    width = branch.up.out_features
    _divide(width, ranks, where, "features")
    for leaf in ("gate", "up"):
        if getattr(branch, leaf) is not None:
            setattr(branch, leaf, split_linear(getattr(branch, leaf), by_outputs=True,
                                               segments=(width,), ranks=ranks))
    branch.down = split_linear(branch.down, by_outputs=False,  # type: ignore[assignment]
                               segments=(width,), ranks=ranks)


def _divide(count: int, ranks: int, where: str, what: str) -> None:
    if count % ranks:
        raise InputError(f"{where} has {count} {what}, which {ranks} ranks can't share. Do: start "
                         "a number of processes that divides them, or leave tp_plan out")


class CutHomes(Homes):
    """All of a rank's part on its device."""

    def __init__(self, device: torch.device, model: nn.Module) -> None:
        super().__init__(device)
        self.rank = dist.get_rank()
        self.split = dict(split_modules(model))

    def part(self, name: str, whole: Tensor) -> Tensor:
        path, _, leaf = name.rpartition(".")
        cut = self.split[path].cuts.get(leaf) if path in self.split else None
        if cut is None or whole.shape[cut.dim] != cut.length:
            return whole
        return cut.take(whole, self.rank)

    def take(self, name: str, value: Tensor, dtype: torch.dtype, checkpoint: Checkpoint,
             key: str) -> Tensor:
        taken = super().take(name, value, dtype, checkpoint, key).contiguous()
        if taken.data_ptr() != value.data_ptr():
            checkpoint.release(key)
        return taken


def split_modules(model: nn.Module) -> Iterator[tuple[str, Split]]:
    """(our path, module) of all that is cut."""
    for part in PARTS:
        for path, module in model.get_submodule(part).named_modules(prefix=part):
            if isinstance(module, Split):
                yield path, module


def gathered(model: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """`tensors` (their names) of a cut model, whole and on the CPU; every rank has to call this."""
    cuts = {model.names.theirs(f"{path}.{leaf}"): cut for path, module in split_modules(model)
            for leaf, cut in module.cuts.items()}
    whole = dict(tensors)
    for name, cut in cuts.items():
        if name in whole:
            own = whole[name].contiguous()
            parts = [torch.empty_like(own) for _ in range(cut.ranks)]
            dist.all_gather(parts, own)
            whole[name] = cut.join([part.cpu() for part in parts])
    return whole


def plan_of(model: Any) -> dict[str, str]:
    """Their path of each layer that is cut -> "colwise", "rowwise" or "colwise_gather_output"."""
    return {model.names.theirs(path): module.style for path, module in split_modules(model)
            if module.cuts}
