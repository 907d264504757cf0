"""Several processes for one map: `run_parallel`, and progress bars.

Names are loaded when they are first used: a worker needs few of them and should start quickly.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from enfold.data.executor.bars import tqdm
    from enfold.data.executor.faults import WorkerError
    from enfold.data.executor.progress import (
        Progress,
        are_progress_bars_disabled,
        disable_progress_bar,
        disable_progress_bars,
        enable_progress_bar,
        enable_progress_bars,
        is_progress_bar_disabled,
        is_progress_bar_enabled,
    )
    from enfold.data.executor.run import Job, run_parallel

__all__ = ["Job", "Progress", "WorkerError", "are_progress_bars_disabled", "disable_progress_bar",
           "disable_progress_bars", "enable_progress_bar", "enable_progress_bars",
           "is_progress_bar_disabled", "is_progress_bar_enabled", "run_parallel", "tqdm"]

_PLACES = {"tqdm": "bars", "WorkerError": "faults", "Job": "run", "run_parallel": "run"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'progress')}"), name)
