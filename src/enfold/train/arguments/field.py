"""One argument: its default and the line that `--help` prints."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def arg(default: Any, help: str, *, shown: bool = True, **options: Any) -> Any:
    """A dataclass field; `options` (choices, nargs, const, aliases) go to argparse.

    shown=False keeps a secret out of the text of a subclass, whose `__repr__` dataclass writes.
    """
    metadata = {"help": help, **options}
    if isinstance(default, list):
        return field(default_factory=lambda: list(default), metadata=metadata, repr=shown)
    return field(default=default, metadata=metadata, repr=shown)
