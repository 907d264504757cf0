"""What a callable holds on to: closure cells, defaults, named globals, its object, its arguments.

Each is a `Capture(kind, name, value)`; the kinds and names are what an error or a warning says:
"captured variable 'tok'", "global 'RATE'", "default 'n'", "attribute 'calls'", "self".
"""

from __future__ import annotations

import builtins
import importlib
from collections.abc import Callable, Iterator
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any, NamedTuple

from enfold.data.fingerprint.code import Chain, absolute, uses
from enfold.data.fingerprint.origin import home, library, user_module


class Capture(NamedTuple):
    """A thing that a callable reaches, and how it is called in messages."""

    kind: str
    name: str
    value: Any


class Missing:
    """Stands for a variable that has no value (yet)."""

    def __enfold_digest__(self) -> str:
        return "missing"

    def __reduce__(self) -> str:
        return "MISSING"


MISSING = Missing()


def captured(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    """(name, object) of everything that the callable holds on to and running it could change.

    Digest each before and after a run to notice side effects, each when a plan is made and when
    it is run to notice what was altered in place.  Functions of libraries hold nothing.
    """
    return [(f"{kind} {name!r}" if name else kind, value)
            for kind, name, value in captures(function)]


def captures(function: Any) -> Iterator[Capture]:
    """The captures of a function, a method, a partial or an object that can be called."""
    if isinstance(function, partial):
        yield from captures(function.func)
        for place, value in enumerate(function.args):
            yield Capture("argument", str(place), value)
        for name, value in function.keywords.items():
            yield Capture("argument", name, value)
    elif isinstance(function, MethodType):
        yield from captures(function.__func__)
        yield Capture("self", "", function.__self__)
    elif isinstance(function, FunctionType):
        yield from _of_function(function)
    elif isinstance(function, type):
        yield Capture("class", function.__qualname__, function)
    elif not isinstance(owner := getattr(function, "__self__", function), ModuleType):
        yield Capture("self", "", owner)  # of a method written in C, or an object itself


def _of_function(function: FunctionType) -> Iterator[Capture]:
    used = uses(function.__code__)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        chains = [chain for chain in used.cells if chain[0] == name]
        yield from _reached("captured variable", content(cell), chains or [(name,)])
    yield from _defaults(function)
    for name in sorted(vars(function).keys() - {"__wrapped__"}):
        yield Capture("attribute", name, vars(function)[name])
    if library(home(function)) is None:  # a library's version stands for its globals
        for chain in used.globals:
            value = function.__globals__.get(chain[0], MISSING)
            if value is not MISSING or not hasattr(builtins, chain[0]):
                yield from _reached("global", value, [chain])
        yield from _imports(function)


def _defaults(function: FunctionType) -> Iterator[Capture]:
    code, values = function.__code__, function.__defaults__ or ()
    names = code.co_varnames[code.co_argcount - len(values):code.co_argcount]
    for name, value in zip(names, values, strict=True):
        yield Capture("default", name, value)
    for name, value in sorted((function.__kwdefaults__ or {}).items()):
        yield Capture("default", name, value)


def content(cell: CellType) -> Any:
    """The value of a closure cell, MISSING where it has none."""
    try:
        return cell.cell_contents
    except ValueError:
        return MISSING


def _reached(kind: str, value: Any, chains: list[Chain]) -> Iterator[Capture]:
    """What a text reaches by `name.a.b`: of a user's module those attributes, else the value."""
    for chain in chains:
        found, depth = value, 1
        while _steps_in(found) and depth < len(chain):
            found = vars(found).get(chain[depth], MISSING)
            depth += 1
        yield Capture(kind, ".".join(chain[:depth]), found)
        if not _steps_in(value):
            return  # the value says it all


def _steps_in(value: Any) -> bool:
    return isinstance(value, ModuleType) and user_module(value)


def _imports(function: FunctionType) -> Iterator[Capture]:
    """What the function imports when it runs; a library is not loaded for this."""
    package = function.__globals__.get("__package__")
    for level, name, taken in uses(function.__code__).imports:
        module = absolute(level, name, package)
        if version := library(module):
            yield Capture("import", module, version)
            continue
        try:
            found = importlib.import_module(module)
            top = found if level else importlib.import_module(module.partition(".")[0])
        except ImportError:  # the function may well provide for that
            yield Capture("import", module, MISSING)
            continue
        for owner in {id(found): found, id(top): top}.values():
            for attribute in sorted(set(taken) & vars(owner).keys()):
                place = f"{owner.__name__}.{attribute}"
                if not f"{module}.".startswith(f"{place}."):  # not a step on the way
                    yield Capture("import", place, vars(owner)[attribute])
