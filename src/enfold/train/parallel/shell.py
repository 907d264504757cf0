"""A module around a model that shows its parts as they are nested, whatever the model calls them.

torch's parallel wrappers look for weights from module to module; our models answer such questions
in the ecosystem's names (`enfold.weights.face`), where not every module has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn


class Shell(nn.Module):
    """`Shell(model)(...)` is `model(...)`; attributes are the model's."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.model(*args, **kwargs)

    def named_modules(self, memo: set[nn.Module] | None = None, prefix: str = "",
                      remove_duplicate: bool = True) -> Iterator[tuple[str, nn.Module]]:
        """(path by attributes, module) of everything inside."""
        yield from _walk(self, prefix, set() if memo is None else memo, remove_duplicate)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("_"):
                raise
            return getattr(super().__getattr__("model"), name)


def _walk(module: nn.Module, path: str, memo: set[nn.Module],
          once: bool) -> Iterator[tuple[str, nn.Module]]:
    if once and module in memo:
        return
    memo.add(module)
    yield path, module
    for name, child in module._modules.items():
        if child is not None:
            yield from _walk(child, f"{path}.{name}" if path else name, memo, once)
