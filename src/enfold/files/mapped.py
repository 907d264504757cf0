"""Files of tensors that are mapped: what their formats have in common.

Mapped privately: a tensor is a view of the page cache until it is written to, and then the copy is
the process's own; the file never changes.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from enfold.errors import CheckpointError, nearest


class Span(Protocol):
    """A tensor's place: its bytes [start, end), counted from where tensors begin."""

    @property
    def start(self) -> int: ...
    @property
    def end(self) -> int: ...


E = TypeVar("E", bound=Span)


class MappedFile(Generic[E]):
    """Tensors by name in a file.  A format sets `path`, `entries`, and `origin` if that isn't 0."""

    path: Path
    entries: Mapping[str, E]
    origin = 0  # the place in the file that spans count from
    _map: mmap.mmap | None = None

    def keys(self) -> list[str]:
        """The names of the tensors."""
        return list(self.entries)

    def nbytes(self, key: str) -> int:
        """Bytes in the file."""
        entry = self._entry(key)
        return entry.end - entry.start

    def fetch(self, key: str) -> None:
        """Have a mapped tensor read from its file, by a thread, before it is used."""
        start, end = self._place(key)
        self._advise("MADV_WILLNEED", start // mmap.PAGESIZE * mmap.PAGESIZE, end)

    def release(self, key: str) -> None:
        """Drop the pages that are only this tensor's; they are read again when it is looked at."""
        start, end = self._place(key)
        self._advise("MADV_DONTNEED", -(-start // mmap.PAGESIZE) * mmap.PAGESIZE,
                     end // mmap.PAGESIZE * mmap.PAGESIZE)

    def _place(self, key: str) -> tuple[int, int]:
        entry = self._entry(key)
        return self.origin + entry.start, self.origin + entry.end

    def _advise(self, wish: str, start: int, end: int) -> None:
        """Tell the system about mapped bytes, where it can be told."""
        if self._map is not None and end > start and hasattr(mmap, wish):
            self._map.madvise(getattr(mmap, wish), start, end - start)

    def _entry(self, key: str) -> E:
        try:
            return self.entries[key]
        except KeyError:
            raise CheckpointError(f"{self.path}: no tensor {key!r}{nearest(key, self.entries)}. "
                                  f"It holds {len(self.entries)} tensors") from None


def map_file(path: Path) -> mmap.mmap:
    """The file, copied on write.  Pages are not reserved: a file may be larger than memory."""
    with open(path, "rb") as file:
        if sys.platform != "linux":
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        unreserved = 0x4000  # MAP_NORESERVE, which Python names from 3.13 on
        return mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE | unreserved,
                         prot=mmap.PROT_READ | mmap.PROT_WRITE)
