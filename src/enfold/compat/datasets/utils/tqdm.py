"""`datasets.utils.tqdm`."""

from enfold.data.executor.bars import tqdm
from enfold.data.executor.progress import (
    are_progress_bars_disabled,
    disable_progress_bar,
    disable_progress_bars,
    enable_progress_bar,
    enable_progress_bars,
    is_progress_bar_enabled,
)

__all__ = ["are_progress_bars_disabled", "disable_progress_bar", "disable_progress_bars",
           "enable_progress_bar", "enable_progress_bars", "is_progress_bar_enabled", "tqdm"]
