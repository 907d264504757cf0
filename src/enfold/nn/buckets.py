"""T5's relative position bias (arXiv 1910.10683): one learned number per head and distance bucket.

Half of the buckets are exact distances, the other half grow logarithmically up to `distance`.
T queries, S keys, H heads
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from enfold.nn.table import Table
from enfold.spec import Buckets


class RelativeBias(Table):
    """The table [buckets, H] and the bias that it gives."""

    def __init__(self, spec: Buckets, heads: int) -> None:
        super().__init__(spec.count, heads)
        self.spec = spec

    def bias(self, queries: int, keys: int, offset: int) -> Tensor:
        """[1, H, T, S] for queries at offset .. offset + T - 1 over keys at 0 .. S - 1."""
        device = self.weight.device
        query = torch.arange(offset, offset + queries, device=device)[:, None]
        distance = torch.arange(keys, device=device)[None, :] - query
        return self.of(distance)

    def of(self, distance: Tensor) -> Tensor:
        """[1, H, T, S] for distances [T, S], a key's position minus a query's."""
        rows: Tensor = self(bucket(distance, self.spec))
        return rows.permute(2, 0, 1)[None]


def bucket(distance: Tensor, spec: Buckets) -> Tensor:
    """The bucket of each distance (key position minus query position)."""
    count, base = spec.count, torch.zeros_like(distance)
    if spec.bidirectional:
        count //= 2
        base, distance = (distance > 0).long() * count, distance.abs()
    else:
        distance = (-distance).clamp_min(0)
    exact = count // 2
    ratio = torch.log(distance.float() / exact) / math.log(spec.distance / exact)
    far = (exact + (ratio * (count - exact)).long()).clamp_max(count - 1)
    return base + torch.where(distance < exact, distance, far)
