"""`tqdm` as datasets has it: the same class, silent where progress bars are disabled."""

from __future__ import annotations

import os
from typing import Any

from tqdm.auto import tqdm as _tqdm

from enfold.data.executor import progress


class tqdm(_tqdm):  # type: ignore[type-arg]  # noqa: N801 - its public name
    """tqdm.auto.tqdm that draws nothing while `are_progress_bars_disabled()`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if progress.are_progress_bars_disabled():
            kwargs["disable"] = True
        elif kwargs.get("disable") is None and os.environ.get("TQDM_POSITION") == "-1":
            kwargs["disable"] = False  # asked for where the output is no terminal
        super().__init__(*args, **kwargs)

    def __delattr__(self, name: str) -> None:
        if name != "_lock" or hasattr(self, name):  # the lock may be gone when tqdm ends twice
            super().__delattr__(name)
