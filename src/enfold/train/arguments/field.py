"""One argument: its default and the line that `--help` prints."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def arg(default: Any, help: str, **options: Any) -> Any:
    """A dataclass field; `options` (choices, nargs, const, aliases) go to argparse."""
    metadata = {"help": help, **options}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata)
    return field(default=default, metadata=metadata)
