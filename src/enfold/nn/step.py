"""A step of decoding: one new token per row, without gradients, past the machinery of modules.

    step = Stepper(decoder, head, cache, capacity)
    logits = step(ids)               # appends to the cache; the numbers are those of the modules

At the start each module is turned into a function that holds its weights (`step_parts`).  A module
that is not plainly ours (an adapter, one with hooks) is called as it is.

    x = embed(ids)      h = mix(norm(x))      x, n = join(x, h)  adds, and normalises for the next

B rows, H heads, R rotated features, S keys, W width
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
from enfold.nn.mlp import FeedForward
from enfold.nn.moe import Mixture
from enfold.nn.rope import cos_sin
from enfold.nn.stack import Transformer
from enfold.nn.step_parts import Function, Now, attention, feed_forward, function, hooked, joiner
from enfold.nn.table import Table
from enfold.spec import Dynamic, Learned, LongRope, Rope

PLAIN = (SelfAttention, CrossAttention, FeedForward, Mixture)


def can_step(body: nn.Module, cache: Cache | None) -> bool:
    """Whether a body decodes by steps: plain branches, in eval mode, with a filled cache."""
    if not isinstance(body, Transformer) or cache is None or body.training or body.eager:
        return False
    branches = [branch for layer in body.layers for branch in layer.children()]
    return len(cache.states) == len(body.layers) and not hooked(body) and all(
        type(branch) in PLAIN and not hooked(branch) for branch in branches) and not any(
        hooked(layer) for layer in body.layers)


class Stepper:
    """The functions of a decoder, over one cache."""

    shared = Now

    def __init__(self, body: Transformer, head: Any, cache: Cache, capacity: int) -> None:
        self.body, self.head, self.cache, self.capacity = body, head, cache, capacity
        self.like = body.embed.token.weight.detach()
        self.dtype = next(body.parameters()).dtype
        self.now = self.shared(self.rotary, self.relative, cache)
        self.tables: dict[tuple[Rope, int, bool], tuple[Tensor, Tensor]] = {}
        self.bias = getattr(getattr(body.layers[0], "attn", None), "position", None)
        self.past: tuple[Tensor, Tensor] | None = None
        with torch.no_grad():
            self.logits = _logits(head, self.like)
            self.embed = _embedding(body.embed)
            branches: list[Any] = [branch for layer in body.layers for branch in layer.children()
                                   if self._runs(branch)]
            self.begin = _first(branches[0].norm if branches else body.norm, self.like)
            norms = [*(branch.norm for branch in branches[1:]), body.norm]
            self.links = [(self._mix(branch), joiner(branch, norm, self.like))
                          for branch, norm in zip(branches, norms, strict=True)]

    def _runs(self, branch: nn.Module) -> bool:
        return not isinstance(branch, CrossAttention) or self.cache.cross[branch.layer] is not None

    def _mix(self, branch: nn.Module) -> Function:
        if not isinstance(branch, Branch):
            raise TypeError(f"no step for a {type(branch).__name__}")
        if isinstance(branch, FeedForward):
            return feed_forward(branch, self.like)
        if isinstance(branch, Mixture):
            return lambda h: branch.routed(h)[0]
        return attention(branch, self.now, self.like)

    @torch.inference_mode()
    def __call__(self, ids: Tensor, positions: Tensor | None = None, mask: Tensor | None = None,
                 memory_mask: Tensor | None = None) -> Tensor:
        """Logits [B, V] after ids [B, 1].

        positions [B, 1]: where they aren't the number of tokens held.  mask [B, S], memory_mask
        [B, S']: ones and zeros over the keys.
        """
        logits = self.run(ids, positions, mask, memory_mask)
        self.cache.length += 1
        return logits

    def run(self, ids: Tensor, positions: Tensor | None, mask: Tensor | None,
            memory_mask: Tensor | None) -> Tensor:
        """A step, but for the cache's length."""
        x = self.embed(ids, positions, self.cache.length)
        self.now.begin(positions, mask, memory_mask)
        n = self.begin(x)
        for mix, join in self.links:
            x, n = join(x, mix(n))
        return self.logits(n[:, 0])

    def rotary(self, rope: Rope, dim: int, positions: Tensor | None, *,
               exact: bool) -> tuple[Tensor, Tensor]:
        """cos and sin of this step, [1, 1, 1, R] or [B, 1, 1, R]; exact: in fp32."""
        length, device = self.cache.length, self.like.device
        if isinstance(rope.scaling, Dynamic | LongRope):  # depend on how long the text is by now
            place = torch.tensor([[length]], device=device) if positions is None else positions
            return self._cos_sin(rope, dim, place, exact)
        key = (rope, dim, exact)
        if key not in self.tables or self.tables[key][0].shape[2] <= length:
            count = max(self.capacity, 2 * length)
            every = torch.arange(count, device=device)[None]
            self.tables[key] = self._cos_sin(rope, dim, every, exact)
        cos, sin = self.tables[key]
        if positions is None:
            return cos[:, :, length : length + 1], sin[:, :, length : length + 1]
        return cos[0, 0][positions][:, None], sin[0, 0][positions][:, None]

    def _cos_sin(self, rope: Rope, dim: int, place: Tensor,
                 exact: bool) -> tuple[Tensor, Tensor]:
        cos, sin = cos_sin(rope, dim, place, self.dtype)
        return (cos.float(), sin.float()) if exact else (cos, sin)

    def relative(self, *, exact: bool) -> Tensor | None:
        """The bias [1, H, 1, S] of T5's distances; exact: in fp32."""
        if self.bias is None:
            return None
        keys = self.cache.length + 1
        if self.past is None or self.past[0].shape[-1] < keys:
            count = max(self.capacity, 2 * keys)
            past = self.bias.bias(1, count, count - 1)
            self.past = past, past.float().contiguous()
        return self.past[exact][..., -keys:]


def _first(norm: nn.Module | None, like: Tensor) -> Function:
    return (lambda x: x) if norm is None else function(norm, like)


def _logits(head: Any, like: Tensor) -> Function:
    """Hidden states [B, W] -> logits [B, V]."""
    if type(head) is CausalHead and head.dense is None:
        return function(head.out, like)
    return head.logits  # type: ignore[no-any-return]


def counted(embed: TokenEmbedding) -> int | None:
    """The id of padding, where positions are counted from ids; None where they aren't."""
    position = embed.spec.position
    return position.pad if isinstance(position, Learned) else None


def _embedding(embed: TokenEmbedding) -> Callable[[Tensor, Tensor | None, int], Tensor]:
    """(ids [B, 1], positions [B, 1] or None, tokens held) -> [B, 1, W], a tensor of its own."""
    spec, table, place = embed.spec, embed.token, embed.position

    def whole(ids: Tensor, positions: Tensor | None, length: int) -> Tensor:
        if positions is None:
            positions = embed.locate(ids, None, length)
        return embed(ids, None, positions, None)  # type: ignore[no-any-return]

    parts = [embed, *embed.children()]
    if spec.types or spec.norm or counted(embed) is not None or type(table) is not Table:
        return whole
    if any(map(hooked, parts)):
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
