"""What quantization costs: perplexity of a language model, error of the outputs of any other.

N samples, T time, D width
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from enfold.errors import InputError


def windows(ids: Sequence[int], length: int, count: int) -> tuple[list[Tensor], list[Tensor]]:
    """(samples to calibrate with, samples to measure on), each [1, T], out of a text's tokens.

    Up to `count` of either; those to measure on come behind, and are the same ones only where the
    text is a single window long.  Raises InputError for a text of fewer than 2 tokens.
    """
    if len(ids) < 2:
        raise InputError(f"the text has {len(ids)} tokens, expected at least {length}, better "
                         f"{2 * count * length}. Do: give a longer --text")
    rows = [torch.tensor([ids[start:start + length]]) for start in range(0, len(ids), length)]
    rows = [row for row in rows if row.shape[1] > 1]
    used = min(count, max(len(rows) // 2, 1))
    return rows[:used], rows[used:used + count] or rows[:used]


@torch.no_grad()
def perplexity(model: Any, samples: Sequence[Tensor]) -> float:
    """exp of the mean negative log likelihood of each token given those before it in its sample."""
    total, count = 0.0, 0
    for ids in samples:
        logits = model(input_ids=ids).logits[0, :-1].float()
        total += float(F.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        count += ids.shape[1] - 1
    mean = total / max(count, 1)
    return math.exp(mean) if mean < 700 else math.inf


@torch.no_grad()
def outputs(model: Any, samples: Sequence[Tensor]) -> list[Tensor]:
    """The last hidden states (or logits) of each sample."""
    found = []
    for ids in samples:
        out = model(input_ids=ids)
        found.append(out[next(name for name in ("last_hidden_state", "logits", "start_logits")
                              if name in out)].float())
    return found


def relative_error(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """|found - expected| / |expected| over all samples."""
    off = sum(float((a - b).square().sum()) for a, b in zip(found, expected, strict=True))
    return math.sqrt(off / max(sum(float(b.square().sum()) for b in expected), 1e-30))
