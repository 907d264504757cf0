"""Which parameters decay: all but biases and the weights of norms."""

from __future__ import annotations

import re
from typing import Any

from torch import nn

PLAIN = re.compile(r"bias|layernorm|rmsnorm|(?:^|\.)norm(?:$|\.)|_norm(?:$|\.)")


def get_decay_parameter_names(model: nn.Module) -> list[str]:
    """Names of the parameters that weight decay applies to, as transformers chooses them.

    Left out: parameters of norm modules, of whichever class, and those whose name says bias or
    norm.
    """
    modules = dict(model.named_modules())
    return [
        name
        for name, _ in model.named_parameters()
        if not PLAIN.search(name.lower()) and not _in_norm(modules, name)
    ]


def decay_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters in two groups: with `weight_decay` and without."""
    decaying = set(get_decay_parameter_names(model))
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    return [
        {"params": [p for n, p in trained if n in decaying], "weight_decay": weight_decay},
        {"params": [p for n, p in trained if n not in decaying], "weight_decay": 0.0},
    ]


def _in_norm(modules: dict[str, nn.Module], name: str) -> bool:
    owner = modules.get(name.rpartition(".")[0])
    return owner is not None and "norm" in type(owner).__name__.lower()
