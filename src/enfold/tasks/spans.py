"""Answers as spans of tokens: the best (start, end) pairs of a batch of rows at once.

Shape legend: B rows, T tokens, W the longest answer.  Only spans of 1..W tokens exist, so the
scores form a band: `band[b, w, t] = start[b, t] * end[b, t + w]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch


class Spans(NamedTuple):
    """The best spans of one row, falling by score, and the score of having no answer."""

    spans: list[tuple[int, int, float]]  # first token, last token, score
    null: float


def best_spans(start: torch.Tensor, end: torch.Tensor, allowed: torch.Tensor, top_k: int,
               longest: int) -> list[Spans]:
    """The `top_k` spans of each row.

    `start`, `end`: logits [B, T].  `allowed`: tokens that an answer may hold, [B, T] bool; the
    first token takes part in the softmax where it is allowed, but only as "no answer".
    """
    start = start.float().masked_fill(~allowed, -10000.0).softmax(-1)
    end = end.float().masked_fill(~allowed, -10000.0).softmax(-1)
    null = (start[:, 0] * end[:, 0]).tolist()
    start[:, 0] = end[:, 0] = 0.0
    band = _band(start, end, longest).flatten(1)
    scores, index = band.topk(min(top_k, band.shape[1]))
    width, first = index // start.shape[1], index % start.shape[1]
    last = (first + width).clamp(max=start.shape[1] - 1)
    inside = allowed.gather(1, first) & allowed.gather(1, last) & (scores > 0)
    rows = zip(first.tolist(), last.tolist(), scores.tolist(), inside.tolist(), null, strict=True)
    return [Spans([(a, b, score) for a, b, score, ok in zip(*row[:4], strict=True) if ok], row[4])
            for row in rows]


def _band(start: torch.Tensor, end: torch.Tensor, longest: int) -> torch.Tensor:
    width = min(longest, start.shape[1])
    band = start.new_full((start.shape[0], width, start.shape[1]), -1.0)
    for extra in range(width):
        stop = start.shape[1] - extra
        band[:, extra, :stop] = start[:, :stop] * end[:, extra:]
    return band
