"""(IA)^3 (https://arxiv.org/abs/2205.05638): a learned factor for each output of a layer, or, in
feed-forward layers, for each input.

    y = l * (W x + b)        y = W (l * x) + b        l [O, 1] or [1, I], ones at first
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from enfold.adapt.config import LayerConfig, PeftType, configuration
from enfold.adapt.layer import Adapted, Delta
from enfold.adapt.lora.delta import wide
from enfold.adapt.registry import METHODS, Method
from enfold.adapt.targets import called, candidates, fits, usual
from enfold.errors import ConfigError
from enfold.weights.face import PublicFace

SMALL = 1e-8  # what is divided by when an adapter is taken out of a weight


@configuration
class IA3Config(LayerConfig):
    """(IA)^3.  feedforward_modules: those of target_modules whose inputs are scaled, not outputs.

    Without target_modules: keys, values and the second layer of the feed-forward.
    init_ia3_weights=False starts from random numbers.  fan_in_fan_out is read off the layer and
    has no effect.
    """

    feedforward_modules: Any = None
    fan_in_fan_out: bool = False
    init_ia3_weights: bool = True

    METHOD: ClassVar[PeftType | None] = PeftType.IA3
    LACKS: ClassVar[tuple[str, ...]] = ("layers_to_transform", "layers_pattern")

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.feedforward_modules, list | tuple):
            self.feedforward_modules = set(self.feedforward_modules)
        targets, inner = self.target_modules, self.feedforward_modules
        if isinstance(targets, set) and isinstance(inner, set) and not inner <= targets:
            raise ConfigError(f"IA3Config: feedforward_modules names {sorted(inner - targets)}, "
                              f"expected some of target_modules {sorted(targets)}. Do: add them "
                              "to target_modules")


class IA3(Delta):
    """(IA)^3 at one layer."""

    def __init__(self, layer: Adapted, name: str, config: IA3Config, path: str) -> None:
        super().__init__(layer, name)
        inputs, outputs = layer.sizes()
        self.changes_input = feeds_forward(layer, config, path)
        size = (1, inputs) if self.changes_input else (outputs, 1)
        start = torch.ones if config.init_ia3_weights else torch.randn
        self.put("ia3_l", nn.Parameter(start(size, **wide(layer))))

    def before(self, x: Tensor) -> Tensor:
        return (x * self.ia3_l.flatten()).to(x.dtype)  # type: ignore[no-any-return]

    def __call__(self, x: Tensor, y: Tensor, base: Tensor) -> Tensor:
        return y if self.changes_input else (y * self.ia3_l.flatten()).to(y.dtype)

    def merged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self._times(weight, bias, self.ia3_l.to(weight.dtype))

    def unmerged(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self._times(weight, bias, 1 / (self.ia3_l.to(weight.dtype) + SMALL))

    def _times(self, weight: Tensor, bias: Tensor | None,
               factor: Tensor) -> tuple[Tensor, Tensor | None]:
        if bias is not None and not self.changes_input:
            bias = bias * factor.flatten()
        return weight * factor, bias


def feeds_forward(layer: Adapted, config: IA3Config, path: str) -> bool:
    """Whether the inputs of a layer are scaled."""
    if config.feedforward_modules is None:
        model = layer.adapters.model
        layers = dict(candidates(model))
        config.feedforward_modules = (  # a mixture of experts has none
            called(model, layers, DOWN.defaults) if isinstance(model, PublicFace)
            else usual(model, layers, DOWN, "IA3Config"))
    wanted = config.feedforward_modules
    if isinstance(wanted, str):
        return bool(re.fullmatch(wanted, path))
    return any(fits(path, end) for end in wanted)


DOWN = Method(IA3Config, defaults=("mlp.down",))
METHODS[PeftType.IA3] = Method(IA3Config, IA3, layers=(nn.Linear,), defaults=(
    "attn.k", "attn.v", "attn.qkv", "cross.k", "cross.v", "mlp.down"))
