"""Rows of all ranks, in the order of one process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from enfold.train.trainer.arrays import PADDING, is_objects


def gathered(ranks: Any, value: Any, rows: int, objects: bool = False) -> Any:
    """The first `rows` rows of the tensors on each rank, rank after rank, padded with -100.

    objects: lists of other things are put together too, else each rank keeps its own.
    """
    if objects and is_objects(value):
        return [one for held in ranks.gather_object(value[:rows]) for one in held]
    if isinstance(value, Mapping):
        return {name: gathered(ranks, part, rows, objects) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(gathered(ranks, part, rows, objects) for part in value)
    return _tensor(ranks, value, rows) if torch.is_tensor(value) else value


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
