"""Rows of all ranks, in the order of one process."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from enfold.train.trainer.arrays import PADDING, nested


def gathered(ranks: Any, value: Any, rows: int) -> Any:
    """The first `rows` rows of the tensors on each rank, rank after rank, padded with -100."""
    return nested(lambda part: _tensor(ranks, part, rows) if torch.is_tensor(part) else part,
                  value)


def _tensor(ranks: Any, part: Tensor, rows: int) -> Tensor:
    part = part[None] if part.dim() == 0 else part
    shape = torch.tensor([[rows, *part.shape]], device=part.device)
    shapes = ranks.gather(shape).view(-1, part.dim() + 1)
    sizes = shapes[:, 1:].max(0).values.tolist()
    pad = [n for size, wanted in zip(reversed(part.shape), reversed(sizes), strict=True)
           for n in (0, wanted - size)]
    every = ranks.gather(F.pad(part, pad, value=PADDING).contiguous())
    parts = every.view(-1, sizes[0], *every.shape[1:])
    return torch.cat([one[:int(kept)] for one, kept in zip(parts, shapes[:, 0], strict=True)])
