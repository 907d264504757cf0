"""An entry of the cache: a folder that appears by one rename, with a note of what must be in it.

    <cache>/3f/3f2a.../data.arrow      the result: a file, or a folder of files
                       entry.json      sizes and checksums; its time is that of the last use
                       checked         it was read in full since the machine started anew
    <cache>/3f/.3f2a...~8c1d/          a draft, or what is being removed: hidden, locked by its key

Files are not flushed to the disk, which takes milliseconds for each: a process that is killed loses
nothing by that.  What a machine wrote before it stopped is read in full before it is used.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from enfold.data.cache.lock import FileLock
from enfold.errors import InputError
from enfold.files.atomic import sync_file

NOTE, CHECKED = "entry.json", "checked"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_BLOCK, _PAGE, _PAGES = 1 << 20, 1 << 12, 16


@dataclass(frozen=True)
class Entry:
    """A result that is kept.  size: bytes.  created, used: seconds since 1970."""

    key: str
    folder: Path
    size: int
    created: float
    used: float
    note: str
    files: dict[str, tuple[int, int, int]]
    boot: str | None = None

    @property
    def path(self) -> Path:
        """The file or folder of the result."""
        return self.folder / next(iter(self.files)).split("/")[0]

    @property
    def in_use(self) -> bool:
        """Whether a process holds a lease on it."""
        lock = FileLock(self.folder / NOTE)
        free = lock.acquire(wait=False)
        lock.release()
        return not free and self.folder.exists()

    def spoiled(self) -> str | None:
        """What keeps it from being used, if anything does.

        Every byte is read, once, of files that may not have reached the disk before the machine
        stopped; of others, samples.
        """
        settled = self.boot in (None, this_boot()) or (self.folder / CHECKED).exists()
        damage = self.damage(full=not settled)
        if damage is None and not settled:
            with suppress(OSError):  # a cache that others own
                (self.folder / CHECKED).touch()
        return damage

    def damage(self, full: bool = False) -> str | None:
        """What is wrong with the files: sizes and samples, or every byte if `full`."""
        for name, (size, samples, whole) in self.files.items():
            path = self.folder / name
            if not path.is_file():
                return f"{name} is missing"
            if (there := path.stat().st_size) != size:
                return f"{name} has {there} bytes of {size}"
            if (_whole(path) != whole) if full else (_samples(path, size) != samples):
                return f"{name} was altered"
        return None


def place(root: Path, key: str) -> Path:
    """The folder of a key's entry."""
    if not _KEY.fullmatch(key):
        raise InputError(f"cache key {key!r}: expected up to 128 letters, digits, '_', '-' and '.',"
                         " the first not '-' or '.'")
    return root / key[:2] / key


def read_entry(folder: Path) -> Entry | None:
    """The entry in a folder; None if it is not there or its note can't be read."""
    try:
        note = json.loads((folder / NOTE).read_text("utf-8"))
        files = {name: tuple(facts) for name, facts in note["files"].items()}
        used = (folder / NOTE).stat().st_mtime
        return Entry(folder.name, folder, sum(facts[0] for facts in files.values()),
                     note["created"], used, note["note"], files, note.get("boot"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # gone, or cut off by a crash: the same as not there


def seal(draft: Path, created: float, note: str) -> None:
    """Write the note about the files of a draft."""
    files: dict[str, Any] = {}
    for path in sorted(path for path in draft.rglob("*") if path.is_file()):
        if this_boot() is None:
            sync_file(path)
        size = path.stat().st_size
        files[path.relative_to(draft).as_posix()] = size, _samples(path, size), _whole(path)
    told = {"created": created, "note": note, "files": files, "boot": this_boot()}
    (draft / NOTE).write_text(json.dumps(told), "utf-8")


@cache
def this_boot() -> str | None:
    """What tells this start of the machine from others; None where nothing does."""
    try:
        return _BOOT.read_text().strip() or None
    except OSError:
        return None


def entries(root: Path) -> Iterator[Entry]:
    """All entries that can be read."""
    for folder in _folders(root):
        if not folder.name.startswith(".") and (entry := read_entry(folder)):
            yield entry


def drafts(root: Path) -> Iterator[tuple[str, Path]]:
    """(key, folder) of what writers work on or have left."""
    for folder in _folders(root):
        if folder.name.startswith("."):
            yield folder.name[1:].rpartition("~")[0], folder


def _folders(root: Path) -> Iterator[Path]:
    for group in sorted(root.glob("[A-Za-z0-9_]*")):
        if group.is_dir() and len(group.name) <= 2:
            yield from sorted(path for path in group.iterdir() if path.is_dir())


def _whole(path: Path) -> int:
    check = 0
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            check = zlib.crc32(block, check)
    return check


def _samples(path: Path, size: int) -> int:
    """The beginning, the end and some pages between: what a crash or a bad copy spoils."""
    check = 0
    with open(path, "rb", buffering=0) as file:
        for start in sorted({size * step // _PAGES for step in range(_PAGES)}
                            | {max(0, size - _PAGE)}):
            file.seek(start)
            check = zlib.crc32(file.read(_PAGE), check)
    return check
