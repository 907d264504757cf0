"""`datasets.utils`."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar
from warnings import warn

from enfold.data.executor import progress as _tqdm
from enfold.data.executor import tqdm
from enfold.data.executor.progress import (
    are_progress_bars_disabled,
    disable_progress_bar,
    disable_progress_bars,
    enable_progress_bar,
    enable_progress_bars,
    is_progress_bar_enabled,
)
from enfold.data.version import Version

__all__ = ["Version", "_tqdm", "are_progress_bars_disabled", "disable_progress_bar",
           "disable_progress_bars", "enable_progress_bar", "enable_progress_bars",
           "experimental", "is_progress_bar_enabled", "tqdm"]
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
