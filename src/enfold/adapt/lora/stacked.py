"""LoRA on a parameter that is a stack of matrices: W_e + s B_e A_e for each expert e.

A [E r, I] has the experts' matrices one below the other, B [O, r E] side by side, the rank before
the expert, which is peft's layout.   x [n, I] the inputs of one expert
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional as F

from enfold.adapt.lora.config import LoraConfig
from enfold.adapt.lora.delta import Lora, wide
from enfold.adapt.lora.init import start
from enfold.nn.moe import Added


class StackedLora(Lora):
    """LoRA on a stack."""

    def make(self, config: LoraConfig) -> None:
        (inputs, outputs), where = self.layer.sizes(), wide(self.layer)
        count = self.layer.anchor.shape[0]
        self.put("lora_A", nn.Linear(inputs, self.rank * count, bias=False, **where))
        self.put("lora_B", nn.Linear(self.rank * count, outputs, bias=False, **where))
        start(self, config)

    def factors(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """A [r, I] and B [O, r] of each matrix."""
        first, second = self.lora_A.weight, self.lora_B.weight
        both = (first.view(-1, self.rank, first.shape[1]),
                second.view(len(second), self.rank, -1).permute(2, 0, 1))
        return both[0].unbind(0), both[1].unbind(0)

    def added(self) -> Added:
        """s B_e A_e x of an expert e."""
        first, second = self.factors()

        def product(number: int, x: Tensor) -> Tensor:
            thin = F.linear(x.to(first[number].dtype), first[number]) * self.scaling
            return F.linear(thin, second[number])

        return product

    def products(self) -> Iterator[Tensor]:
        """What is added to each matrix."""
        return (b @ a * self.scaling for a, b in zip(*self.factors(), strict=True))
