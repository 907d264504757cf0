"""QLoRA: what a quantized model needs before adapters are trained on it.

https://arxiv.org/abs/2305.14314
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from enfold.errors import InputError

SIXTEEN = (torch.float16, torch.bfloat16)


def prepare_model_for_kbit_training(model: nn.Module, use_gradient_checkpointing: bool = True,
                                    gradient_checkpointing_kwargs: Mapping[str, Any] | None = None,
                                    ) -> nn.Module:
    """Freeze a model, keep its 16-bit parameters (norms, embeddings, the head) in 32 bits, and have
    blocks recomputed in the backward pass; returns the model, changed in place.

    gradient_checkpointing_kwargs: of `model.gradient_checkpointing_enable`.  Then add adapters:
    `get_peft_model(model, LoraConfig(...))`.
    """
    if gradient_checkpointing_kwargs and not use_gradient_checkpointing:
        raise InputError("prepare_model_for_kbit_training: gradient_checkpointing_kwargs only "
                         "matter with use_gradient_checkpointing=True. Do: leave them out")
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        if parameter.dtype in SIXTEEN:
            parameter.data = parameter.data.float()
    if use_gradient_checkpointing:
        _recompute(model, dict(gradient_checkpointing_kwargs or {}))
    return model


def _recompute(model: Any, options: dict[str, Any]) -> None:
    if not hasattr(model, "gradient_checkpointing_enable"):
        raise InputError(f"prepare_model_for_kbit_training: a {type(model).__name__} can't "
                         "recompute its blocks. Do: use_gradient_checkpointing=False")
    if options.get("use_reentrant", True):  # it wants an input with gradients
        model.enable_input_require_grads()
    model.gradient_checkpointing_enable(options or None)
