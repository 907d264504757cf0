"""Attention branch: projections in any layout a checkpoint stores, rotary positions, cache, kernel.

B batch, T time, H heads, K kv heads, D head_dim.  A fused projection's output is split:

    concat      [ q: H*D | k: K*D | v: K*D ]
    per_head    [ head 0: q k v | head 1: q k v | ... ]       D each, K = H
    per_group   [ group 0: q.. k v | group 1: q.. k v | ... ]  H/K queries, one key, one value each
"""

from __future__ import annotations

import torch
from torch import Tensor

from enfold.nn.branch import Branch
from enfold.nn.buckets import RelativeBias
from enfold.nn.context import Context
from enfold.nn.kernels import eager, sdpa
from enfold.nn.linear import Linear
from enfold.nn.native import attention as native
from enfold.nn.native import attention_training as training
from enfold.nn.native import fused
from enfold.nn.native.fused import goes_native, in_graph
from enfold.nn.native.training import rotate as rotate_training
from enfold.nn.native.training import trains
from enfold.nn.norm import norm
from enfold.nn.rope import rotate
from enfold.spec import Attention, Block


class SelfAttention(Branch):
    """The Module of `spec.Attention`; `layer` is its place in the cache.  [B, T, D] in and out."""

    def __init__(self, spec: Attention, dim: int, block: Block, layer: int) -> None:
        super().__init__(spec, dim, block)
        self.spec, self.layer = spec, layer
        self.scale = spec.head_dim**-0.5 if spec.scale is None else spec.scale
        self._projections(spec, dim)
        width = spec.heads * spec.head_dim
        self.o = Linear(width, dim, "o" in spec.bias)
        table = spec.position
        self.position = RelativeBias(table, spec.heads) if table and table.owner else None
        over = spec.head_dim if spec.qk_norm_over == "head" else width
        self.q_norm = norm(spec.qk_norm, over) if spec.qk_norm else None
        over = spec.head_dim if spec.qk_norm_over == "head" else spec.kv_heads * spec.head_dim
        self.k_norm = norm(spec.qk_norm, over) if spec.qk_norm else None

    def _projections(self, spec: Attention, dim: int) -> None:
        width, kv_width = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
        if spec.fused:
            self.qkv = Linear(dim, width + 2 * kv_width, "q" in spec.bias)
            return
        self.q = Linear(dim, width, "q" in spec.bias)
        self.k = Linear(dim, kv_width, "k" in spec.bias)
        self.v = Linear(dim, kv_width, "v" in spec.bias)

    def mix(self, h: Tensor, ctx: Context) -> Tensor:
        q, k, v = self.project(h)
        if self.spec.rope is not None:
            exact = goes_native(self, q)
            q, k = self.rotated(q, k, *ctx.rotary(self.spec.rope, self.spec.head_dim, exact=exact))
        if ctx.cache is not None:
            k, v = ctx.cache.states[self.layer].append(k, v, ctx.cache.length)
        return self.attend(q, k, v, ctx, ctx.trace.attentions)

    def rotated(self, q: Tensor, k: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """q and k with their positions; natively by cos and sin in fp32."""
        interleaved = self.spec.rope is not None and self.spec.rope.interleaved
        turn = fused.rotate if goes_native(self, q) else rotate
        if trains(self, q) and cos.dtype == q.dtype:
            turn = rotate_training
        return turn(q, cos, sin, interleaved), turn(k, cos, sin, interleaved)

    def project(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """h [B, T, D] as q [B, H, T, D] and k, v [B, K, T, D]."""
        spec = self.spec
        if spec.fused:
            return _split(self.qkv(h), spec)
        q, k, v = self.q(h), self.k(h), self.v(h)
        if self.q_norm is not None and self.k_norm is not None and spec.qk_norm_over == "all":
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = (x.unflatten(-1, (-1, spec.head_dim)) for x in (q, k, v))
        if self.q_norm is not None and self.k_norm is not None and spec.qk_norm_over == "head":
            q, k = self.q_norm(q), self.k_norm(k)
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, ctx: Context,
               trace: list[Tensor] | None) -> Tensor:
        """Softmax attention and the output projection; [B, T, D]."""
        spec, tokens = self.spec, ctx.tokens
        bias = ctx.bias if spec.position is not None else None
        if q.shape[2] > 1 and not (ctx.first or ctx.eager or trace is not None):
            ours = goes_native(self, q) or in_graph(self, q)
            seen = ctx.seen(spec) if ours else None
            if seen is not None and native.takes(q, k, v):
                out = native.attention(q, k, v, seen, self.scale, bias)
                return self.o(out.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
        dropout = spec.dropout if self.training else 0.0
        if not (ctx.first or ctx.eager or trace is not None) and bias is None and trains(self, q):
            longest, seen = q.shape[2] if tokens is None else tokens.longest, ctx.seen(spec)
            if seen is not None and training.takes(q, k, v, seen, longest):
                out = training.attention(q, k, v, seen, self.scale, dropout)
                return self.o(out.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
        mask = ctx.mask(spec)
        if tokens is not None:
            k, v = tokens.spread(k), tokens.spread(v)
            if ctx.first:
                q = tokens.firsts(q).permute(2, 1, 0, 3)  # [B, H, 1, D]
                mask, bias = mask.of_first(), None if bias is None else bias[:, :, :1]
            else:
                q = tokens.spread(q)
        if ctx.eager or trace is not None:
            out, probabilities = eager(q, k, v, mask, self.scale, bias, dropout, spec.upcast)
            if trace is not None:
                trace.append(probabilities)
        else:
            out = sdpa(q, k, v, mask, self.scale, bias, dropout)
        out = out.transpose(1, 2).flatten(2)
        if tokens is not None:
            out = out.transpose(0, 1) if ctx.first else tokens.gather(out)
        return self.o(out)  # type: ignore[no-any-return]


class CrossAttention(SelfAttention):
    """Attention to the encoder's output, whose keys and values are computed once and cached."""

    def mix(self, h: Tensor, ctx: Context) -> Tensor:
        spec = self.spec
        q = self.q(h).unflatten(-1, (spec.heads, spec.head_dim)).transpose(1, 2)
        k, v = self._memory(ctx)
        return self.attend(q, k, v, ctx, ctx.trace.cross)

    def _memory(self, ctx: Context) -> tuple[Tensor, Tensor]:
        held = ctx.cache.cross[self.layer] if ctx.cache is not None else None
        if held is not None:
            return held
        spec, memory = self.spec, ctx.memory
        if memory is None:
            raise ValueError("cross-attention has neither encoder_hidden_states nor a cache that "
                             "holds them")
        k = self.k(memory).unflatten(-1, (spec.kv_heads, spec.head_dim)).transpose(1, 2)
        v = self.v(memory).unflatten(-1, (spec.kv_heads, spec.head_dim)).transpose(1, 2)
        if ctx.cache is not None:
            ctx.cache.cross[self.layer] = (k, v)
        return k, v


def _split(joint: Tensor, spec: Attention) -> tuple[Tensor, Tensor, Tensor]:
    """The output of a fused projection [B, T, (H + 2K) * D] as q, k, v."""
    heads, kv_heads, dim = spec.heads, spec.kv_heads, spec.head_dim
    if spec.fused == "concat":
        parts = torch.split(joint, [heads * dim, kv_heads * dim, kv_heads * dim], -1)
        q, k, v = (x.view(*x.shape[:-1], -1, dim).transpose(1, 2) for x in parts)
        return q, k, v
    if spec.fused == "per_head":
        q, k, v = joint.view(*joint.shape[:-1], heads, 3, dim).transpose(1, 2).unbind(-2)
        return q, k, v
    if spec.fused == "per_group":
        group = heads // kv_heads
        joint = joint.view(*joint.shape[:-1], kv_heads, group + 2, dim)  # [B, T, K, G+2, D]
        q, k, v = joint[..., :group, :].flatten(2, 3), joint[..., group, :], joint[..., -1, :]
        return q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
    raise NotImplementedError(f"no fused layout {spec.fused!r}; there are 'concat', 'per_head' "
                              "and 'per_group'")
