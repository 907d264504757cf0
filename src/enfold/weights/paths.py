"""The ecosystem's paths over our modules: what `model.bert.encoder.layer[0]` is.

A path that is a line of the names table is the module itself; an inner path is a `View`, a light
stand-in for all below it, which knows the module of ours that holds the same, if there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from enfold.errors import nearest

if TYPE_CHECKING:
    from enfold.weights.face import PublicFace


class View(nn.Module):
    """An inner path of the ecosystem's module tree: attributes, indices, parameters below it."""

    def __init__(self, model: PublicFace, path: str) -> None:
        self.__dict__.update(_model=model, _path=path)  # nn.Module's own are not set up: see below

    def __getattribute__(self, name: str) -> Any:
        """What nn.Module has is that of the module which is stood for."""
        if name in OWN or name.startswith("__"):
            return object.__getattribute__(self, name)
        return View.__getattr__(self, name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def module(self) -> nn.Module | None:
        """Our module that holds what this path holds, if there is one."""
        return common(self._model, self._path)

    def named_parameters(self, prefix: str = "", recurse: bool = True,
                         remove_duplicate: bool = True) -> Iterator[tuple[str, nn.Parameter]]:
        """(name relative to this path, parameter) of all below it."""
        start = f"{self._path}."
        for name, parameter in self._model.named_parameters(remove_duplicate=remove_duplicate):
            if name.startswith(start):
                yield join(prefix, name[len(start) :]), parameter

    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]:
        """All parameters below this path."""
        return (parameter for _, parameter in self.named_parameters())

    def state_dict(self) -> dict[str, Tensor]:  # type: ignore[override]
        """The tensors below this path."""
        start = f"{self._path}."
        return {name[len(start) :]: t for name, t in self._model.state_dict().items()
                if name.startswith(start)}

    def requires_grad_(self, requires_grad: bool = True) -> View:
        """Freeze or unfreeze all below this path."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def __getattr__(self, name: str) -> Any:
        found = None if name.startswith("__") else resolve(self._model, f"{self._path}.{name}")
        if found is not None:
            return found
        module = self.module
        if module is None or not hasattr(module, name):
            raise AttributeError(no_path(self._model, f"{self._path}.{name}"))
        return getattr(module, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):
            object.__setattr__(self, name, value)
        else:
            replace(self._model, f"{self._path}.{name}", value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.module is None:
            raise TypeError(f"{self._path} is no module that can be called: this architecture is "
                            "built differently inside. Do: call the model or one of its layers")
        return self.module(*args, **kwargs)

    def __len__(self) -> int:
        indices = {ours[len(self._path) + 1 :].split(".")[0]
                   for ours, _ in self._model.named_parameters()
                   if ours.startswith(f"{self._path}.")}
        return sum(index.isdigit() for index in indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        number = index + len(self) if index < 0 else index
        if not 0 <= number < len(self):
            raise IndexError(f"{self._path} has {len(self)} entries, got index {index}")
        return resolve(self._model, f"{self._path}.{number}")

    def __iter__(self) -> Iterator[Any]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"{self._path}: {self.module!r}"


OWN = {"_model", "_path", *vars(View)}  # the attributes of a View itself


def resolve(model: PublicFace, path: str) -> Any:
    """The module, parameter or View at their path; None if there is nothing."""
    try:
        ours = model.names.ours(path)
    except KeyError:
        ours = None
    if ours is not None:
        return _ours_at(model, ours)
    whole = model.whole(path)  # type: ignore[operator]
    if whole is not None:
        return whole
    return View(model, path) if any(_ours_at(model, below) is not None
                                    for _, below in model.names.below(path)) \
        else None


def replace(model: PublicFace, path: str, value: Any) -> None:
    """Put a module or parameter in the place of what their path names."""
    try:
        ours = model.names.ours(path)
    except KeyError:
        raise AttributeError(no_path(model, path)) from None
    parent, _, leaf = ours.rpartition(".")
    setattr(nn.Module.get_submodule(model, parent), leaf, value)


def _ours_at(model: PublicFace, ours: str) -> Any:
    here: Any = model
    for part in ours.split("."):
        if part == "*":
            return here
        if not isinstance(here, nn.Module):
            return getattr(here, part, None)
        inside = (here._modules, here._parameters, here._buffers)
        found = next((place[part] for place in inside if place.get(part) is not None), None)
        if found is None:
            return getattr(here, part) if hasattr(type(here), part) else None
        here = found
    return here


def common(model: PublicFace, path: str) -> nn.Module | None:
    """The deepest module of ours that holds all lines below their path."""
    below = [ours.split(".") for _, ours in model.names.below(path)]
    if not below:
        return None
    shared = []
    for parts in zip(*below, strict=False):
        if len(set(parts)) > 1 or parts[0] == "*":
            break
        shared.append(parts[0])
    if len(below) == 1 and len(shared) == len(below[0]):
        return None  # a line alone: the path above it is nothing of ours
    found = _ours_at(model, ".".join(shared)) if shared else None
    return found if isinstance(found, nn.Module) else None


def ancestors(path: str) -> Iterator[str]:
    """The inner paths above a path, outermost first."""
    parts = path.split(".")
    return (".".join(parts[:end]) for end in range(1, len(parts)))


def join(prefix: str, name: str) -> str:
    """A path below a prefix, either of which may be empty."""
    return f"{prefix}.{name}" if prefix and name else prefix or name


def no_path(model: nn.Module, path: str) -> str:
    """The message for a path that leads nowhere."""
    known = {name.split(".")[0] for name, _ in model.named_parameters()} if "." not in path else \
        {".".join(name.split(".")[: path.count(".") + 1]) for name, _ in model.named_parameters()}
    return f"{type(model).__name__} has no attribute {path!r}{nearest(path, known)}"
