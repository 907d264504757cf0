"""The public face of names: from outside, a model's parameters and paths are the ecosystem's.

    model.bert.encoder.layer[0].attention.self.query.weight        attribute paths
    for name, parameter in model.named_parameters(): ...           iteration
    model.state_dict(), model.load_state_dict(...)                 state
    model.classifier = nn.Linear(...)                              replacement

Inside, the model has two children, `body` and `head`, with our names.  A path that is a line of the
table is the module itself, an inner path (`bert.encoder`) a `View`: see `paths`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import CheckpointError, nearest
from enfold.weights.names import NameTable
from enfold.weights.packed import in_layers, inside, packed, take_state
from enfold.weights.paths import View, ancestors, join, no_path, replace, resolve
from enfold.weights.pieces import Pieces, apart
from enfold.weights.slots import PARTS, members, parameters

IncompatibleKeys = nn.modules.module._IncompatibleKeys


class PublicFace(nn.Module):
    """Gives a model with children `body` and `head` the ecosystem's names, by its table `names`."""

    names: NameTable
    pieces: tuple[Pieces, ...] = ()  # tensors that files hold otherwise than under their names

    # ---- iteration -------------------------------------------------------------------------------
    def _ours(self) -> Iterator[tuple[str, nn.Module]]:
        """(our path, module) of everything inside."""
        for part in PARTS:
            if part in self._modules:
                yield from self.get_submodule(part).named_modules(prefix=part)

    def modules(self, remove_duplicate: bool = True) -> Iterator[nn.Module]:
        yield self
        seen = set()
        for _, module in self._ours():
            if id(module) not in seen or not remove_duplicate:
                seen.add(id(module))
                yield module

    def named_modules(self, memo: set[nn.Module] | None = None, prefix: str = "",
                      remove_duplicate: bool = True) -> Iterator[tuple[str, nn.Module]]:
        """(their path, module): the model, inner paths that are a module of ours, and all lines."""
        memo = set() if memo is None else memo
        yield prefix, self
        emitted = {""}
        for ours, module in self._ours():
            theirs = self._theirs(ours)
            if theirs is None:
                continue
            for path in (*ancestors(theirs), theirs):
                found = module if path == theirs else resolve(self, path)
                found = found.module if isinstance(found, View) else found
                if path in emitted or not isinstance(found, nn.Module):
                    continue
                emitted.add(path)
                if remove_duplicate and found in memo:
                    continue
                memo.add(found)
                yield join(prefix, path), found

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, nn.Parameter]]:
        seen: set[int] = set()
        found = [(self.names.theirs(ours), parameter) for ours, parameter in parameters(self)]
        found.sort(key=lambda pair: self.names.rank(pair[0]))
        for theirs, parameter in found if recurse else ():
            if not (remove_duplicate and id(parameter) in seen):
                seen.add(id(parameter))
                yield join(prefix, theirs), parameter

    def _members(self) -> list[tuple[str, str, Tensor]]:
        """(their name, ours, tensor) of all that is stored, in the order of their modules."""
        found = [(self.names.theirs(ours), ours, tensor) for ours, tensor, _ in members(self)]
        return sorted(found, key=lambda member: self.names.rank(member[0]))

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True,
                      remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        for path, module in self._ours() if recurse else ():
            for leaf, buffer in module._buffers.items():
                if buffer is not None:
                    yield join(prefix, self._theirs(f"{path}.{leaf}") or f"{path}.{leaf}"), buffer

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _theirs(self, ours: str) -> str | None:
        try:
            return self.names.theirs(ours)
        except KeyError:
            return None

    # ---- state -----------------------------------------------------------------------------------
    def state_dict(self, *args: Any,  # type: ignore[override]
                   destination: dict[str, Any] | None = None, prefix: str = "",
                   keep_vars: bool = False) -> dict[str, Any]:
        """Their name -> tensor, ties and further names included."""
        if args:
            raise TypeError("state_dict takes keyword arguments: destination, prefix, keep_vars")
        state: dict[str, Any] = OrderedDict() if destination is None else destination
        found = [(name, tensor) for theirs, _, tensor in self._members()
                 for name in (theirs, *self.names.others(theirs))]
        for name, tensor in sorted(found, key=lambda pair: self.names.rank(pair[0])):
            state[prefix + name] = tensor if keep_vars else tensor.detach()
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True,
                        assign: bool = False) -> Any:
        """Copy a state (their names) in; with `strict` a missing or unexpected name raises.

        Experts may be stacked, or one by one as in files.
        """
        places: dict[str, list[str]] = {}
        for ours, _, _ in members(self, packed=False):
            places.setdefault(self.names.theirs(ours), []).append(ours)
        joints, state_dict = apart(state_dict, self.pieces)
        given: dict[str, Any] = {self.names.first(name): tensor
                                 for name, tensor in state_dict.items()} | joints
        stored = in_layers({self.names.ours(name): name for name in given if self._known(name)},
                           layers := packed(self))
        ties = {id(tensor): None for name, tensor in self.named_parameters() if name in given}
        missing = [name for name, tensor in self.state_dict(keep_vars=True).items()
                   if name not in state_dict and self.names.first(name) not in given and id(tensor)
                   not in ties and not inside(self.names.ours(name), stored)]
        taken = {name for keys in stored.values() for name in keys.values()}
        unexpected = [name for name in given if name not in places and name not in taken]
        if strict and (missing or unexpected):
            raise CheckpointError(_incompatible(type(self).__name__, missing, unexpected, places))
        for path, keys in stored.items():
            take_state(layers[path], path, {leaf: given[name] for leaf, name in keys.items()})
        for name, tensor in given.items():
            for ours in places.get(name, ()):
                _copy(self, ours, name, tensor() if name in joints else tensor, assign)
        return IncompatibleKeys(missing, unexpected)

    def _known(self, name: str) -> bool:
        """Whether the table has a line for their name."""
        try:
            return bool(self.names.ours(name))
        except KeyError:
            return False

    # ---- paths -----------------------------------------------------------------------------------
    def get_submodule(self, target: str) -> Any:
        """The module at their path, or at ours."""
        if target == "" or target.split(".")[0] in PARTS:
            return super().get_submodule(target)
        found = resolve(self, target)
        if found is None:
            raise AttributeError(no_path(self, target))
        return found

    def get_parameter(self, target: str) -> Any:
        """The parameter of their name, or of ours."""
        path, _, leaf = (target if target.split(".")[0] in PARTS
                         else self.names.ours(target)).rpartition(".")
        return getattr(super().get_submodule(path), leaf)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            known = not name.startswith("_") and "names" in self.__dict__
            found = resolve(self, name) if known else None
            if found is None:
                raise AttributeError(no_path(self, name)) from None
            return found

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, nn.Module) and name not in PARTS and "names" in self.__dict__:
            replace(self, name, value)
            return
        super().__setattr__(name, value)


