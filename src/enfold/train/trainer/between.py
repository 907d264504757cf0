"""Adapters between the steps of training: `enfold.adapt.stepping`, loaded where there are some."""

from __future__ import annotations

from typing import Any

from torch import nn

from enfold.train.trainer.counting import base_of

FILE = "adapters.pt"  # adapters as they are in training, where their own files hold less


def after_step(model: nn.Module, step: int) -> None:
    """Let the adapters that are trained know that a step was made; AdaLoRA deals out ranks."""
    base = base_of(model)
    if "_adapters" in vars(base):
        from enfold.adapt.stepping import after_step

        after_step(base, step)


def training_state(model: nn.Module) -> dict[str, Any]:
    """What a checkpoint keeps beside the adapters' files; mostly nothing."""
    base = base_of(model)
    if "_adapters" not in vars(base):
        return {}
    from enfold.adapt.stepping import training_state

    return training_state(base)


def load_training_state(model: nn.Module, state: dict[str, Any]) -> None:
    """Go on from what `training_state` gave."""
    from enfold.adapt.stepping import load_training_state

    load_training_state(base_of(model), state)
