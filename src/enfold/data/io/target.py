"""Where exported data goes: a path, a URL of fsspec, or a file object that is open."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import IO, Any

from enfold.errors import DataFileError
from enfold.lazy import require

Target = str | bytes | os.PathLike[str] | IO[bytes]


class WriteError(DataFileError, OSError):
    """What a file system objected to while data was written; also an OSError."""


def is_path(target: Any) -> bool:
    """Whether it names a place rather than being an open file."""
    return isinstance(target, (str, bytes, os.PathLike))


def is_url(place: str) -> bool:
    """Whether fsspec opens it rather than this machine's file system."""
    return "://" in place or "::" in place


def named(target: Any) -> str:
    """A path or URL as text."""
    place = os.fsdecode(target)
    return place.removeprefix("file://") if place.startswith("file://") else place


@contextmanager
def opened(target: Target, storage_options: Mapping[str, Any] | None = None,
           compression: str | None = None) -> Iterator[IO[bytes]]:
    """A binary file to write to.

    compression: fsspec's name ("gzip", "bz2", "xz", "zstd"), "infer" to go by the path's extension.
    A file of this machine takes its name once it is whole: after an error or a kill what was there
    before is still there.  Raises `WriteError` naming the path.
    """
    if not is_path(target):
        yield target  # type: ignore[misc]
        return
    place = named(target)
    fsspec = require("fsspec")
    if compression == "infer":
        compression = fsspec.utils.infer_compression(place)
    options = dict(storage_options or {})
    if is_url(place):
        with fsspec.open(place, "wb", compression=compression, **options) as file:
            yield file
        return
    try:
        with _drafted(Path(place).expanduser()) as draft, fsspec.open(
                str(draft), "wb", compression=compression) as file:
            yield file
    except OSError as error:
        raise failed(place, error) from error


@contextmanager
def _drafted(path: Path) -> Iterator[Path]:
    """A name to write to, which replaces `path` in the end; `path` itself if it is a device."""
    if path.exists() and not path.is_file():
        yield path
        return
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}-{token_hex(4)}.incomplete")
    try:
        yield draft
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def failed(place: str, error: OSError) -> WriteError:
    """The error of a place that could not be written."""
    found = WriteError(f"{place}: could not be written: {error}. What was there before is as it "
                       "was. Do: free space on that disk, or check the path and your rights to it")
    found.errno = error.errno
    return found
