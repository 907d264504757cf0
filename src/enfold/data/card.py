"""A dataset's card: README.md with a head of YAML.  See sources/readme.py for what is in it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from enfold.data.sources.readme import metadata, split_head
from enfold.files.atomic import atomic_write
from enfold.lazy import require

NAME = "README.md"


def read_card(folder: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The metadata of the card in a folder; None without a card.  Raises DataFileError."""
    path = Path(folder) / NAME
    return metadata(path.read_text("utf-8"), str(path)) if path.is_file() else None


def write_card(folder: str | os.PathLike[str], meta: dict[str, Any]) -> None:
    """Give the card in a folder this metadata, and keep its text; there may be no card yet."""
    path = Path(folder) / NAME
    text = path.read_text("utf-8") if path.is_file() else ""
    atomic_write(path, card_text(meta, text).encode())


def card_text(meta: dict[str, Any], text: str = "") -> str:
    """The text of a card with its head replaced by this metadata."""
    _, body = split_head(text)
    head = require("yaml").safe_dump(meta, sort_keys=False, allow_unicode=True, width=10 ** 9)
    return f"---\n{head}---\n{body}" + ("\n" if text.endswith("\n") and body else "")
