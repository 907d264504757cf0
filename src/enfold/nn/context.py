"""What a forward pass carries besides the hidden states.

B batch, T queries, S keys (cached and new), H heads
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from enfold.nn.cache import Cache
from enfold.nn.masks import Mask, attention_mask
from enfold.nn.native.attention import Seen
from enfold.nn.rope import cos_sin
from enfold.nn.tokens import Tokens
from enfold.spec import Attention, Rope


@dataclass(slots=True)
class Trace:
    """What the caller wants to see of the pass; None where it does not."""

    hidden: list[Tensor] | None = None
    attentions: list[Tensor] | None = None
    cross: list[Tensor] | None = None
    routers: list[Tensor] | None = None  # logits of mixtures of experts, [N, E] by layer


@dataclass(frozen=True, slots=True)
class Context:
    """One forward pass of one stack: positions, masks, cache, encoder output; computed values are
    shared.

    padding: [B, S] ones and zeros, a 4-D mask as the user gave it, or None; memory [B, S', D]
    encoder output; sequences [B, T] which of several sequences in a row each position is of.
    tokens: the batch comes without padding, [1, N, D], and `queries` is the longest text.  last:
    this is the last layer.
    """

    positions: Tensor
    queries: int
    offset: int
    dtype: torch.dtype
    padding: Tensor | None = None
    cache: Cache | None = None
    memory: Tensor | None = None
    memory_padding: Tensor | None = None
    eager: bool = False
    trace: Trace = field(default_factory=Trace)
    bias: Tensor | None = None
    sequences: Tensor | None = None
    tokens: Tokens | None = None
    last: bool = False
    _masks: dict[tuple[bool, int | None, bool], Mask] = field(default_factory=dict)
    _seen: dict[tuple[bool, int | None, bool], Seen | None] = field(default_factory=dict)
    _rotary: dict[tuple[Rope, int, bool], tuple[Tensor, Tensor]] = field(default_factory=dict)

    @property
    def first(self) -> bool:
        """Whether this layer has to give the first token of each text only."""
        return self.last and self.tokens is not None and self.tokens.first

    def rotary(self, rope: Rope, dim: int, *, exact: bool = False) -> tuple[Tensor, Tensor]:
        """cos and sin of this pass's positions, computed once per rope; exact: in fp32."""
        key = (rope, dim, exact)
        if key not in self._rotary:
            cos, sin = cos_sin(rope, dim, self.positions, self.dtype)
            self._rotary[key] = (cos.float(), sin.float()) if exact else (cos, sin)
        return self._rotary[key]

    def mask(self, spec: Attention) -> Mask:
        """The mask of an attention, computed once per kind."""
        key = (spec.causal, spec.window, spec.cross)
        if key not in self._masks:
            self._masks[key] = self._mask(spec)
        return self._masks[key]

    def seen(self, spec: Attention) -> Seen | None:
        """The same for our kernels; None where it takes a mask [T, S]."""
        key = (spec.causal, spec.window, spec.cross)
        if key not in self._seen:
            self._seen[key] = self._sees(spec)
        return self._seen[key]

    def _sees(self, spec: Attention) -> Seen | None:
        tokens, padding = self.tokens, self.memory_padding if spec.cross else self.padding
        if padding is not None and padding.dim() != 2:
            return None
        if tokens is not None and not spec.cross:
            return Seen(spec.causal, spec.window, starts=tokens.starts())
        if self.sequences is not None and not spec.cross:
            return None
        if padding is not None and not torch.compiler.is_compiling() and bool(padding.all()):
            padding = None
        padding = None if padding is None else padding.ne(0).contiguous()
        return Seen(padding=padding) if spec.cross else Seen(spec.causal, spec.window, padding)

    def _mask(self, spec: Attention) -> Mask:
        if spec.cross:
            keys = 0 if self.memory is None else self.memory.shape[1]
            return attention_mask(self.memory_padding, self.queries, keys, 0, causal=False,
                                  window=None)
        padding = self.padding
        if self.tokens is not None:  # texts begin at the left: a token sees no padding before it
            padding = None if spec.causal else self.tokens.seen
        mask = attention_mask(padding, self.queries, self.offset + self.queries, self.offset,
                              causal=spec.causal, window=spec.window, device=self.positions.device)
        return mask if self.sequences is None else mask.within(self.sequences)


def packed(positions: Tensor) -> Tensor | None:
    """Which sequence each position is of, [B, T], where positions start anew; else None.

    As `DataCollatorWithFlattening` writes them: 0 1 2 0 1 0 1 2 3 are three sequences.
    """
    starts = positions.diff() <= 0
    if not torch.compiler.is_compiling() and not bool(starts.any()):
        return None
    return torch.nn.functional.pad(starts.cumsum(1), (1, 0))
