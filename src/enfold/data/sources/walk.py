"""Files below a local folder by glob, the folder walked once for many patterns.

    with one_walk():                      # what changes on the disk meanwhile is not seen
        matching("/data/**/train/**")
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from glob import has_magic

from enfold.lazy import require

_walks: ContextVar[dict[tuple[str, bool], list[str]] | None] = ContextVar("walks", default=None)
_MAGIC = re.compile(r"[*?\[]")
_WORD = re.compile(r"[^*?\[\]/]+(?![^\[]*\])")  # a run of characters that stand for themselves


@contextmanager
def one_walk() -> Iterator[None]:
    """Each folder is walked at most once in here."""
    token = _walks.set(known if (known := _walks.get()) is not None else {})
    try:
        yield
    finally:
        _walks.reset(token)


def matching(pattern: str) -> list[str]:
    """The files that an absolute pattern with `**` stands for, sorted.

    Those hidden or below a `__folder__` only where the pattern says so in its part with wildcards.
    """
    first = _MAGIC.search(pattern)
    root, _, inner = (pattern[:first.start()] if first else pattern).rpartition("/")
    inner = pattern[len(root) + 1:]
    asked = any(part.startswith((".", "__")) for part in inner.split("/"))
    matches = matcher(inner)
    return [f"{root}/{name}" for name in names(root, asked) if matches(name)]


@lru_cache(256)
def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a path is one that a glob stands for."""
    form = re.compile(require("fsspec.utils").glob_translate(pattern))
    word = max(_WORD.findall(pattern), key=len, default="")  # most paths lack it
    return lambda name: word in name and form.match(name) is not None


def names(root: str, hidden: bool = False) -> list[str]:
    """The files below a folder, relative to it and sorted; hidden: those too.

    Links to folders are not followed.
    """
    known = _walks.get()
    key = (root, hidden)
    if known is None or key not in known:
        found = sorted(_below(root or "/", "", hidden))
        if known is None:
            return found
        known[key] = found
    return known[key]


def _below(folder: str, prefix: str, hidden: bool) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        name = entry.name
        if not hidden and name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if hidden or not name.startswith("__"):
                yield from _below(entry.path, f"{prefix}{name}/", hidden)
        elif entry.is_file():
            yield prefix + name


def walks(pattern: str) -> bool:
    """Whether a path is a pattern for `matching`."""
    return "**" in pattern and os.path.isabs(pattern) and has_magic(pattern)
