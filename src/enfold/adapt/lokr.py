"""LoKr (https://arxiv.org/abs/2309.14859): the Kronecker product of a small matrix and another.

    D = W1 (x) W2      W1 [o1, i1], W2 [o2, i2], O = o1 o2, I = i1 i2, each perhaps of rank r
"""

from __future__ import annotations

from math import isqrt
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.adapt.added import Added, AddedConfig
from enfold.adapt.config import PeftType, configuration
from enfold.adapt.registry import METHODS, Method
from enfold.errors import ConfigError


@configuration
class LoKrConfig(AddedConfig):
    """LoKr.

    decompose_both: W1 may be of rank r too; decompose_factor: what o1 and i1 are at most, -1 for as
    near to the square root as a divisor comes.  rank_dropout_scale: make up for the rows left out.
    init_weights: True (W1 zero), "lycoris" (W2 zero), False (both random).
    """

    decompose_both: bool = False
    decompose_factor: int = -1
    rank_dropout_scale: bool = False

    METHOD: ClassVar[PeftType | None] = PeftType.LOKR

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.init_weights not in (True, False, "lycoris"):
            raise ConfigError(f"LoKrConfig: init_weights is {self.init_weights!r}, expected True, "
                              "False or 'lycoris'. Do: give one of these")


class LoKr(Added):
    """LoKr at one layer."""

    def make(self, inputs: int, outputs: int, config: Any) -> None:
        o1, o2 = factors(outputs, config.decompose_factor)
        i1, i2 = factors(inputs, config.decompose_factor)
        start = config.init_weights
        self._factor("lokr_w1", o1, i1, config.decompose_both and self.rank < max(o1, i1) / 2,
                     zero="a" if start is True else "")
        self._factor("lokr_w2", o2, i2, self.rank < max(o2, i2) / 2,
                     zero="b" if start == "lycoris" else "")

    def _factor(self, part: str, rows: int, columns: int, low: bool, *, zero: str) -> None:
        """A factor, whole or of low rank; `zero` names the half that starts at zero."""
        if low:
            self.put_random(f"{part}_a", rows, self.rank, zero=zero == "a")
            self.put_random(f"{part}_b", self.rank, columns, zero=zero == "b")
        else:
            self.put_random(part, rows, columns, zero=bool(zero))

    def matrix(self) -> Tensor:
        held = {part for part, _ in self.parts()}
        first, second = (getattr(self, part) if part in held else
                         getattr(self, f"{part}_a") @ getattr(self, f"{part}_b")
                         for part in ("lokr_w1", "lokr_w2"))
        return torch.kron(first, second)


def factors(size: int, limit: int) -> tuple[int, int]:
    """size as a product: `limit` times the rest if it divides, else the largest divisor below."""
    if limit > 0 and size % limit == 0:
        return limit, size // limit
    most = isqrt(size) if limit == -1 else min(limit, isqrt(size))
    first = max((d for d in range(1, most + 1) if size % d == 0), default=1)
    return first, size // first


METHODS[PeftType.LOKR] = Method(LoKrConfig, LoKr, layers=(nn.Linear,))
