"""AdaLoraConfig: peft's, with what is not built named."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

from enfold.adapt.config import PeftType, configuration
from enfold.adapt.lora.config import LoraConfig
from enfold.errors import ConfigError

PLAIN = "use LoraConfig for it, or leave it out"


@configuration
class AdaLoraConfig(LoraConfig):
    """AdaLoRA (https://arxiv.org/abs/2303.10512): y = W x + s B (E * (A x)) / init_r, E [r].

    Ranks begin at init_r and are on average target_r in the end.  Of total_step optimiser steps the
    first tinit and the last tfinal leave them as they are; between, every deltaT steps the least
    important go.  beta1, beta2: how slowly importance and its spread move.  orth_reg_weight: of the
    penalty, added to the loss, that keeps A and B orthogonal.  The Trainer deals out ranks after
    each step; a loop of one's own calls model.base_model.update_and_allocate(step), with the number
    of the step, after each backward and before zero_grad.
    """

    rank_pattern: Any = None  # type: ignore[assignment]
    target_r: int = 8
    init_r: int = 12
    tinit: int = 0
    tfinal: int = 0
    deltaT: int = 1  # noqa: N815 - peft's name
    beta1: float = 0.85
    beta2: float = 0.85
    orth_reg_weight: float = 0.5
    total_step: int | None = None

    METHOD: ClassVar[PeftType | None] = PeftType.ADALORA
    NOT_BUILT: ClassVar[Mapping[str, str]] = {
        **LoraConfig.NOT_BUILT, "use_dora": PLAIN, "use_rslora": PLAIN, "lora_bias": PLAIN,
        "loftq_config": PLAIN, "alpha_pattern": PLAIN, "target_parameters": PLAIN}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.r != 8:
            warnings.warn(f"AdaLoraConfig: r={self.r} has no effect. Do: give init_r and target_r",
                          stacklevel=4)
        if isinstance(self.init_lora_weights, str):
            raise NotImplementedError("AdaLoraConfig: init_lora_weights="
                                      f"{self.init_lora_weights!r} is not built. Do: {PLAIN}")
        if not self.total_step or self.total_step <= 0:
            raise ConfigError(f"AdaLoraConfig: total_step is {self.total_step}, expected the "
                              "number of optimiser steps. Do: give it")
        if self.tinit >= self.total_step - self.tfinal:
            raise ConfigError(f"AdaLoraConfig: tinit={self.tinit} and tfinal={self.tfinal} leave "
                              f"none of total_step={self.total_step} to deal out ranks. Do: make "
                              "them smaller")
        for name in ("beta1", "beta2"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"AdaLoraConfig: {name} is {getattr(self, name)}, expected a "
                                  "number between 0 and 1. Do: give one, such as 0.85")
        if self.orth_reg_weight < 0:
            raise ConfigError(f"AdaLoraConfig: orth_reg_weight is {self.orth_reg_weight}, expected "
                              "0 or more. Do: give 0 for no penalty")
