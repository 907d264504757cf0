"""An adapter whose start changed the base weights (PiSSA, OLoRA), as one for the original base.

    W + dW = W_rest + s B A,  W = W_rest + s B0 A0   =>   dW = s [B, -B0] [A; A0]

Twice the rank, and the base model it is loaded onto is the one everybody has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from enfold.adapt.lora.config import LoraConfig
from enfold.errors import CheckpointError, InputError


def from_original(config: Any, tensors: Mapping[str, Tensor], start: Mapping[str, Tensor],
                  source: str) -> tuple[LoraConfig, dict[str, Tensor]]:
    """(configuration, tensors) of the adapter for the original base; `start` is how it began."""
    if not isinstance(config, LoraConfig) or config.use_dora or config.target_parameters:
        raise InputError("path_initial_model_for_weight_conversion is for LoRA that starts from "
                         f"the base weights, got {type(config).__name__}. Do: leave it out")
    made = {}
    for name, tensor in tensors.items():
        if ".lora_" not in name:
            made[name] = tensor
            continue
        if name not in start or start[name].shape != tensor.shape:
            raise CheckpointError(f"{source}: tensor {name!r} is missing or of another shape, "
                                  f"expected {tuple(tensor.shape)}. Do: give the folder where the "
                                  "adapter was saved before training")
        first = start[name].to(tensor)
        made[name] = torch.cat([tensor, first], 0) if ".lora_A" in name else \
            torch.cat([tensor, -first], 1)
    more = 2**0.5 if config.use_rslora else 2
    return replace(config, r=config.r * 2, lora_alpha=config.lora_alpha * more,
                   init_lora_weights=True,
                   rank_pattern={key: rank * 2 for key, rank in config.rank_pattern.items()},
                   alpha_pattern={key: alpha * more
                                  for key, alpha in config.alpha_pattern.items()}), made
