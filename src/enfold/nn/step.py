"""A step of decoding: one new token per row, without gradients, past the machinery of modules.

    step = Stepper(decoder, head, cache, capacity)
    logits = step(ids)               # appends to the cache; the numbers are those of the modules

At the start each module is turned into a function that holds its weights.  A module that is not
plainly ours (an adapter, a quantised layer, one with hooks) is called as it is.

B rows, H heads, K kv heads, G = H / K, D head_dim, R rotated features, S keys
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.nn.attention import CrossAttention, SelfAttention
from enfold.nn.branch import Branch
from enfold.nn.cache import Cache
from enfold.nn.embed import TokenEmbedding
from enfold.nn.heads.language import CausalHead
from enfold.nn.linear import Linear
from enfold.nn.mlp import FeedForward
from enfold.nn.norm import LayerNorm, RMSNorm
from enfold.nn.quantized import QuantizedLinear
from enfold.nn.rope import cos_sin
from enfold.nn.stack import Transformer
from enfold.nn.table import Table
from enfold.spec import Dynamic, Learned, LongRope, Rope

Function = Callable[[Tensor], Tensor]
PLAIN = (SelfAttention, CrossAttention, FeedForward)


def can_step(body: nn.Module, cache: Cache | None) -> bool:
    """Whether a body decodes by steps: plain branches, in eval mode, with a filled cache."""
    if not isinstance(body, Transformer) or cache is None or body.training or body.eager:
        return False
    branches = [branch for layer in body.layers for branch in layer.children()]
    return len(cache.states) == len(body.layers) and not _hooked(body) and all(
        type(branch) in PLAIN and not _hooked(branch) for branch in branches) and not any(
        _hooked(layer) for layer in body.layers)


class Stepper:
    """The functions of a decoder, over one cache."""

    def __init__(self, body: Transformer, head: Any, cache: Cache, capacity: int) -> None:
        self.body, self.cache, self.capacity = body, cache, capacity
        self.dtype = next(body.parameters()).dtype
        self.logits = _logits(head, self.dtype)
        self.now = Now()
        self.branches = [_branch(branch, self, self.dtype) for layer in body.layers
                         for branch in layer.children() if self._runs(branch)]
        self.norm = function(body.norm, self.dtype) if body.norm is not None else None
        self.embed = _embedding(body.embed)
        self.tables: dict[tuple[Rope, int], tuple[Tensor, Tensor]] = {}
        self.bias = getattr(getattr(body.layers[0], "attn", None), "position", None)
        self.past: Tensor | None = None

    def _runs(self, branch: nn.Module) -> bool:
        return not isinstance(branch, CrossAttention) or self.cache.cross[branch.layer] is not None

    @torch.inference_mode()
    def __call__(self, ids: Tensor, positions: Tensor | None = None, mask: Tensor | None = None,
                 memory_mask: Tensor | None = None) -> Tensor:
        """Logits [B, V] after ids [B, 1].

        positions [B, 1]: where they aren't the number of tokens held.  mask [B, S], memory_mask
        [B, S']: ones and zeros over the keys.
        """
        cache, now = self.cache, self.now
        x = self.embed(ids, positions, cache.length)
        now.begin(self, positions, mask, memory_mask)
        for branch in self.branches:
            x = branch(x)
        cache.length += 1
        if self.norm is not None:
            x = self.norm(x)
        return self.logits(x[:, 0])

    def rotary(self, rope: Rope, dim: int, positions: Tensor | None) -> tuple[Tensor, Tensor]:
        """cos and sin of this step, [1, 1, 1, R] or [B, 1, 1, R]."""
        length, device = self.cache.length, self.body.embed.token.weight.device
        if isinstance(rope.scaling, Dynamic | LongRope):  # depend on how long the text is by now
            place = torch.tensor([[length]], device=device) if positions is None else positions
            return cos_sin(rope, dim, place, self.dtype)
        key = (rope, dim)
        if key not in self.tables or self.tables[key][0].shape[2] <= length:
            count = max(self.capacity, 2 * length)
            every = torch.arange(count, device=device)[None]
            self.tables[key] = cos_sin(rope, dim, every, self.dtype)
        cos, sin = self.tables[key]
        if positions is None:
            return cos[:, :, length : length + 1], sin[:, :, length : length + 1]
        return cos[0, 0][positions][:, None], sin[0, 0][positions][:, None]

    def relative(self) -> Tensor | None:
        """The bias [1, H, 1, S] of T5's distances."""
        if self.bias is None:
            return None
        keys = self.cache.length + 1
        if self.past is None or self.past.shape[-1] < keys:
            count = max(self.capacity, 2 * keys)
            self.past = self.bias.bias(1, count, count - 1)
        return self.past[..., -keys:]


class Now:
    """What the branches of one step share."""

    __slots__ = ("bias", "length", "mask", "memory_mask", "positions", "rotary", "step")

    def begin(self, step: Stepper, positions: Tensor | None, mask: Tensor | None,
              memory_mask: Tensor | None) -> None:
        """Set up for a step."""
        self.step, self.positions, self.length = step, positions, step.cache.length
        self.rotary: dict[tuple[Rope, int], tuple[Tensor, Tensor]] = {}
        self.mask = None if mask is None else mask[:, None, None, :].bool()
        self.memory_mask = None if memory_mask is None else memory_mask[:, None, None, :].bool()
        self.bias = step.relative()

    def cos_sin(self, rope: Rope, dim: int) -> tuple[Tensor, Tensor]:
        """cos and sin, fetched once per rope and step."""
        key = (rope, dim)
        if key not in self.rotary:
            self.rotary[key] = self.step.rotary(rope, dim, self.positions)
        return self.rotary[key]


def function(module: nn.Module, dtype: torch.dtype) -> Function:
    """A module for inference as a function that holds its weights; anything unusual as it is."""
    if _hooked(module):
        return module
    if type(module) is Linear or isinstance(module, QuantizedLinear):
        return module.kernel(dtype)
    if type(module) is LayerNorm:
        shape, weight, bias, eps = module.normalized_shape, module.weight, module.bias, module.eps
        return lambda x: F.layer_norm(x, shape, weight, bias, eps)
    if type(module) is RMSNorm:
        return module.kernel(dtype)
    return module


def _logits(head: Any, dtype: torch.dtype) -> Function:
    """Hidden states [B, W] -> logits [B, V]."""
    if type(head) is CausalHead and head.dense is None:
        return function(head.out, dtype)
    return head.logits  # type: ignore[no-any-return]


def _embedding(embed: TokenEmbedding) -> Callable[[Tensor, Tensor | None, int], Tensor]:
    """(ids [B, 1], positions [B, 1] or None, tokens held) -> [B, 1, W]."""
    spec, table, place = embed.spec, embed.token, embed.position

    def whole(ids: Tensor, positions: Tensor | None, length: int) -> Tensor:
        if positions is None:
            positions = embed.locate(ids, None, length)
        return embed(ids, None, positions, None)  # type: ignore[no-any-return]

    counted = isinstance(spec.position, Learned) and spec.position.pad is not None
    parts = [embed, *embed.children()]
    if counted or spec.types or spec.norm or any(map(_hooked, parts)) or type(table) is not Table:
        return whole
    offset = 0 if place is None else place.offset

    def read(ids: Tensor, positions: Tensor | None, length: int) -> Tensor:
        if place is not None and (positions is not None
                                  or length + offset >= place.num_embeddings):
            return whole(ids, positions, length)
        x = F.embedding(ids, table.weight)
        if spec.scale != 1.0:
            x = x * spec.scale
        return x if place is None else x + place.weight[length + offset]

    return read


def _branch(branch: nn.Module, step: Stepper, dtype: torch.dtype) -> Function:
    if not isinstance(branch, Branch):
        raise TypeError(f"no step for a {type(branch).__name__}")
    mix = (_mlp(branch, dtype) if isinstance(branch, FeedForward)
           else _attention(branch, step, dtype))
    before, after, last = (None if norm is None else function(norm, dtype)
                           for norm in (branch.norm, branch.norm_out, branch.norm_sum))

    def run(x: Tensor) -> Tensor:
        h = mix(x if before is None else before(x))
        x = x + (h if after is None else after(h))
        return x if last is None else last(x)

    return run


def _mlp(branch: FeedForward, dtype: torch.dtype) -> Function:
    up, down, act = function(branch.up, dtype), function(branch.down, dtype), branch.act
    if branch.gate is None:
        return lambda h: down(act(up(h)))
    gate = function(branch.gate, dtype)
    return lambda h: down(act(gate(h)) * up(h))


def _attention(branch: Any, step: Stepper, dtype: torch.dtype) -> Function:
    spec, scale, now = branch.spec, branch.scale, step.now
    out, cross = function(branch.o, dtype), isinstance(branch, CrossAttention)
    read = _cross_reader(branch, step, dtype) if cross else _reader(branch, step, dtype)
    group, window = (spec.kv_heads, spec.heads // spec.kv_heads, spec.head_dim), spec.window
    biased = spec.position is not None

    def run(h: Tensor) -> Tensor:
        q, k, v = read(h)  # q [B, H, 1, D], k and v [B, K, S, D]
        mask = now.memory_mask if cross else now.mask
        if window is not None and k.shape[2] > window:
            k, v = k[:, :, -window:], v[:, :, -window:]
            mask = None if mask is None else mask[..., -window:]
        if biased and now.bias is not None:
            mask = now.bias if mask is None else now.bias.masked_fill(~mask, float("-inf"))
        batch = q.shape[0]
        mixed = F.scaled_dot_product_attention(q.reshape(batch, *group), k, v, mask, scale=scale)
        return out(mixed.reshape(batch, 1, -1))

    return run


def _reader(branch: SelfAttention, step: Stepper, dtype: torch.dtype) -> Callable[[Tensor], Any]:
    spec, now, cache = branch.spec, step.now, step.cache
    state, rope = cache.states[branch.layer], spec.rope
    project, plain = _projection(branch, dtype), rope is not None and not rope.interleaved
    half = 0 if rope is None else (rope.dim or spec.head_dim) // 2
    joint = plain and 2 * half == spec.head_dim

    def read(h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = project(h)
        if joint:  # one rotation for the heads of both
            cos, sin = now.cos_sin(rope, spec.head_dim)  # type: ignore[arg-type]
            x = torch.cat((q, k), 1)
            x = x * cos + x.roll(half, -1) * sin
            q, k = x[:, : spec.heads], x[:, spec.heads :]
        elif rope is not None:
            cos, sin = now.cos_sin(rope, spec.head_dim)
            q, k = branch.rotated(q, k, cos, sin)
        return (q, *state.append(k, v, now.length))

    return read


def _projection(branch: SelfAttention, dtype: torch.dtype) -> Callable[[Tensor], Any]:
    """h [B, 1, W] -> q [B, H, 1, D], k and v [B, K, 1, D]."""
    spec = branch.spec
    if spec.fused or branch.q_norm is not None:
        return branch.project
    to_q, to_k, to_v = (function(m, dtype) for m in (branch.q, branch.k, branch.v))
    heads, kv_heads, dim = spec.heads, spec.kv_heads, spec.head_dim

    def project(h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch = h.shape[0]
        return (to_q(h).view(batch, heads, 1, dim), to_k(h).view(batch, kv_heads, 1, dim),
                to_v(h).view(batch, kv_heads, 1, dim))

    return project


def _cross_reader(branch: Any, step: Stepper, dtype: torch.dtype) -> Callable[[Tensor], Any]:
    spec, cache, layer = branch.spec, step.cache, branch.layer
    to_q = function(branch.q, dtype)

    def read(h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        k, v = cache.cross[layer]  # type: ignore[misc]
        return to_q(h).view(h.shape[0], spec.heads, 1, spec.head_dim), k, v

    return read


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)
