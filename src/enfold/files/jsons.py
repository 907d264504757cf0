"""JSON files: read with errors that point at the place, written atomically.

Written as transformers writes config.json: two spaces, sorted keys, a newline at the end.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from enfold.errors import ConfigError, FileMissing
from enfold.files.atomic import atomic_write


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The object in a JSON file.

    Raises `ConfigError` naming file, line and column if it is not one, `FileMissing` if there is
    no file.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
        value = json.loads(text)
    except FileNotFoundError as error:
        raise FileMissing(f"{path}: no such file. Expected a JSON file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 at byte {error.start}. Expected a JSON file: save it "
                          "as UTF-8, or download it again") from error
    except json.JSONDecodeError as error:
        raise ConfigError(_explain(path, text, error)) from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: holds a JSON {type(value).__name__}. Expected an object, "
                          "{...}, at the top")
    return value


def write_json(path: str | os.PathLike[str], value: Any, *, sort_keys: bool = True,
               ensure_ascii: bool = True) -> None:
    """Write `value` so that a reader sees the old file or the new one, never half of it."""
    text = json.dumps(value, indent=2, sort_keys=sort_keys, ensure_ascii=ensure_ascii)
    atomic_write(path, (text + "\n").encode())


def _explain(path: Path, text: str, error: json.JSONDecodeError) -> str:
    if not text.strip():
        return f"{path}: empty. Expected JSON: download it again (force_download=True)"
    if text.startswith("version https://git-lfs"):
        return f"{path}: a Git LFS pointer, not the file itself. Do: run `git lfs pull` there"
    near = error.doc[max(0, error.pos - 20):error.pos + 20]
    return (f"{path}: bad JSON at line {error.lineno}, column {error.colno}: {error.msg}, "
            f"near {near!r}. Do: mend that line, or download the file again "
            "(force_download=True)")
