"""How much `enfold.data` says: `enfold.data.logging.set_verbosity_error()`.

DATASETS_VERBOSITY or ENFOLD_VERBOSITY = debug, info, warning, error, critical decide at first.
"""

from __future__ import annotations

import logging
import os
from logging import CRITICAL, DEBUG, ERROR, FATAL, INFO, NOTSET, WARN, WARNING

from enfold.data.executor.progress import (
    disable_progress_bar,
    enable_progress_bar,
    is_progress_bar_enabled,
)
from enfold.errors import ArgumentError

__all__ = ["CRITICAL", "DEBUG", "ERROR", "FATAL", "INFO", "NOTSET", "WARN", "WARNING",
           "disable_progress_bar", "disable_propagation", "enable_progress_bar",
           "enable_propagation", "get_logger", "get_verbosity", "is_progress_bar_enabled",
           "set_verbosity", "set_verbosity_debug", "set_verbosity_error", "set_verbosity_info",
           "set_verbosity_warning"]

_NAME = "enfold.data"
_LEVELS = {"debug": DEBUG, "info": INFO, "warning": WARNING, "error": ERROR, "critical": CRITICAL}


def get_logger(name: str | None = None) -> logging.Logger:
    """The logger of that name; by default that of all of `enfold.data`."""
    return logging.getLogger(name or _NAME)


def get_verbosity() -> int:
    """The level from which on messages are shown."""
    return get_logger().getEffectiveLevel()


def set_verbosity(verbosity: int) -> None:
    """Show messages from this level on: `logging.INFO`, ..."""
    get_logger().setLevel(verbosity)


def set_verbosity_debug() -> None:
    """Show everything."""
    set_verbosity(DEBUG)


def set_verbosity_info() -> None:
    """Show what is done, warnings and errors."""
    set_verbosity(INFO)


def set_verbosity_warning() -> None:
    """Show warnings and errors (the default)."""
    set_verbosity(WARNING)


def set_verbosity_error() -> None:
    """Show errors only."""
    set_verbosity(ERROR)


def disable_propagation() -> None:
    """Keep messages from the handlers of the root logger."""
    get_logger().propagate = False


def enable_propagation() -> None:
    """Give messages to the handlers of the root logger too (the default)."""
    get_logger().propagate = True


def _from_environment() -> None:
    for name in ("ENFOLD_VERBOSITY", "DATASETS_VERBOSITY"):
        if said := os.environ.get(name, "").lower():
            if said not in _LEVELS:
                raise ArgumentError(f"{name}={said!r}: expected one of {', '.join(_LEVELS)}")
            set_verbosity(_LEVELS[said])
            return


_from_environment()
