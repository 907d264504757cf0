"""What is in archives and folders, as iterables that begin anew each time."""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from enfold.data.download.paths import PathMissing, xbasename, xisdir, xisfile, xjoin, xopen, xwalk
from enfold.data.sources.opening import naming

ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


class Reiterable:
    """`function(*args)` each time it is iterated."""

    def __init__(self, function: Callable[..., Iterator[Any]], *args: Any) -> None:
        self._function, self._args = function, args

    def __iter__(self) -> Iterator[Any]:
        return self._function(*self._args)


def archive_files(path_or_buf: Any, download_config: Any = None) -> Iterable[tuple[str, BinaryIO]]:
    """(name, file object) of the files in a zip or tar: a path, URL or binary file object.

    A tar is read as a stream: read each file before going on to the next.  Files that begin with
    a dot or `__` are left out.
    """
    if hasattr(path_or_buf, "read"):
        return Reiterable(_in_archive, path_or_buf)
    return Reiterable(_at_path, str(path_or_buf), download_config)


def files_below(paths: Any, download_config: Any = None) -> Iterable[str]:
    """The paths of the files that paths and folders stand for, sorted, but for hidden ones."""
    many = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    return Reiterable(_below, [str(path) for path in many], download_config)


def _at_path(path: str, download_config: Any) -> Iterator[tuple[str, BinaryIO]]:
    with naming(path), xopen(path, "rb", download_config=download_config) as file:
        yield from _in_archive(file)


def _in_archive(file: BinaryIO) -> Iterator[tuple[str, BinaryIO]]:
    if _head(file) in ZIP:
        yield from _in_zip(file)
        return
    with tarfile.open(fileobj=file, mode="r|*") as stream:
        for member in stream:
            if member.isreg() and not _hidden(member.name):
                content = stream.extractfile(member)
                if content is not None:
                    yield member.name, content  # type: ignore[misc]
            stream.members = []  # type: ignore[attr-defined] # or they pile up


def _head(file: BinaryIO) -> bytes:
    """The first bytes, where the file can go back to them."""
    try:
        file.seek(0)
    except (AttributeError, OSError):  # a stream, such as a member of a tar that is read as one
        return b""
    head = file.read(4)
    file.seek(0)
    return head


def _in_zip(file: BinaryIO) -> Iterator[tuple[str, BinaryIO]]:
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            if not member.is_dir() and not _hidden(member.filename):
                with archive.open(member) as content:
                    yield member.filename, content  # type: ignore[misc]


def _below(paths: list[str], download_config: Any) -> Iterator[str]:
    for path in paths:
        if xisfile(path, download_config):
            yield path
        elif xisdir(path, download_config):
            for folder, folders, files in xwalk(path, download_config):
                folders[:] = sorted(name for name in folders if not _hidden(name))
                if not _hidden(xbasename(folder)):
                    yield from (xjoin(folder, name) for name in sorted(files)
                                if not _hidden(name))
        else:
            raise PathMissing(f"{path}: no such file or folder")


def _hidden(name: str) -> bool:
    return os.path.basename(name).startswith((".", "__"))
