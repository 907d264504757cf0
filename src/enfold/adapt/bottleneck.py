"""Bottleneck adapters: a small network behind a sub-layer, before its output joins the residual.

    y + s up(act(down(y)))      y [.., D] what attention or feed-forward gave, down to D / factor

Houlsby et al. (https://arxiv.org/abs/1902.00751) put one behind both, Pfeiffer et al.
(https://arxiv.org/abs/2005.00247) behind the feed-forward alone.  peft has no such method; the
files are laid out as its others.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from enfold.adapt.config import LayerConfig, PeftType, configuration
from enfold.adapt.layer import Adapted, Delta
from enfold.adapt.lora.delta import wide
from enfold.adapt.registry import METHODS, Method
from enfold.errors import ConfigError
from enfold.nn.act import activation

PLACES = {"houlsby": ("attn.o", "cross.o", "mlp.down"), "pfeiffer": ("mlp.down",)}


@configuration
class AdapterConfig(LayerConfig):
    """Bottleneck adapters.

    placement: "houlsby" or "pfeiffer"; target_modules in its place names the layers whose output
    is adapted.  reduction_factor: how much narrower than the output the inside is, or
    bottleneck_size: how wide.  non_linearity: an activation's name.  scaling: s.  dropout: of the
    inside.  init_weights: True starts `up` at zero, so that at first nothing changes.
    """

    placement: str = "houlsby"
    reduction_factor: float = 16
    bottleneck_size: int | None = None
    non_linearity: str = "relu"
    scaling: float = 1.0
    dropout: float = 0.0
    init_weights: bool = True

    METHOD: ClassVar[PeftType | None] = PeftType.BOTTLENECK

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.placement not in PLACES:
            raise ConfigError(f"AdapterConfig: placement is {self.placement!r}, expected one of "
                              f"{', '.join(PLACES)}. Do: give one of these")
        if self.reduction_factor <= 0:
            raise ConfigError(f"AdapterConfig: reduction_factor is {self.reduction_factor}, "
                              "expected a positive number. Do: give one, such as 16")
        activation(self.non_linearity)

    @property
    def usual(self) -> tuple[str, ...]:
        return PLACES[self.placement]


class Bottleneck(Delta):
    """A bottleneck adapter behind one layer."""

    def __init__(self, layer: Adapted, name: str, config: AdapterConfig, path: str) -> None:
        super().__init__(layer, name)
        (_, width), where = layer.sizes(), wide(layer)
        inside = config.bottleneck_size or max(1, int(width / config.reduction_factor))
        self.act, self.scaling = activation(config.non_linearity), config.scaling
        self.dropout = config.dropout
        self.put("adapter_down", nn.Linear(width, inside, **where))
        self.put("adapter_up", nn.Linear(inside, width, **where))
        if config.init_weights and not layer.anchor.is_meta:
            nn.init.zeros_(self.adapter_up.weight)
            nn.init.zeros_(self.adapter_up.bias)

    def __call__(self, x: Tensor, y: Tensor, base: Tensor) -> Tensor:
        h = y
        if h.dtype != self.adapter_down.weight.dtype and not torch.is_autocast_enabled(
                y.device.type):
            h = h.to(self.adapter_down.weight.dtype)
        inside = F.dropout(self.act(self.adapter_down(h)), self.dropout, self.layer.training)
        return (y + self.scaling * self.adapter_up(inside)).to(y.dtype)  # type: ignore[no-any-return]


METHODS[PeftType.BOTTLENECK] = Method(AdapterConfig, Bottleneck, layers=(nn.Linear,))
