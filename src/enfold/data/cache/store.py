"""Results by key: computed once, by one process, and found again by all.

    lease = Store().obtain(key, build)      # build(path) writes the result to a new file
    pa.memory_map(str(lease.path))          # as long as the lease lives, it is not evicted

A result appears whole, under its key, by one rename; a process killed while it writes leaves a
hidden draft that the next one removes.  Two processes that want the same result share one: the
second waits for the first.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from enfold.data.cache import entry as entries
from enfold.data.cache.evict import TEMPORARY, added, discard, sweep, sweep_temporary
from enfold.data.cache.lock import FileLock
from enfold.data.cache.settings import cache_folder, cache_limit, is_caching_enabled
from enfold.errors import CacheFull, FileMissing

_log = logging.getLogger(__name__)
_FULL = {errno.ENOSPC, errno.EDQUOT}


class Lease:
    """A result in use: `path` is not evicted until `close`, or until this object is gone.

    Is also a context manager.  What was computed while caching is disabled is removed then.
    """

    def __init__(self, path: Path, lock: FileLock | None = None,
                 temporary: Path | None = None) -> None:
        self.path = path
        self._end = weakref.finalize(self, _end_lease, lock, temporary, os.getpid())

    def close(self) -> None:
        """Let go of the result; again is fine."""
        self._end()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Store:
    """The cache in a folder.

    folder: by default what the environment says when it is used.  limit: bytes, by default what the
    environment says; the least recently used results go first, those in use never.
    """

    name = "data.arrow"  # of the file of a result

    def __init__(self, folder: str | os.PathLike[str] | None = None,
                 limit: int | None = None) -> None:
        self._folder, self._limit = folder, limit

    @property
    def folder(self) -> Path:
        """Where the results are."""
        return Path(self._folder) if self._folder is not None else cache_folder()

    def path(self, key: str) -> Path:
        """Where the result of `key` is, or would be."""
        return entries.place(self.folder, key) / self.name

    def find(self, key: str) -> Path | None:
        """The result of `key` if it is there and whole; this counts as a use of it."""
        found = entries.read_entry(entries.place(self.folder, key))
        if found is None:
            return None
        if damage := found.spoiled():
            _log.warning("the cached result %s is not used: %s", found.folder, damage)
            return None
        with suppress(OSError):  # a cache that others own may be read without being touched
            os.utime(found.folder / entries.NOTE)
        return found.path

    def lease(self, key: str) -> Lease | None:
        """The result of `key`, held; None if it is not there."""
        lock = FileLock(entries.place(self.folder, key) / entries.NOTE, shared=True)
        if not lock.acquire():
            return None
        path = self.find(key)
        if path is None:
            lock.release()
            return None
        return Lease(path, lock)

    @contextmanager
    def write(self, key: str, note: str = "") -> Iterator[Path | None]:
        """A free name to write the result of `key` to, as a file or a folder of files.

        None if the result is there: another process may have computed it while this one waited.
        An exception in the block leaves nothing behind.  Raises `CacheFull` where a disk is full.
        note: what `ls` shows.
        """
        folder = entries.place(self.folder, key)
        draft = folder.with_name(f".{key}~{token_hex(4)}")
        try:
            with FileLock(self.folder / ".locks" / key, passing=True) as lock:
                found = entries.read_entry(folder)
                if found is not None and found.spoiled() is None:
                    yield None
                    return
                if lock.real:  # then all drafts of this key are left over
                    sweep(self.folder, only=key)
                draft.mkdir(parents=True)
                yield draft / self.name
                self._publish(draft, folder, note)
        except BaseException as error:
            shutil.rmtree(draft, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in _FULL:
                raise self._full() from error
            raise
        limit = self._limit if self._limit is not None else cache_limit(self.folder)
        added(self.folder, limit, key)

    def obtain(self, key: str, build: Callable[[Path], object], note: str = "") -> Lease:
        """The result of `key`, computed by `build(path)` if it is not there.

        While caching is disabled it is computed anew, to a file that goes with the lease.
        """
        if not is_caching_enabled():
            return self.temporary(build)
        while True:  # it may be evicted between being written and being held
            if lease := self.lease(key):
                return lease
            with self.write(key, note) as path:
                if path is not None:
                    build(path)

    def _publish(self, draft: Path, folder: Path, note: str) -> None:
        if not any(path.is_file() for path in draft.rglob("*")):
            raise FileMissing(f"nothing was written to {draft / self.name}. Expected the result, "
                              "as a file or a folder of files")
        entries.seal(draft, time.time(), note)
        discard(folder)  # a damaged one
        os.rename(draft, folder)

    def temporary(self, build: Callable[[Path], object]) -> Lease:
        sweep_temporary()
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY))
        lock = FileLock(folder / ".lock", passing=True)
        lock.acquire()  # tells that this process lives
        lease = Lease(folder / self.name, lock, folder)
        build(lease.path)
        return lease

    def _full(self) -> CacheFull:
        free = shutil.disk_usage(self.folder).free
        return CacheFull(f"no room for a result in {self.folder}: {free / 1e6:,.0f} MB are free. "
                         "Do: `enfold cache prune`, or ENFOLD_CACHE=/a/larger/disk, or "
                         "enfold.data.disable_caching()")


def _end_lease(lock: FileLock | None, temporary: Path | None, owner: int) -> None:
    if lock is not None:
        lock.release()
    if temporary is not None and os.getpid() == owner:  # not in a worker that was forked
        shutil.rmtree(temporary, ignore_errors=True)
