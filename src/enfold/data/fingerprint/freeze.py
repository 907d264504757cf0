"""freeze(function): the function as it is now, whatever its variables are set to later.

    for c in columns:
        ds = ds.map(lambda x: {c: x[c].lower()})      # each lambda keeps its own c

Names are bound anew: closure cells, defaults and the globals that the text names, down through
helper functions of the user.  What they are bound to is shared, not copied: whether that was
altered in place is told by `digest`, which is the same for a function and its frozen twin.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any, TypeVar

from enfold.data.fingerprint.captures import MISSING, content
from enfold.data.fingerprint.code import uses
from enfold.data.fingerprint.origin import home, library

F = TypeVar("F", bound=Callable[..., Any])
_ALWAYS = ("__name__", "__package__", "__file__", "__spec__", "__loader__", "__builtins__")
_COPIED = ("__doc__", "__module__", "__qualname__", "__annotations__", "__type_params__")


def freeze(function: F) -> F:
    """A twin of the function with its variables as they are now.

    Functions, methods and partials of the user's code get a twin, functions of libraries and
    objects that can be called are returned as they are.  The twin assigns to its own `global` and
    `nonlocal` variables: notice such functions by `captured` before, and run them unfrozen.
    """
    frozen: F = _Freezer().freeze(function)
    return frozen


class _Freezer:
    """One call of `freeze`: a function met twice, or in a ring, has one twin."""

    def __init__(self) -> None:
        self.twins: dict[int, tuple[Any, Any]] = {}  # id -> the original, its twin

    def freeze(self, value: Any) -> Any:
        if isinstance(value, partial):
            args = [self.freeze(arg) for arg in value.args]
            keywords = {name: self.freeze(arg) for name, arg in value.keywords.items()}
            return type(value)(self.freeze(value.func), *args, **keywords)
        if isinstance(value, MethodType):
            return MethodType(self.freeze(value.__func__), value.__self__)
        if isinstance(value, FunctionType) and library(home(value)) is None:
            return self.function(value)
        return value

    def function(self, function: FunctionType) -> FunctionType:
        if id(function) in self.twins:
            return self.twins[id(function)][1]  # type: ignore[no-any-return]
        cells = tuple(CellType() for _ in function.__closure__ or ())
        twin = FunctionType(function.__code__, {}, function.__name__, None, cells)
        self.twins[id(function)] = function, twin
        for name in _COPIED:
            if hasattr(function, name):
                setattr(twin, name, getattr(function, name))
        twin.__dict__.update(vars(function))
        twin.__globals__.update(self.globals(function))
        for cell, original in zip(cells, function.__closure__ or (), strict=True):
            if (value := content(original)) is not MISSING:
                cell.cell_contents = self.freeze(value)
        if function.__defaults__:
            twin.__defaults__ = tuple(self.freeze(value) for value in function.__defaults__)
        if function.__kwdefaults__:
            twin.__kwdefaults__ = {name: self.freeze(value) for name, value
                                   in function.__kwdefaults__.items()}
        return twin

    def globals(self, function: FunctionType) -> dict[str, Any]:
        """What the text names; everything if it may reach more by `eval` and such."""
        used, variables = uses(function.__code__), function.__globals__
        if used.open:
            return dict(variables)
        named = {chain[0] for chain in used.globals} & variables.keys()
        kept = {name: variables[name] for name in _ALWAYS if name in variables}
        return kept | {name: self.freeze(variables[name]) for name in sorted(named)}
