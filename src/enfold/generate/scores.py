"""The scores of the tokens that were chosen, out of the scores of all tokens."""

from __future__ import annotations

import torch
from torch import Tensor


def compute_transition_scores(sequences: Tensor, scores: tuple[Tensor, ...],
                              beam_indices: Tensor | None = None,
                              normalize_logits: bool = False) -> Tensor:
    """The score of each new token [B, new]; 0 after the end of a row of beams.

    sequences: [B, T] of generate's result.  scores: its scores (or logits), [rows, V] each.
    beam_indices: its beam_indices, for beams.  normalize_logits: log-probabilities instead of
    scores.
    """
    table = torch.stack(scores)  # [new, rows, V]
    if normalize_logits:
        table = table.log_softmax(-1)
    if beam_indices is None:
        rows = torch.arange(table.shape[1], device=sequences.device)
        beam_indices = rows[:, None].expand(-1, len(scores))
    new = int((beam_indices >= 0).sum(-1).max())
    rows = beam_indices[:, :new]
    tokens = sequences[:, sequences.shape[1] - new :]
    step = torch.arange(new, device=sequences.device).expand_as(rows)
    found = table[step, rows.clamp(min=0).long(), tokens]
    return found.masked_fill(rows < 0, 0.0)
