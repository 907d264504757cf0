"""Recipes: a run of the Trainer written down in a YAML or JSON file; the command `enfold train`.

`read_recipe` checks the file, `prepare` loads what it names, `Run.go` trains.  Names are loaded
when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOME = {"TASKS": "tasks", "Recipe": "recipe", "Run": "run", "example": "examples",
         "prepare": "run", "read_recipe": "recipe"}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(import_module(f"enfold.train.recipes.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'enfold.train.recipes' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
