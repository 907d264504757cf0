"""Initial values for parameters that no checkpoint gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.nn import init


def initialise(root: nn.Module, names: Iterable[str], std: Callable[[str], float]) -> None:
    """Give the parameters and buffers `names` of `root` their initial values, in place.

    Matrices and tables are normal with `std(name)`, biases zero, norms one; a table's padding row
    is zero.  `computed` tensors are computed.
    """
    with torch.no_grad():
        for name in names:
            path, _, leaf = name.rpartition(".")
            module = root.get_submodule(path)
            tensor = getattr(module, leaf)
            if leaf in getattr(module, "computed", ()):
                tensor.copy_(module.compute())  # type: ignore[operator]
            elif leaf == "bias" or leaf in module._buffers:
                init.zeros_(tensor)
            elif tensor.dim() > 1:
                init.normal_(tensor, 0.0, std(name))
                _clear_padding(module, tensor)
            else:
                init.constant_(tensor, 1.0 - getattr(module, "offset", 0.0))


def _clear_padding(module: nn.Module, table: torch.Tensor) -> None:
    if isinstance(module, nn.Embedding) and module.padding_idx is not None:
        table[module.padding_idx].zero_()
