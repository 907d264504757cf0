"""Progress bars with rows per second, and whether they are drawn at all.

    HF_DATASETS_DISABLE_PROGRESS_BARS or ENFOLD_DISABLE_PROGRESS_BARS = 1 / 0

decide before `disable_progress_bars()` and `enable_progress_bars()`, which then warn.
"""

from __future__ import annotations

import os
import warnings
from types import TracebackType
from typing import Any

_NAMES = ("HF_DATASETS_DISABLE_PROGRESS_BARS", "ENFOLD_DISABLE_PROGRESS_BARS")
_TRUE, _FALSE = {"1", "ON", "YES", "TRUE"}, {"0", "OFF", "NO", "FALSE", ""}


def _environment() -> bool | None:
    """What the environment says; None where it says nothing."""
    for name in _NAMES:
        text = os.environ.get(name)
        if text is not None:
            return text.upper() in _TRUE
    return None


HF_DATASETS_DISABLE_PROGRESS_BARS = _environment()
_disabled = bool(HF_DATASETS_DISABLE_PROGRESS_BARS)


def disable_progress_bars() -> None:
    """Draw no progress bars from now on, unless the environment asks for them."""
    _switch(True)


def enable_progress_bars() -> None:
    """Draw progress bars again, unless the environment forbids it."""
    _switch(False)


def _switch(disabled: bool) -> None:
    global _disabled
    fixed = HF_DATASETS_DISABLE_PROGRESS_BARS
    if fixed is (not disabled):
        warnings.warn(f"progress bars stay {'on' if disabled else 'off'}: the environment variable "
                      f"{_NAMES[0]}={int(fixed)} decides. Do: unset it", stacklevel=3)
    else:
        _disabled = disabled


def are_progress_bars_disabled() -> bool:
    """Whether no progress bars are drawn."""
    return _disabled


def is_progress_bar_enabled() -> bool:
    """Whether progress bars are drawn."""
    return not _disabled


disable_progress_bar = disable_progress_bars
enable_progress_bar = enable_progress_bars
is_progress_bar_disabled = are_progress_bars_disabled


class Progress:
    """A bar over `total` rows: `with Progress(len(ds), "Map") as bar: ... bar(rows)`.

    total: rows, None where that is not known.  unit: what is counted, "examples" as it is read.
    Where bars are disabled nothing is drawn and tqdm is not loaded.
    """

    def __init__(self, total: int | None, desc: str | None = None, *, unit: str = " examples",
                 initial: int = 0) -> None:
        self.total, self.desc, self.unit, self.initial = total, desc, unit, initial
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if not _disabled:
            from enfold.data.executor.bars import tqdm

            self._bar = tqdm(total=self.total, desc=self.desc, unit=self.unit,
                             initial=self.initial)
        return self

    def __call__(self, rows: int) -> None:
        """So many rows more are done."""
        if self._bar is not None:
            self._bar.update(rows)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
