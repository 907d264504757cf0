"""modules_to_save: layers of the base model that an adapter trains whole.

    score                       Kept
    ├── original_module         the layer as it was
    └── modules_to_save         each adapter's own copy
"""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from enfold.adapt.rows import BASE, groups
from enfold.adapt.targets import candidates
from enfold.errors import InputError, nearest
from enfold.weights.face import PublicFace

if TYPE_CHECKING:
    from enfold.adapt.adapters import Adapters


class Kept(nn.Module):
    """A layer and the copies of it that adapters train."""

    def __init__(self, base: nn.Module, adapters: Adapters) -> None:
        super().__init__()
        self.original_module = base
        self.modules_to_save = nn.ModuleDict()
        self.adapters = adapters
        self.training = base.training

    def add(self, name: str) -> None:
        """A copy for an adapter."""
        copy = deepcopy(self.original_module)
        self.modules_to_save[name] = copy.requires_grad_(True)

    def active(self) -> nn.Module:
        """The layer that runs: of the last active adapter that has one."""
        if self.adapters.enabled:
            for name in reversed(self.adapters.active):
                if name in self.modules_to_save:
                    return self.modules_to_save[name]
        return self.original_module

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        names = self.adapters.rows.get()
        if names is None or not self.adapters.enabled:
            return self.active()(x, *args, **kwargs)
        y = self.original_module(x, *args, **kwargs)
        for name, rows in groups(names, x).items():
            if name != BASE and name in self.modules_to_save:
                y = y.clone()
                y[rows] = self.modules_to_save[name](x[rows], *args, **kwargs)
        return y

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in ("original_module", "modules_to_save") or name.startswith("__"):
                raise
            return getattr(self.active(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("weight", "bias"):
            setattr(self.original_module, name, value)
        else:
            super().__setattr__(name, value)


def head_names(model: nn.Module, names: tuple[str, ...]) -> list[str]:
    """Those of the usual names of a head that the model has; else the layers of its head."""
    paths = [path for path, _ in candidates(model)]
    found = [name for name in names if any(name in path.split(".") for path in paths)]
    if found or not isinstance(model, PublicFace):
        return found
    return [model.names.theirs(f"head.{path}")
            for path, module in model.get_submodule("head").named_modules() if module._parameters]


def find_kept(model: nn.Module, names: list[str], optional: frozenset[str]) -> dict[str, nn.Module]:
    """path -> layer of what modules_to_save names: the layers that hold parameters themselves."""
    found: dict[str, nn.Module] = {}
    everything = dict(candidates(model))
    for wanted in names:
        below = {path: module for path, module in everything.items()
                 if re.match(rf"(^|.*\.){re.escape(wanted)}($|\..*)", path)
                 and (module._parameters or isinstance(module, Kept))}
        if not below and wanted not in optional:
            ends = {path.rpartition(".")[2] for path in everything}
            raise InputError(f"modules_to_save: no layer fits {wanted!r}{nearest(wanted, ends)}. "
                             "Do: give names or ends of names of layers of the model")
        found |= below
    return {path: module for path, module in found.items()
            if not any(path.startswith(f"{other}.") for other in found)}
