"""Locks on files that the system lets go of when their process ends, however it ends.

A lock file is removed by its holder; one who waited for it finds its own handle pointing at
nothing and starts over.  On file systems without locks everyone gets one: work may then be done
twice, and since results appear by a rename, nothing worse happens.
"""

from __future__ import annotations

import errno
import logging
import os
import weakref
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows, which refuses to remove files in use by itself
    fcntl = None  # type: ignore[assignment]

_log = logging.getLogger(__name__)
_NONE = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}
_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


class FileLock:
    """A lock on the file at `path`: shared by readers, or of one writer.

    passing: the file exists only for the lock and goes with it.  real: whether the file system has
    locks, known once it is held.
    """

    def __init__(self, path: Path, *, shared: bool = False, passing: bool = False) -> None:
        self.path, self.shared, self.passing = path, shared, passing
        self.real = fcntl is not None
        self._handle: int | None = None

    def acquire(self, wait: bool = True) -> bool:
        """Take the lock; False if another holds it and `wait` is false, or the file is not there.

        Waiting for another process is logged at level INFO, with its number.
        """
        while True:
            handle = self._open()
            if handle is None or not self._lock(handle, wait):
                return False
            if _same(handle, self.path):
                self._handle = handle
                _held.add(self)
                return True
            os.close(handle)

    def release(self) -> None:
        """Let go; again is fine."""
        handle, self._handle = self._handle, None
        if handle is not None:
            if self.passing:
                self.path.unlink(missing_ok=True)
            os.close(handle)  # not an explicit unlock, which would unlock a forked parent's too

    def _open(self) -> int | None:
        flags = os.O_RDWR | os.O_CREAT if self.passing else os.O_RDONLY
        try:
            return os.open(self.path, flags | getattr(os, "O_CLOEXEC", 0), 0o666)
        except FileNotFoundError:
            if not self.passing:
                return None
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self.path, flags | getattr(os, "O_CLOEXEC", 0), 0o666)

    def _lock(self, handle: int, wait: bool) -> bool:
        """Whether the lock is had; the handle is closed if not."""
        kind = 0 if fcntl is None else fcntl.LOCK_SH if self.shared else fcntl.LOCK_EX
        try:
            if not _try(handle, kind):
                if not wait:
                    os.close(handle)
                    return False
                if self.passing:
                    holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip()
                    _log.info("waiting for process %s, which computes the same", holder or "?")
                fcntl.flock(handle, kind)
            if self.passing:
                os.pwrite(handle, b"%-20d" % os.getpid(), 0)
        except OSError as error:
            if error.errno not in _NONE:
                os.close(handle)
                raise
            self.real = False
        except BaseException:  # Ctrl-C while waiting
            os.close(handle)
            raise
        return True

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()


def _try(handle: int, kind: int) -> bool:
    """Lock without waiting."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _same(handle: int, path: Path) -> bool:
    """Whether the file at `path` is still the one that was opened."""
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    mine = os.fstat(handle)
    return (there.st_dev, there.st_ino) == (mine.st_dev, mine.st_ino)


def _forget() -> None:
    """In a forked child: the locks are the parent's, and must go when the parent goes."""
    for lock in list(_held):
        if lock._handle is not None:
            os.close(lock._handle)
            lock._handle = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
