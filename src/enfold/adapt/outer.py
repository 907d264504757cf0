"""A module around a model whose names are not those of its children: they go through the child.

`nn.Module` builds the names of parameters from the paths of modules, which a `PublicFace` changes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn

from enfold.weights.paths import join

IncompatibleKeys = nn.modules.module._IncompatibleKeys


class Outer(nn.Module):
    """Names of parameters, buffers and state are the children's, below the child's own name."""

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, nn.Parameter]]:
        seen: set[int] = set()
        for name, child in self.named_children() if recurse else ():
            for path, parameter in child.named_parameters(join(prefix, name),
                                                          remove_duplicate=remove_duplicate):
                if not (remove_duplicate and id(parameter) in seen):
                    seen.add(id(parameter))
                    yield path, parameter

    def named_buffers(self, prefix: str = "", recurse: bool = True,
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        for name, child in self.named_children() if recurse else ():
            yield from child.named_buffers(join(prefix, name), remove_duplicate=remove_duplicate)

    def get_submodule(self, target: str) -> Any:
        """The module at a path."""
        name, _, rest = target.partition(".")
        if not target or name not in self._modules:
            return super().get_submodule(target)
        child = self._modules[name]
        return child.get_submodule(rest) if rest and child is not None else child

    def get_parameter(self, target: str) -> Any:
        """The parameter of a name."""
        name, _, rest = target.partition(".")
        child = self._modules.get(name)
        return super().get_parameter(target) if child is None else child.get_parameter(rest)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True,
                        assign: bool = False) -> Any:
        missing: list[str] = []
        unexpected = [key for key in state_dict
                      if not any(key.startswith(f"{name}.") for name in self._modules)]
        for name, child in self.named_children():
            start = f"{name}."
            own = {key.removeprefix(start): value for key, value in state_dict.items()
                   if key.startswith(start)}
            found = child.load_state_dict(own, strict=strict, assign=assign)
            missing += [start + key for key in found.missing_keys]
            unexpected += [start + key for key in found.unexpected_keys]
        if strict and unexpected:
            raise RuntimeError(f"{type(self).__name__}.load_state_dict: unexpected "
                               f"{', '.join(map(repr, unexpected[:6]))}")
        return IncompatibleKeys(missing, unexpected)
