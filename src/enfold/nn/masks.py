"""Attention masks.  B batch, T queries, S keys

        keys ->   cached   new
    queries  0    x x x    x . .        x may be seen.  `offset` keys are cached already.
             1    x x x    x x .        A window of w hides the keys more than w - 1 positions back,
             2    x x x    x x x        padding hides columns of a row of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Mask:
    """`tensor`: boolean (True may be seen) or additive, broadcastable to [B, H, T, S], or None.

    `causal`: the plain triangle, which a kernel draws itself, stands for the missing tensor.
    """

    tensor: Tensor | None = None
    causal: bool = False

    def additive(self, queries: int, keys: int, dtype: torch.dtype,
                 device: torch.device) -> Tensor | None:
        """The mask as a tensor to add to the scores: 0 and the lowest finite number."""
        mask = self.tensor
        if mask is None and self.causal:
            mask = triangle(queries, keys, keys - queries, device)
        if mask is None or mask.is_floating_point():
            return mask
        added = torch.zeros(mask.shape, dtype=dtype, device=device)
        return added.masked_fill_(~mask, torch.finfo(dtype).min)

    def of_first(self) -> Mask:
        """The mask of the first query alone; no triangle."""
        if self.tensor is None or self.tensor.shape[-2] == 1:
            return self
        return Mask(self.tensor[..., :1, :])

    def within(self, sequences: Tensor) -> Mask:
        """The mask of rows that hold several sequences, [B, T]: none sees another."""
        count = sequences.shape[1]
        same = (sequences[:, :, None] == sequences[:, None, :])[:, None]
        seen = self.tensor if self.tensor is not None else triangle(
            count, count, 0, sequences.device, causal=self.causal)
        return Mask(same if seen is None else seen & same)


def attention_mask(padding: Tensor | None, queries: int, keys: int, offset: int, *, causal: bool,
                   window: int | None, device: torch.device | None = None) -> Mask:
    """The mask of `queries` after `offset` cached positions over `keys`, in its cheapest form."""
    if padding is not None and padding.dim() == 4:
        return Mask(padding if padding.is_floating_point() else padding.bool())
    if padding is not None and not torch.compiler.is_compiling() and bool(padding.all()):
        padding = None
    windowed = window is not None and keys > window
    if padding is None and not windowed:
        if not causal or queries == 1:
            return Mask()
        if offset == 0:
            return Mask(causal=True)
    mask = triangle(queries, keys, offset, device or _device(padding), causal=causal,
                    window=window if windowed else None)
    if padding is None:
        return Mask(mask)
    columns = padding[:, None, None, :].bool()
    return Mask(columns if mask is None else mask & columns)


def triangle(queries: int, keys: int, offset: int, device: torch.device, *, causal: bool = True,
             window: int | None = None) -> Tensor | None:
    """Which keys a query may see, [1, 1, T, S] boolean; None if all."""
    if window is None and (not causal or queries == 1):
        return None
    row = torch.arange(offset, offset + queries, device=device)[:, None]
    column = torch.arange(keys, device=device)[None, :]
    seen = column <= row if causal else torch.ones(queries, keys, dtype=torch.bool, device=device)
    if window is not None:
        seen = seen & (row - column < window)
        if not causal:
            seen = seen & (column - row < window)
    return seen[None, None]


def _device(padding: Tensor | None) -> torch.device:
    return torch.device("cpu") if padding is None else padding.device
