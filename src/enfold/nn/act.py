"""Activation functions by their names in config.json."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from enfold.errors import ConfigError, nearest

Activation = Callable[[Tensor], Tensor]


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _quick_gelu(x: Tensor) -> Tensor:
    return x * torch.sigmoid(1.702 * x)


def _relu2(x: Tensor) -> Tensor:
    return F.relu(x).square()


ACTIVATIONS: dict[str, Activation] = {
    "gelu": F.gelu, "gelu_python": F.gelu, "gelu_new": _gelu_tanh, "gelu_fast": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh, "gelu_accurate": _gelu_tanh, "quick_gelu": _quick_gelu,
    "relu": F.relu, "relu2": _relu2, "relu6": F.relu6, "silu": F.silu, "swish": F.silu,
    "mish": F.mish, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "leaky_relu": F.leaky_relu,
    "linear": lambda x: x, "": lambda x: x,
}  # fmt: skip


def activation(name: str) -> Activation:
    """The activation that config.json calls `name`; `ConfigError` with near names if none is."""
    try:
        return ACTIVATIONS[name]
    except KeyError:
        raise ConfigError(f"unknown activation {name!r}{nearest(name, ACTIVATIONS)}. "
                          f"Expected one of: {', '.join(filter(None, ACTIVATIONS))}") from None
