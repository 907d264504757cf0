"""A stack of blocks on an embedding: decoder, encoder, or half of an encoder-decoder.

B batch, T time, D width
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from enfold.nn.attention import CrossAttention, SelfAttention
from enfold.nn.cache import Cache
from enfold.nn.checks import check_inputs, check_memory
from enfold.nn.context import Context, Trace, packed
from enfold.nn.embed import TokenEmbedding
from enfold.nn.linear import Linear
from enfold.nn.mlp import FeedForward
from enfold.nn.moe import Mixture
from enfold.nn.norm import norm
from enfold.nn.tokens import Tokens, find, wanted
from enfold.spec import MLP, Attention, Block, MoE, Router, Stack


class TransformerBlock(nn.Module):
    """One layer: attention, perhaps cross-attention, feed-forward or a mixture of them."""

    def __init__(self, spec: Block, dim: int, layer: int) -> None:
        super().__init__()
        for branch in spec.branches:
            if isinstance(branch, MLP):
                self.mlp = FeedForward(branch, dim, spec)
            elif isinstance(branch, MoE):
                self.mlp = Mixture(branch, dim, spec)  # type: ignore[assignment]
            elif branch.cross:
                self.cross = CrossAttention(branch, dim, spec, layer)
            else:
                self.attn = SelfAttention(branch, dim, spec, layer)

    def forward(self, x: Tensor, ctx: Context) -> Tensor:
        for branch in self._modules.values():
            if isinstance(branch, CrossAttention) and not _has_memory(ctx, branch):
                continue  # a decoder used alone
            x = branch(x, ctx)  # type: ignore[misc]
        return x


class Transformer(nn.Module):
    """The Module of `spec.Stack`."""

    pooler: nn.Linear | None

    def __init__(self, spec: Stack, *, pooled: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.embed = TokenEmbedding(spec.embed, spec.dim)
        self.layers = nn.ModuleList(TransformerBlock(b, spec.dim, i)
                                    for i, b in enumerate(spec.blocks))
        self.norm = norm(spec.norm, spec.dim) if spec.norm else None
        self.pooler = Linear(spec.dim, spec.dim) if pooled else None
        self.checkpointing: partial[Tensor] | None = None
        self.eager = False

    def forward(self, ids: Tensor | None = None, *, embeds: Tensor | None = None,
                types: Tensor | None = None, positions: Tensor | None = None,
                mask: Tensor | None = None, cache: Cache | None = None,
                memory: Tensor | None = None, memory_mask: Tensor | None = None,
                trace: Trace | None = None, reads: str = "all") -> Tensor:
        """Hidden states [B, T, D] of ids [B, T] or embeds [B, T, D], after the final norm.

        `memory` is an encoder's output; `cache` is appended to in place; `trace` collects what it
        asks for.  `reads`: what the caller looks at, "all", "tokens" (padding may be zeros) or
        "first" (the result may be [B, 1, D]).
        """
        offset = 0 if cache is None else cache.length
        check_inputs(self.spec.dim, ids, embeds, offset, attention_mask=mask,
                     position_ids=positions, token_type_ids=types)
        sequences = None
        if positions is None:
            positions = self.embed.locate(ids, embeds, offset)
        elif mask is None and offset == 0:
            sequences = packed(positions)
        trace = trace or Trace()
        tokens = None
        if cache is None and memory is None and sequences is None:
            shape = embeds.shape if ids is None else ids.shape  # type: ignore[union-attr]
            tokens = self._tokens(shape, positions.device, mask, trace, reads)
        if tokens is not None:
            positions = tokens.pick(positions)
            ids, embeds, types = (None if x is None else tokens.pick(x)
                                  for x in (ids, embeds, types))
        x = self.embed(ids, embeds, positions, types)
        if memory is not None and (cache is None or not any(cache.cross)):
            check_memory(memory, memory_mask, x.shape[0])
        ctx = self._context(x, positions, offset, mask, cache, memory, memory_mask, trace,
                            sequences, tokens)
        x = self._layers(x, ctx)
        if cache is not None:
            cache.length = offset + x.shape[1]
        if tokens is not None:
            x = x.transpose(0, 1) if tokens.first else tokens.pad(x)
        return x

    def _tokens(self, shape: torch.Size, device: torch.device, mask: Tensor | None, trace: Trace,
                reads: str) -> Tokens | None:
        """The batch without its padding, where nobody looks at that."""
        if torch.compiler.is_compiling():  # which tokens there are is no part of a graph
            return None
        looked = any(x is not None for x in (trace.hidden, trace.attentions, trace.routers))
        reads = wanted(reads)
        if reads == "all" or looked or self.spec.drop or self._watched():
            return None
        if reads == "first" and any(spec.causal for spec in self.attentions()):
            reads = "tokens"
        return find(mask, shape[0], shape[1], device, reads)

    def _watched(self) -> bool:
        """Whether hooks see what goes through the layers."""
        return any(m._forward_hooks or m._forward_pre_hooks for m in self.layers.modules())

    def _context(self, x: Tensor, positions: Tensor, offset: int, mask: Tensor | None,
                 cache: Cache | None, memory: Tensor | None, memory_mask: Tensor | None,
                 trace: Trace, sequences: Tensor | None, tokens: Tokens | None) -> Context:
        queries = x.shape[1] if tokens is None else tokens.longest
        if cache is not None:
            cache.ensure(len(self.layers))
        table = getattr(self.layers[0], "attn", None) if len(self.layers) else None
        table = getattr(table, "position", None)
        bias = None if table is None else table.bias(queries, offset + queries, offset)
        return Context(positions, queries, offset, x.dtype, mask, cache, memory, memory_mask,
                       self.eager, trace, bias, sequences, tokens)

    def _layers(self, x: Tensor, ctx: Context) -> Tensor:
        trace = ctx.trace.hidden
        for number, layer in enumerate(self.layers):
            if trace is not None:
                trace.append(x)
            if ctx.tokens is not None and number == len(self.layers) - 1:
                ctx = replace(ctx, last=True)
            if self.training and self.spec.drop and torch.rand(()) < self.spec.drop:
                continue
            if self.checkpointing is not None and self.training:
                x = self.checkpointing(layer, x, ctx)
            else:
                x = layer(x, ctx)
        if self.norm is not None:
            x = self.norm(x)
        if self.spec.dropout and self.training:
            x = F.dropout(x, self.spec.dropout)
        if trace is not None:
            trace.append(x)
        return x

    def checkpoint(self, enabled: bool, **options: Any) -> None:
        """Recompute each block in the backward pass instead of keeping its activations."""
        options.setdefault("use_reentrant", False)
        self.checkpointing = partial(checkpoint, **options) if enabled else None

    def pool(self, hidden: Tensor) -> Tensor:
        """tanh of a dense layer over the first token; [B, D]."""
        if self.pooler is None:
            raise RuntimeError("this model was built without a pooler")
        return torch.tanh(self.pooler(hidden[:, 0]))

    def routers(self) -> list[Router]:
        """The specs of the mixtures' routers, by layer."""
        return [b.router for block in self.spec.blocks for b in block.branches
                if isinstance(b, MoE)]

    def attentions(self) -> list[Attention]:
        """The specs of the self-attentions, by layer."""
        return [b for block in self.spec.blocks for b in block.branches if isinstance(b, Attention)
                and not b.cross]


def _has_memory(ctx: Context, branch: CrossAttention) -> bool:
    return ctx.memory is not None or (
        ctx.cache is not None and ctx.cache.cross[branch.layer] is not None)