def _copy(model: nn.Module, ours: str, name: str, tensor: Tensor, assign: bool) -> None:
    path, _, leaf = ours.rpartition(".")
    module = nn.Module.get_submodule(model, path)
    old = getattr(module, leaf)
    if old.shape != tensor.shape:
        raise CheckpointError(f"{type(model).__name__}: tensor {name!r} has shape "
                              f"{tuple(tensor.shape)}, expected {tuple(old.shape)}. Do: load a "
                              "state of a model with the same config")
    if assign:
        if isinstance(old, nn.Parameter):
            tensor = nn.Parameter(tensor.detach(), old.requires_grad)
        setattr(module, leaf, tensor)
    else:
        with torch.no_grad():  # not through .data: a packed copy has to notice
            old.copy_(tensor)


def _incompatible(title: str, missing: list[str], unexpected: list[str],
                  places: Mapping[str, Any]) -> str:
    parts = []
    if missing:
        parts.append(f"missing: {', '.join(map(repr, missing[:6]))}"
                     + (" ..." if len(missing) > 6 else ""))
    if unexpected:
        parts.append(f"unexpected: {', '.join(map(repr, unexpected[:6]))}"
                     + (" ..." if len(unexpected) > 6 else "")
                     + nearest(unexpected[0], places))
    return (f"{title}.load_state_dict: {'; '.join(parts)}. "
            "Do: load a state of the same architecture, or strict=False")
