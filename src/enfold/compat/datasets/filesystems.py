"""`datasets.filesystems`."""

from typing import Any

from enfold.data.download.compressed import FILESYSTEMS as COMPRESSION_FILESYSTEMS
from enfold.lazy import require

__all__ = ["COMPRESSION_FILESYSTEMS", "is_remote_filesystem"]


for one in COMPRESSION_FILESYSTEMS:
    require("fsspec").get_filesystem_class(one.protocol)  # loaded, not only known


def is_remote_filesystem(fs: Any) -> bool:
    """Whether an fsspec filesystem is not the local one."""
    return not isinstance(fs, require("fsspec.implementations.local").LocalFileSystem)
