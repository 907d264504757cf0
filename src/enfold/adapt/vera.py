"""VeRA (https://arxiv.org/abs/2310.11454): all layers share random A and B, and train two vectors.

    y = W x + b * (B (d * (A x)))      A [r, I], B [O, r] of the largest I and O, d [r], b [O]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.adapt.config import LayerConfig, PeftType, configuration
from enfold.adapt.layer import Adapted, Delta
from enfold.adapt.lora.delta import wide
from enfold.adapt.registry import METHODS, Method
from enfold.errors import ConfigError


@configuration
class VeraConfig(LayerConfig):
    """VeRA.

    projection_prng_key: the seed of A and B; save_projection=False leaves them out of the file.
    d_initial: the first value of d; b starts at zero, init_weights=False starts both otherwise.
    bias: "none", "all" or "vera_only", what else is trained.  fan_in_fan_out is read off the layer.
    """

    r: int = 256
    projection_prng_key: int = 0
    save_projection: bool = True
    vera_dropout: float = 0.0
    d_initial: float = 0.1
    fan_in_fan_out: bool = False
    bias: str = "none"
    init_weights: bool = True

    METHOD: ClassVar[PeftType | None] = PeftType.VERA
    LACKS: ClassVar[tuple[str, ...]] = ("exclude_modules",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.r, int) or self.r < 1:
            raise ConfigError(f"VeraConfig: r is {self.r!r}, expected a whole number of at least "
                              "1. Do: give the rank, such as 256")
        if self.bias not in ("none", "all", "vera_only"):
            raise ConfigError(f"VeraConfig: bias is {self.bias!r}, expected 'none', 'all' or "
                              "'vera_only'. Do: give one of these")


class Vera(Delta):
    """VeRA at one layer."""

    def __init__(self, layer: Adapted, name: str, config: VeraConfig, path: str) -> None:
        super().__init__(layer, name)
        (_, outputs), where = layer.sizes(), wide(layer)
        self.dropout = config.vera_dropout
        fresh = config.init_weights
        self.put("vera_lambda_b", nn.Parameter(
            torch.zeros(outputs, **where) if fresh else torch.ones(outputs, **where)))
        self.put("vera_lambda_d", nn.Parameter(
            torch.full((config.r,), config.d_initial, **where) if fresh
            else torch.randn(config.r, **where)))

    def shared(self) -> tuple[Tensor, Tensor]:
        """A [r, I] and B [O, r] as this layer uses them."""
        held, (inputs, outputs) = self.layer.adapters.shared[self.name], self.layer.sizes()
        for part, tensor in held.items():
            held[part] = tensor.to(self.layer.anchor.device)  # they are in no module that moves
        return held["vera_A"][:, :inputs], held["vera_B"][:outputs]

    def __call__(self, x: Tensor, y: Tensor, base: Tensor) -> Tensor:
        first, second = self.shared()
        if x.dtype != first.dtype and not torch.is_autocast_enabled(x.device.type):
            x = x.to(first.dtype)
        if self.dropout:
            x = F.dropout(x, self.dropout, self.layer.training)
        inner = self.vera_lambda_d * F.linear(x, first)
        return (y + self.vera_lambda_b * F.linear(inner, second)).to(y.dtype)  # type: ignore[no-any-return]

    def product(self) -> Tensor:
        """What is added to the weight [O, I]."""
        first, second = self.shared()
        return (self.vera_lambda_b[:, None] * second) @ (self.vera_lambda_d[:, None] * first)  # type: ignore[no-any-return]

    def merged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight + self.product().to(weight.dtype), bias

    def unmerged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight - self.product().to(weight.dtype), bias


def projections(config: VeraConfig, layers: Mapping[str, Any]) -> dict[str, Tensor]:
    """A and B for these layers, the same for the same seed on every machine."""
    bare = [getattr(layer, "base_layer", layer) for layer in layers.values()]
    source = torch.Generator("cpu").manual_seed(config.projection_prng_key)
    sizes = {"vera_A": (config.r, max(layer.in_features for layer in bare)),
             "vera_B": (max(layer.out_features for layer in bare), config.r)}
    made = {}
    for part, size in sizes.items():
        bound = (6 / size[1])**0.5
        made[part] = torch.empty(size, device="cpu").uniform_(-bound, bound, generator=source)
    return made


METHODS[PeftType.VERA] = Method(VeraConfig, Vera, layers=(nn.Linear,), shared=projections,
                                saves_shared=lambda config: config.save_projection)
