"""LoRA at one layer: y + s B A x.

x [.., I], A [r, I], B [O, r]; at an embedding ids [..], A [r, V], B [D, r].
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.adapt.config import PeftType
from enfold.adapt.layer import Adapted, Delta
from enfold.adapt.lora.config import LoraConfig
from enfold.adapt.lora.init import embedding_start, start
from enfold.adapt.registry import METHODS, Method

FULL = torch.float32


class Lora(Delta):
    """LoRA on a linear layer."""

    def __init__(self, layer: Adapted, name: str, config: LoraConfig, path: str) -> None:
        super().__init__(layer, name)
        self.rank = int(by_name(config.rank_pattern, path, config.r))
        self.alpha = by_name(config.alpha_pattern, path, config.lora_alpha)
        self.scaling = self.alpha / (self.rank**0.5 if config.use_rslora else self.rank)
        self.dropout, self.has_bias = config.lora_dropout, config.lora_bias
        self.make(config)

    def make(self, config: LoraConfig) -> None:
        """The two matrices, with their first values."""
        (inputs, outputs), where = self.layer.sizes(), wide(self.layer)
        self.put("lora_A", nn.Linear(inputs, self.rank, bias=False, **where))
        self.put("lora_B", nn.Linear(self.rank, outputs, bias=config.lora_bias, **where))
        start(self, config)

    def __call__(self, x: Tensor, y: Tensor, base: Tensor) -> Tensor:
        thin, second = self.thin(self.dropped(x)), self.lora_B
        if thin.dtype != y.dtype or second.bias is not None or y.dim() < 2:
            return (y + self.spread(thin)).to(y.dtype)
        flat = torch.addmm(y.flatten(0, -2), thin.flatten(0, -2), second.weight.t())
        return flat.view(y.shape).to(y.dtype)  # the sum within the product: y is read once

    def thin(self, x: Tensor) -> Tensor:
        """s A x [.., r], in the adapter's own type unless autocast chooses.

        Scaled here, where it is smallest.
        """
        weight = self.lora_A.weight
        if x.dtype != weight.dtype and not torch.is_autocast_enabled(x.device.type):
            x = x.to(weight.dtype)
        return self.lora_A(x) * self.scaling  # type: ignore[no-any-return]

    def spread(self, thin: Tensor) -> Tensor:
        """s B A x [.., O] of s A x."""
        bias = self.lora_B.bias
        return F.linear(thin, self.lora_B.weight, None if bias is None else bias * self.scaling)

    def dropped(self, x: Tensor) -> Tensor:
        """x with dropout in training."""
        return F.dropout(x, self.dropout, self.layer.training) if self.dropout else x

    def product(self) -> Tensor:
        """s B A, what is added to the weight [O, I]."""
        return self.lora_B.weight @ self.lora_A.weight * self.scaling  # type: ignore[no-any-return]

    def merged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight + self.product().to(weight.dtype), self._shifted(bias, self.scaling)

    def unmerged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight - self.product().to(weight.dtype), self._shifted(bias, -self.scaling)

    def _shifted(self, bias: Tensor | None, scale: float) -> Tensor | None:
        own = self.lora_B.bias
        if own is None:
            return bias
        return own * scale if bias is None else bias + own.to(bias.dtype) * scale  # type: ignore[no-any-return]


class EmbeddingLora(Lora):
    """LoRA on an embedding: the row of A for each id, times B."""

    def make(self, config: LoraConfig) -> None:
        (count, dim), where = self.layer.sizes(), wide(self.layer)
        if config.lora_bias:
            raise NotImplementedError("lora_bias=True on an embedding is not built. Do: leave the "
                                      "embedding out of target_modules")
        self.put("lora_embedding_A", nn.Parameter(torch.empty(self.rank, count, **where)))
        self.put("lora_embedding_B", nn.Parameter(torch.empty(dim, self.rank, **where)))
        embedding_start(self, config)

    def __call__(self, x: Tensor, y: Tensor, base: Tensor) -> Tensor:
        return (y + self.spread(self.thin(x))).to(y.dtype)

    def thin(self, x: Tensor) -> Tensor:
        base: Any = self.layer.base_layer
        return F.embedding(x, self.lora_embedding_A.t(), base.padding_idx) * self.scaling  # type: ignore[no-any-return]

    def spread(self, thin: Tensor) -> Tensor:
        return thin @ self.lora_embedding_B.t()  # type: ignore[no-any-return]

    def product(self) -> Tensor:
        both = self.lora_embedding_B @ self.lora_embedding_A
        return both.t() * self.scaling  # type: ignore[no-any-return]

    def _shifted(self, bias: Tensor | None, scale: float) -> Tensor | None:
        return bias


def lora(layer: Adapted, name: str, config: LoraConfig, path: str) -> Lora:
    """LoRA, or DoRA, for a layer."""
    from enfold.adapt.lora.dora import Dora, EmbeddingDora

    table = isinstance(layer.base_layer, nn.Embedding)
    kinds = (Dora, EmbeddingDora) if config.use_dora else (Lora, EmbeddingLora)
    return kinds[table](layer, name, config, path)


def by_name(pattern: Mapping[str, Any], path: str, otherwise: Any) -> Any:
    """The value of the first regular expression that fits the end of a layer's name."""
    for end, value in pattern.items():
        if re.match(rf"(.*\.)?({end})$", path):
            return value
    return otherwise


def wide(layer: Adapted) -> dict[str, Any]:
    """Device and type of an adapter's tensors: 32 bits, which training needs."""
    return {"device": layer.anchor.device, "dtype": torch.promote_types(layer.dtype, FULL)}


def stacked(layer: Adapted, name: str, config: LoraConfig, path: str) -> Lora:
    """LoRA for a parameter."""
    from enfold.adapt.lora.stacked import StackedLora

    return StackedLora(layer, name, config, path)


METHODS[PeftType.LORA] = Method(LoraConfig, lora, stacked)
