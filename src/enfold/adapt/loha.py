"""LoHa (https://arxiv.org/abs/2108.06098): the product, number by number, of two of low rank.

    D = (A1 B1) * (A2 B2)      A [O, r], B [r, I]
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from enfold.adapt.added import Added, AddedConfig
from enfold.adapt.config import PeftType, configuration
from enfold.adapt.registry import METHODS, Method


@configuration
class LoHaConfig(AddedConfig):
    """LoHa; init_weights=False starts all four matrices from random numbers, not B2 from zero."""

    METHOD: ClassVar[PeftType | None] = PeftType.LOHA


class LoHa(Added):
    """LoHa at one layer."""

    def make(self, inputs: int, outputs: int, config: Any) -> None:
        for part in ("hada_w1", "hada_w2"):
            self.put_random(f"{part}_a", outputs, self.rank)
            self.put_random(f"{part}_b", self.rank, inputs,
                            zero=part == "hada_w2" and bool(config.init_weights))

    def matrix(self) -> Tensor:
        first, second = self.hada_w1_a @ self.hada_w1_b, self.hada_w2_a @ self.hada_w2_b
        return first * second  # type: ignore[no-any-return]


METHODS[PeftType.LOHA] = Method(LoHaConfig, LoHa, layers=(nn.Linear,))
