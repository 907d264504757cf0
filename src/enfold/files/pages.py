"""Pages of mapped files: those that are done with are given back, so that they don't count."""

from __future__ import annotations

import ctypes
import mmap
from functools import cache
from typing import Any


def drop_pages(address: int, size: int) -> None:
    """Drop the whole pages within `size` bytes from `address`, which must be of a private mapping
    that nobody wrote to.  Does nothing where the system has no such call.
    """
    start = -(-address // mmap.PAGESIZE) * mmap.PAGESIZE
    end = (address + size) // mmap.PAGESIZE * mmap.PAGESIZE
    if end > start and (call := _madvise()) is not None:
        call(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED)


@cache
def _madvise() -> Any:
    return getattr(ctypes.CDLL(None), "madvise", None) if hasattr(mmap, "MADV_DONTNEED") else None
