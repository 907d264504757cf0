"""What is in the cache, whether it is sound, and what goes when it grows too large."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from secrets import token_hex

from enfold.data.cache.entry import NOTE, Entry, drafts, entries, place, read_entry
from enfold.data.cache.lock import FileLock
from enfold.data.cache.settings import cache_folder, cache_limit
from enfold.errors import FileMissing, nearest

TEMPORARY = "enfold-result-"
_MINUTE = 60.0
_counted: dict[Path, tuple[float, int]] = {}  # of caches: when counted, the bytes then and since
_DAY = 86_400  # seconds after which nobody is taken to use a file, where no locks can tell


def ls(folder: Path | None = None) -> list[Entry]:
    """The results in the cache, the most recently used first."""
    return sorted(entries(folder or cache_folder()), key=lambda entry: -entry.used)


def verify(keys: Iterable[str] | None = None, folder: Path | None = None) -> dict[str, str]:
    """Read every byte of all results, or of those of `keys`: key -> what is wrong with it."""
    found = ls(folder) if keys is None else [_known(key, folder) for key in keys]
    damaged = {entry.key: entry.damage(full=True) for entry in found}
    return {key: damage for key, damage in damaged.items() if damage}


def rm(*keys: str, folder: Path | None = None, force: bool = False) -> list[Entry]:
    """Remove results; returns those removed, which are not those in use unless `force`."""
    found = [_known(key, folder) for key in keys]
    return [entry for entry in found if _remove(entry, force)]


def prune(limit: int | None = None, unused_for: float | None = None,
          folder: Path | None = None) -> list[Entry]:
    """Remove what killed processes left, damaged results, and the least recently used.

    limit: bytes to stay under (default: the cache's own).  unused_for: seconds; results not used
    for longer go as well.  Returns what was removed; what is in use stays.
    """
    root = folder or cache_folder()
    sweep(root)
    now = time.time()
    gone = [entry for entry in ls(root) if (entry.damage() or (
        unused_for is not None and now - entry.used > unused_for)) and _remove(entry)]
    return gone + make_room(root, cache_limit(root) if limit is None else limit)


def make_room(root: Path, limit: int | None, keep: str | None = None) -> list[Entry]:
    """Evict the least recently used results until all fit into `limit` bytes, but not `keep`."""
    if limit is None:
        return []
    found, gone = ls(root), []
    total = sum(entry.size for entry in found)
    while total > limit and found:
        entry = found.pop()
        if entry.key != keep and _remove(entry):
            gone.append(entry)
            total -= entry.size
    _counted[root] = time.monotonic(), total
    return gone


def added(root: Path, limit: int | None, key: str) -> None:
    """Make room after one more result; what others add is counted once a minute."""
    when, total = _counted.get(root, (0.0, 0))
    entry = read_entry(place(root, key)) if limit is not None else None
    total += entry.size if entry else 0
    if limit is None or (when and time.monotonic() - when < _MINUTE and total <= limit):
        _counted[root] = when, total
    else:
        make_room(root, limit, keep=key)


def sweep(root: Path, only: str | None = None) -> None:
    """Remove drafts whose writers are gone; those of `only` are left by others if its lock is held.

    only: a key that this process holds the lock of.
    """
    for key, draft in drafts(root) if only is None else _drafts_of(root, only):
        if key == only:
            shutil.rmtree(draft, ignore_errors=True)
            continue
        lock = FileLock(root / ".locks" / key, passing=True)
        if lock.acquire(wait=False):
            if lock.real or time.time() - _changed(draft) > _DAY:
                shutil.rmtree(draft, ignore_errors=True)
            lock.release()


def sweep_temporary() -> None:
    """Remove what killed processes had computed while caching was disabled."""
    for note in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*/.lock"):
        lock = FileLock(note)
        if lock.acquire(wait=False) and lock.real:
            shutil.rmtree(note.parent, ignore_errors=True)
        lock.release()


def discard(folder: Path) -> None:
    """Take an entry's folder out of sight, then remove it."""
    aside = folder.with_name(f".{folder.name}~{token_hex(4)}")
    try:
        os.rename(folder, aside)
    except FileNotFoundError:
        return
    shutil.rmtree(aside, ignore_errors=True)


def _remove(entry: Entry, force: bool = False) -> bool:
    """Whether the entry could be removed: not if someone holds a lease on it."""
    lock = FileLock(entry.folder / NOTE)
    free = lock.acquire(wait=False) and (lock.real or time.time() - entry.used > _DAY)
    if not free and not force:
        lock.release()
        return False
    try:
        discard(entry.folder)
    except PermissionError:  # in use, on Windows; not ours, elsewhere
        return False
    finally:
        lock.release()
    return True


def _known(key: str, folder: Path | None) -> Entry:
    root = folder or cache_folder()
    found = read_entry(place(root, key))
    if found is None:
        keys = [entry.key for entry in entries(root)]
        raise FileMissing(f"the cache in {root} has no result {key!r}{nearest(key, keys)}. Do: "
                          "`enfold cache ls` shows what it has")
    return found


def _drafts_of(root: Path, key: str) -> list[tuple[str, Path]]:
    folder = place(root, key)
    return [(key, path) for path in folder.parent.glob(f".{key}~*")]


def _changed(folder: Path) -> float:
    return max((path.stat().st_mtime for path in folder.rglob("*")), default=0)
