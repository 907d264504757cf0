"""`datasets.utils`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar
from warnings import warn

from enfold.data.version import Version

__all__ = ["Version", "experimental"]
P = ParamSpec("P")
R = TypeVar("R")


def experimental(fn: Callable[P, R]) -> Callable[P, R]:
    """A function that warns that it may change."""
    @wraps(fn)
    def warning(*args: P.args, **kwargs: P.kwargs) -> R:
        warn(f"'{fn.__name__}' is experimental and might be subject to breaking changes in the "
             f"future.", UserWarning, stacklevel=2)
        return fn(*args, **kwargs)

    return warning
