"""DoRA (https://arxiv.org/abs/2402.09353): LoRA turns the rows of the weight, m gives their length.

    W' = m * (W + s B A) / |W + s B A|          m [O], the norm by row and without gradient
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.adapt.lora.config import LoraConfig
from enfold.adapt.lora.delta import EmbeddingLora, Lora


class Dora(Lora):
    """DoRA on a linear layer."""

    alone = True

    def make(self, config: LoraConfig) -> None:
        super().make(config)
        self.put("lora_magnitude_vector", nn.Parameter(self.norm().detach().clone()))

    def norm(self) -> Tensor:
        """|W + s B A| by output, [O]."""
        product = self.product()
        return torch.linalg.norm(self.layer.matrix.to(product.dtype) + product, dim=1)  # type: ignore[no-any-return]

    def __call__(self, x: Tensor, y: Tensor, base: Tensor) -> Tensor:
        scale = self.lora_magnitude_vector / self.norm().detach()
        bias = self.layer.base_layer.bias
        if self.dropout and self.layer.training:
            x = self.dropped(x)
            plain = F.linear(x, self.layer.matrix.to(x.dtype))
        else:
            plain = base if bias is None else base - bias
        turned = scale * self.spread(self.thin(x))
        return (y + (scale - 1) * plain + turned).to(y.dtype)  # type: ignore[no-any-return]

    def merged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        whole = weight + self.product().to(weight.dtype)
        self._merged_norm = torch.linalg.norm(whole, dim=self._over)
        return whole * self._scale(), bias

    def unmerged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight / self._scale() - self.product().to(weight.dtype), bias

    _over = 1

    def _scale(self) -> Tensor:
        return (self.lora_magnitude_vector / self._merged_norm).unsqueeze(self._over)  # type: ignore[no-any-return]


class EmbeddingDora(EmbeddingLora, Dora):
    """DoRA on an embedding; m [D], by column of the table [V, D]."""

    _over = 0

    def make(self, config: LoraConfig) -> None:
        EmbeddingLora.make(self, config)
        self.put("lora_magnitude_vector", nn.Parameter(self.norm().detach().clone()))

    def norm(self) -> Tensor:
        product = self.product()
        return torch.linalg.norm(self.layer.matrix.to(product.dtype) + product, dim=0)  # type: ignore[no-any-return]

    def __call__(self, x: Tensor, y: Tensor, base: Tensor) -> Tensor:
        scale = self.lora_magnitude_vector / self.norm().detach()
        turned = scale * self.spread(self.thin(x))
        return (y + (scale - 1) * base + turned).to(y.dtype)  # type: ignore[no-any-return]

    def merged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return Dora.merged(self, weight, bias)

    def unmerged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return Dora.unmerged(self, weight, bias)
