"""AdaLoRA at one layer: y + s B (E * (A x)) / init_r.

x [.., I], A [r, I], E [r, 1], B [O, r]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.adapt.adalora.config import AdaLoraConfig
from enfold.adapt.config import PeftType
from enfold.adapt.layer import Adapted, Delta
from enfold.adapt.lora.delta import wide
from enfold.adapt.registry import METHODS, Method

PARTS = ("lora_A", "lora_E", "lora_B")
SMALL = 1e-5


class AdaLora(Delta):
    """AdaLoRA on a linear layer."""

    def __init__(self, layer: Adapted, name: str, config: AdaLoraConfig, path: str) -> None:
        super().__init__(layer, name)
        (inputs, outputs), where = layer.sizes(), wide(layer)
        self.config, self.path = config, path
        mask = self.mask()
        rank = config.init_r if mask is None else sum(mask)
        scale = config.lora_alpha if config.lora_alpha > 0 else float(config.init_r)
        self.scaling = scale / (config.init_r + SMALL)
        for part, size in zip(PARTS, ((rank, inputs), (rank, 1), (outputs, rank)), strict=True):
            value = torch.randn(size, **where)
            if config.init_lora_weights:
                value.mul_(0 if part == "lora_E" else 0.02)
            self.put(part, nn.Parameter(value))

    def mask(self) -> list[bool] | None:
        """Which of the init_r ranks are left, if that has been decided."""
        found: list[bool] | None = (self.config.rank_pattern or {}).get(f"{self.path}.lora_E")
        return found

    def __call__(self, x: Tensor, y: Tensor, base: Tensor) -> Tensor:
        if x.dtype != self.lora_A.dtype and not torch.is_autocast_enabled(x.device.type):
            x = x.to(self.lora_A.dtype)
        if self.config.lora_dropout:
            x = F.dropout(x, self.config.lora_dropout, self.layer.training)
        inner = F.linear(x, self.lora_A * self.lora_E)
        return (y + F.linear(inner, self.lora_B) * self.scaling).to(y.dtype)

    def product(self) -> Tensor:
        """What is added to the weight [O, I]."""
        return self.lora_B @ (self.lora_A * self.lora_E) * self.scaling  # type: ignore[no-any-return]

    def merged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight + self.product().to(weight.dtype), bias

    def unmerged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight - self.product().to(weight.dtype), bias

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """As in a file: without the ranks that are gone."""
        mask = self.mask()
        for part, tensor in super().tensors():
            dim = 1 if part == "lora_B" else 0
            if mask is not None and part in PARTS and tensor.shape[dim] == len(mask) > sum(mask):
                left = torch.tensor(mask, device=tensor.device).nonzero().flatten()
                tensor = tensor.index_select(dim, left)
            yield part, tensor


def penalty(deltas: Sequence[AdaLora]) -> Tensor:
    """How far A and B are from orthogonal, times orth_reg_weight."""
    far = []
    for delta in deltas:
        for square in (delta.lora_A @ delta.lora_A.t(), delta.lora_B.t() @ delta.lora_B):
            one = torch.eye(len(square), device=square.device, dtype=square.dtype)
            far.append(torch.linalg.norm(square - one))
    weight: float = deltas[0].config.orth_reg_weight
    return torch.stack(far).mean() * weight


def _later(name: str) -> Any:
    """A function of `ranks`, which needs this file."""
    def call(*args: Any) -> Any:
        from enfold.adapt.adalora import ranks

        return getattr(ranks, name)(*args)

    return call


METHODS[PeftType.ADALORA] = Method(
    AdaLoraConfig, AdaLora, layers=(nn.Linear,), penalty=penalty, after_step=_later("step_of"),
    state=_later("state_of"), load_state=_later("load_state"))
