"""A padded batch without its padding: what nobody looks at is not computed.

    texts  a b c . .     tokens  a b c d e f g h i   [1, N, D] for linear layers, norms, residuals
           d e . . .
           f g h i .     texts from the left, cut at the longest, [B, H, L, D], for attention

B texts, T time, N tokens, L longest text, D width, H heads
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor

LEAST = 0.1  # part of a batch that has to be padding before moving the rest together pays
_only_loss: ContextVar[bool] = ContextVar("only_loss", default=False)
_only_tokens: ContextVar[bool] = ContextVar("only_tokens", default=False)
_whole: ContextVar[bool] = ContextVar("whole", default=False)


def only_loss() -> AbstractContextManager[None]:
    """Inside, a model's caller looks at the loss alone: logits may be absent from its output."""
    return _said(_only_loss)


def only_tokens() -> AbstractContextManager[None]:
    """Inside, a model's caller looks at tokens alone: what stands at padding may be anything."""
    return _said(_only_tokens)


def whole_rows() -> AbstractContextManager[None]:
    """Inside, layers get a batch row by row as it was given: something tells its rows apart."""
    return _said(_whole)


@contextmanager
def _said(what: ContextVar[bool]) -> Iterator[None]:
    token = what.set(True)
    try:
        yield
    finally:
        what.reset(token)


def wanted(reads: str) -> str:
    """What is looked at of hidden states, where their reader says `reads`."""
    return "tokens" if reads == "all" and _only_tokens.get() else reads


def wants_loss_only() -> bool:
    """Whether the caller said so, by `only_loss`."""
    return not torch.compiler.is_compiling() and _only_loss.get()


@dataclass(frozen=True, slots=True)
class Tokens:
    """Where the N tokens of a padded batch are.

    index [N]: their places in [B * T].  spots [N]: their places in [B * L].  seen [B, L]: which
    places hold one, None if all do.  first: only the first token of each text is wanted of the
    last layer.
    """

    batch: int
    time: int
    longest: int
    index: Tensor
    spots: Tensor
    seen: Tensor | None
    first: bool = False

    def pick(self, x: Tensor) -> Tensor:
        """x [B or 1, T, ..] -> [1, N, ..]."""
        if x.shape[0] != self.batch:
            x = x.expand(self.batch, *x.shape[1:])
        return x.reshape(-1, *x.shape[2:]).index_select(0, self.index)[None]

    def pad(self, x: Tensor) -> Tensor:
        """x [1, N, D] -> [B, T, D], zeros for padding."""
        flat = x.new_zeros(self.batch * self.time, x.shape[-1])
        flat.index_copy_(0, self.index.to(x.device), x[0])  # the last layer may be on another one
        return flat.view(self.batch, self.time, -1)

    def spread(self, x: Tensor) -> Tensor:
        """x [1, H, N, D] -> [B, H, L, D]."""
        rows, shape = x[0].transpose(0, 1), (self.batch, self.longest, x.shape[1], x.shape[3])
        if self.seen is None:
            return rows.reshape(shape).transpose(1, 2)
        flat = x.new_zeros(shape[0] * shape[1], shape[2] * shape[3])
        return flat.index_copy_(0, self.spots, rows.flatten(1)).view(shape).transpose(1, 2)

    def gather(self, x: Tensor) -> Tensor:
        """x [B, L, D] -> [1, N, D]."""
        flat = x.reshape(-1, x.shape[-1])
        return (flat if self.seen is None else flat.index_select(0, self.spots))[None]

    def starts(self) -> Tensor:
        """Where each text begins, and the end of the last, [B + 1]."""
        if self.seen is None:
            return torch.arange(self.batch + 1, device=self.index.device) * self.longest
        return torch.nn.functional.pad(self.seen.sum(1).cumsum(0), (1, 0))

    def firsts(self, x: Tensor) -> Tensor:
        """The first token of each text, x [.., N, D] -> [.., B, D]."""
        if self.seen is None:
            return x[..., :: self.longest, :]
        return x.index_select(-2, torch.searchsorted(
            self.spots, torch.arange(self.batch, device=x.device) * self.longest))


def find(mask: Tensor | None, batch: int, time: int, device: torch.device,
         reads: str) -> Tokens | None:
    """The tokens that a mask [B, T] of ones and zeros leaves, or None if the batch stays as it is.

    reads: what the caller looks at: "all" positions, the "tokens", or the "first" of each text.
    A text without tokens, with a hole in it, or (for "first") that does not begin at the left
    keeps the batch as it is.
    """
    if reads == "all" or _whole.get() or torch.compiler.is_compiling() or _traced():
        return None
    first = reads == "first"
    if mask is None or bool(mask.all()):
        if not first:
            return None
        every = torch.arange(batch * time, device=device)
        return Tokens(batch, time, time, every, every, None, first)
    if mask.dim() != 2 or mask.shape[1] != time:
        return None
    real = mask.bool()
    lengths = real.sum(1)
    count, longest, shortest = int(lengths.sum()), int(lengths.max()), int(lengths.min())
    starts = (real[:, 1:] & ~real[:, :-1]).sum(1) + real[:, 0]
    if not shortest or bool((starts > 1).any()) or (first and not bool(real[:, 0].all())) or (
            not first and count > (1 - LEAST) * batch * time):
        return None
    index = real.reshape(-1).nonzero()[:, 0]
    seen = torch.arange(longest, device=device)[None] < lengths[:, None]
    if shortest == longest:
        return Tokens(batch, time, longest, index, index, None, first)
    return Tokens(batch, time, longest, index, seen.reshape(-1).nonzero()[:, 0], seen, first)


def _traced() -> bool:
    return torch._C._get_tracing_state() is not None
