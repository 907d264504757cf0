"""Where the cache lies, how large it may grow, and whether results are kept at all.

    ENFOLD_CACHE         the folder of enfold's caches; this one is data/ in it
    HF_DATASETS_CACHE    where that is not set: enfold/ in there
    XDG_CACHE_HOME       where neither is: enfold/data in there (default ~/.cache)
    ENFOLD_CACHE_LIMIT   "200GB", "500MB", or "none" (default a quarter of the disk)

All are read when they are needed.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from enfold.errors import ArgumentError
from enfold.files.shards import parse_size

_enabled = True


def enable_caching() -> None:
    """Keep the results of maps and filters on disk and find them again (the default)."""
    global _enabled
    _enabled = True


def disable_caching() -> None:
    """Keep nothing: results go to a temporary folder, and are gone when they are let go of."""
    global _enabled
    _enabled = False


def is_caching_enabled() -> bool:
    """Whether results are kept on disk."""
    return _enabled


def cache_folder() -> Path:
    """The folder of the cache."""
    for name, below in (("ENFOLD_CACHE", "data"), ("HF_DATASETS_CACHE", "enfold")):
        if place := os.environ.get(name):
            return Path(os.path.expandvars(place)).expanduser() / below
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.path.expandvars(home)).expanduser() / "enfold" / "data"


def cache_limit(folder: Path) -> int | None:
    """The bytes that the cache in `folder` may hold; None for any number."""
    said = os.environ.get("ENFOLD_CACHE_LIMIT", "").strip()
    if said.lower() == "none":
        return None
    if said:
        try:
            return parse_size(said)
        except ValueError as error:
            raise ArgumentError(f"ENFOLD_CACHE_LIMIT={said!r}: expected a size such as '200GB', "
                                "'500MB' or 'none'") from error
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).total // 4
