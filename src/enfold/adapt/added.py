"""A whole matrix added to a weight, made of few numbers: what LoHa and LoKr have in common.

    y = (W + s D) x      W, D [O, I], s = alpha / r
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.adapt.config import LayerConfig, configuration
from enfold.adapt.layer import Adapted, Delta
from enfold.adapt.lora.delta import by_name, wide
from enfold.errors import ConfigError


@configuration
class AddedConfig(LayerConfig):
    """r: the rank; alpha: the scale is alpha / r; rank_pattern, alpha_pattern: other values for
    layers by a regular expression for the end of their name.  rank_dropout: share of the rows of D
    left out in a training step; module_dropout: chance that a layer goes without D.
    """

    rank_pattern: dict[str, int] = field(default_factory=dict)
    alpha_pattern: dict[str, float] = field(default_factory=dict)
    r: int = 8
    alpha: float = 8
    rank_dropout: float = 0.0
    module_dropout: float = 0.0
    use_effective_conv2d: bool = False
    init_weights: Any = True

    NOT_BUILT = {"use_effective_conv2d": "leave it out: convolutions are not adapted"}  # noqa: RUF012

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.r, int) or self.r < 1:
            raise ConfigError(f"{type(self).__name__}: r is {self.r!r}, expected a whole number of "
                              "at least 1. Do: give the rank, such as 8")


class Added(Delta):
    """A matrix added to a weight; a method defines `make` and `matrix`."""

    def __init__(self, layer: Adapted, name: str, config: Any, path: str) -> None:
        super().__init__(layer, name)
        self.rank = int(by_name(config.rank_pattern, path, config.r))
        self.scaling = by_name(config.alpha_pattern, path, config.alpha) / self.rank
        self.config = config
        inputs, outputs = layer.sizes()
        self.make(inputs, outputs, config)

    def make(self, inputs: int, outputs: int, config: Any) -> None:
        """Put the parts."""
        raise NotImplementedError

    def matrix(self) -> Tensor:
        """D [O, I]."""
        raise NotImplementedError

    def put_random(self, part: str, *size: int, zero: bool = False) -> None:
        """A part with random numbers, or zeros."""
        value = torch.zeros(size, **wide(self.layer))
        if not zero and not value.is_meta:
            nn.init.kaiming_uniform_(value, a=5**0.5)
        self.put(part, nn.Parameter(value))

    def __call__(self, x: Tensor, y: Tensor, base: Tensor) -> Tensor:
        training, config = self.layer.training, self.config
        if training and config.module_dropout and torch.rand(()) <= config.module_dropout:
            return y
        matrix = self.matrix() * self.scaling
        if training and config.rank_dropout:
            matrix = matrix * self._kept_rows(matrix)
        if x.dtype != matrix.dtype and not torch.is_autocast_enabled(x.device.type):
            x = x.to(matrix.dtype)
        return (y + F.linear(x, matrix)).to(y.dtype)

    def _kept_rows(self, matrix: Tensor) -> Tensor:
        kept = (torch.rand(len(matrix), 1, device=matrix.device) > self.config.rank_dropout).to(
            matrix.dtype)
        return kept / kept.mean() if getattr(self.config, "rank_dropout_scale", True) else kept  # type: ignore[no-any-return]

    def merged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight + (self.matrix() * self.scaling).to(weight.dtype), bias

    def unmerged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight - (self.matrix() * self.scaling).to(weight.dtype), bias
