"""Where a function, class or module comes from: the user's code, or an installed library.

The user's code is hashed by what it says; a library's by its name and its version.  A library is
what Python ships, what lies in site-packages or beside a `.dist-info`, and enfold itself.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import sysconfig
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

_STDLIB = {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib")}
_MAIN = {"__main__", "__mp_main__"}
_PYTHON = f"python {sys.version_info[0]}.{sys.version_info[1]}"


def library(module: str | None) -> str | None:
    """The version of the library that the module belongs to; None for the user's own modules.

    Nothing is imported: a module that is not loaded yet is looked for by the name of its package.
    """
    if not module or module in _MAIN:
        return None
    top = module.partition(".")[0]
    return _PYTHON if top in sys.builtin_module_names else _version(top, _place(module))


def named(thing: Any) -> tuple[str, str] | None:
    """(module, name) under which an import in another process finds this very function or class.

    None for lambdas, what is defined in functions, and everything in `__main__`.
    """
    module = getattr(thing, "__module__", None)
    for name in (getattr(thing, "__qualname__", None), getattr(thing, "__name__", None)):
        if name and module and module not in _MAIN and _find(module, name) is thing:
            return module, name
    return None


def importable(module: str) -> bool:
    """Whether a new process with this one's `sys.path` would find the module, and find it whole.

    Not `__main__`, modules made by hand, and those whose import (or their package's) goes on now.
    """
    if library(module) is not None or module.partition(".")[0] == "enfold":
        return True
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        spec = getattr(sys.modules.get(".".join(parts[:end])), "__spec__", None)
        if spec is None or getattr(spec, "_initializing", False):
            return False
    here = sys.modules[parts[0]].__spec__
    found = importlib.machinery.PathFinder.find_spec(parts[0])
    return here is not None and found is not None and found.origin == here.origin


def home(function: Any) -> str | None:
    """The module whose text a function's code is in, which `functools.wraps` does not change."""
    name: str | None = function.__globals__.get("__name__")
    return name


def bound_by_name(method: Any) -> tuple[str, str] | None:
    """(module, name) of a method that a library offers as a function, such as `random.random`.

    Its object is the library's own and differs from process to process.
    """
    owner = type(method.__self__).__module__
    names = (getattr(method, "__module__", None), owner, owner.lstrip("_"))
    for module in filter(None, names):
        found = _find(module, method.__name__) if library(module) else None
        if isinstance(found, type(method)) and found == method:
            return module, method.__name__
    return None


def user_module(module: ModuleType) -> bool:
    """Whether the module is the user's own."""
    return library(module.__name__) is None


def _find(module: str, qualname: str) -> Any:
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found


def _place(module: str) -> str | None:
    """The file or folder of a module, or of its top package if it is not loaded."""
    loaded = sys.modules.get(module)
    spec = getattr(loaded, "__spec__", None)
    if spec is None and loaded is None:
        try:
            spec = importlib.util.find_spec(module.partition(".")[0])
        except (ImportError, ValueError):
            return None
    folders = list(getattr(spec, "submodule_search_locations", None) or ())
    return getattr(loaded, "__file__", None) or getattr(spec, "origin", None) or next(
        iter(folders), None)


@cache
def _version(top: str, place: str | None) -> str | None:
    if top == "enfold":
        return _release(top)
    if place is None or place in ("built-in", "frozen"):
        return _PYTHON if top in sys.stdlib_module_names else None
    parents = [str(folder) for folder in Path(place).resolve().parents]
    if any(_installs(folder) for folder in parents):
        return _release(top)
    return _PYTHON if _STDLIB.intersection(parents) else None


@cache
def _installs(folder: str) -> bool:
    """Whether packages are installed into this folder: site-packages, or `pip --target`."""
    path = Path(folder)
    return path.name in ("site-packages", "dist-packages") or any(path.glob("*.dist-info"))


@cache
def _release(top: str) -> str | None:
    """The versions of what installed the package; None for a file that nothing installed."""
    from importlib import metadata  # as slow to load as half of this package

    try:
        return f"{top} {metadata.version(top)}"
    except metadata.PackageNotFoundError:
        names = set(metadata.packages_distributions().get(top, ()))
    found = [f"{name} {metadata.version(name)}" for name in sorted(names)]
    return ", ".join(found) or None
