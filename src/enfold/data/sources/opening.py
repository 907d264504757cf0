"""Data files as plain byte streams: local or remote, compressed, members of archives.

    data/a.csv, data/a.csv.gz      decompressed while read: gz, bz2, xz, zst, lz4, by first bytes
    data/a.zip, data/a.tar.gz      every member that is not hidden, in the archive's order
    data/a.zip::inner.csv          one member; also zip://inner.csv::data/a.zip, with globs inside
    data/, data/*.csv              the files below a folder, or what a glob finds, sorted
    hf://, https://, s3://, ...    through fsspec, which fetches only what is read
"""

from __future__ import annotations

import lzma
import os
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatch
from glob import glob, has_magic
from pathlib import Path, PurePosixPath
from typing import IO, Any, BinaryIO, cast

import pyarrow as pa

from enfold.errors import (
    DataError,
    DataFileError,
    DependencyError,
    EnfoldError,
    FileMissing,
    nearest,
)
from enfold.lazy import require

# first bytes -> codec; the tests of these need no more than six bytes
MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "xz", b"\x28\xb5\x2f\xfd": "zstd",
         b"\x04\x22\x4d\x18": "lz4"}
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
DAMAGE = (OSError, EOFError, ValueError, RecursionError, OverflowError, zlib.error,
          lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, pa.ArrowException)


@dataclass(frozen=True, slots=True)
class DataFile:
    """One file to read: `path` is a local path or a URL, `member` a name inside that archive.

    storage: options of its fsspec filesystem (`token`, `anon`, ...).
    """

    path: str
    member: str | None = None
    storage: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.path if self.member is None else f"{self.path}::{self.member}"

    @property
    def name(self) -> str:
        """The last part of its path, which tells its format: `a.csv.gz`."""
        return PurePosixPath(self.member or self.path).name

    @property
    def local(self) -> Path | None:
        """Its path where the bytes lie in a local file as they are, outside of an archive."""
        return Path(self.path) if self.member is None and not is_url(self.path) else None

    def open_raw(self) -> BinaryIO:
        """Its bytes as stored.  Raises FileMissing or DataFileError."""
        if self.member is None:
            return _open_path(self.path, self.storage)
        with naming(self):
            return _open_member(self)

    def open(self) -> BinaryIO:
        """Its bytes, decompressed where its first bytes tell a codec."""
        raw = self.open_raw()
        with naming(self):
            return decompressed(raw)


@contextmanager
def naming(file: DataFile | str) -> Iterator[None]:
    """What goes wrong while a file is read becomes a DataFileError that names the file."""
    try:
        yield
    except EnfoldError:
        raise
    except UnicodeDecodeError as error:
        raise not_text(str(file), error) from error
    except DAMAGE as error:
        reason = str(error).strip() or type(error).__name__
        raise DataFileError(f"{file}: can't be read: {reason}") from error


def not_text(where: str, error: UnicodeDecodeError) -> DataFileError:
    """The error for bytes that are no text in the encoding they are read in."""
    byte = error.object[error.start]
    return DataFileError(f"{where}: the byte 0x{byte:02x} is no {error.encoding} ({error.reason}). "
                         f"Do: pass encoding=, for example encoding='latin-1', or "
                         f"encoding_errors='replace'")


def is_url(path: str) -> bool:
    """Whether fsspec has to open it."""
    return "://" in path


def expand(paths: str | os.PathLike[str] | Iterable[Any], storage: Mapping[str, Any] | None = None,
           archives: bool = True) -> list[DataFile]:
    """The files that paths, folders, globs, archives and URLs stand for, in the order given.

    archives: take an archive for its members, else for a file.
    """
    many = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    found = [file for path in many for file in _expand(path, storage or {})]
    return [inner for file in found for inner in _members(file)] if archives else found


def _members(file: DataFile) -> Iterator[DataFile]:
    if file.member is None and _archive(file.path):
        yield from (DataFile(file.path, name, file.storage)
                    for name in members(file.path, file.storage))
    else:
        yield file


def _expand(path: Any, storage: Mapping[str, Any]) -> Iterator[DataFile]:
    if isinstance(path, DataFile):
        yield path
        return
    name = os.path.expanduser(os.fspath(path))
    outer, member = _hops(name)
    if member is not None:
        found = [m for m in members(outer, storage) if m == member or fnmatch(m, member)]
        if not found:
            raise FileMissing(f"{outer} has no member {member!r}"
                              f"{nearest(member, members(outer, storage))}")
        yield from (DataFile(outer, m, storage) for m in found)
    elif is_url(outer):
        yield from _remote(outer, storage)
    elif os.path.isdir(outer):
        yield from (file for inner in _walk(outer) for file in _expand(inner, storage))
    elif has_magic(outer) and not os.path.exists(outer):
        yield from _globbed(outer, storage)
    else:
        yield from _plain(outer, storage)


def _hops(path: str) -> tuple[str, str | None]:
    """`zip://inner::outer` and `outer::inner` as (outer, inner)."""
    first, separator, rest = path.partition("::")
    if not separator:
        return path, None
    protocol, found, inner = first.partition("://")
    return (rest, inner) if found and protocol in ("zip", "tar") else (first, rest)


def _plain(path: str, storage: Mapping[str, Any]) -> Iterator[DataFile]:
    if not os.path.exists(path):
        folder = os.path.dirname(path) or "."
        near = nearest(os.path.basename(path), os.listdir(folder)) if os.path.isdir(folder) else ""
        raise FileMissing(f"no data file {path}{near}")
    yield DataFile(path, None, storage)


def _globbed(pattern: str, storage: Mapping[str, Any]) -> Iterator[DataFile]:
    given = set(Path(pattern).parts)
    found = [path for path in sorted(glob(pattern, recursive=True)) if os.path.isfile(path)
             and not any(part.startswith("__") for part in {*Path(path).parts} - given)]
    if not found:
        raise FileMissing(f"no data file matches {pattern}")
    yield from (DataFile(path, None, storage) for path in found)


def _remote(url: str, storage: Mapping[str, Any]) -> Iterator[DataFile]:
    if has_magic(url) and not url.startswith("http"):
        system, pattern = require("fsspec").core.url_to_fs(url, **storage)
        urls = [system.unstrip_protocol(path) for path in sorted(system.glob(pattern))]
        if not urls:
            raise FileMissing(f"no data file matches {url}")
    else:
        urls = [url]
    yield from (DataFile(one, None, storage) for one in urls)


def _walk(folder: str) -> Iterator[str]:
    for top, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        yield from (os.path.join(top, name) for name in sorted(files)
                    if not name.startswith((".", "__")))


def _archive(path: str) -> str | None:
    """`zip` or `tar` for archives, told by the name."""
    name = path.split("?")[0].lower()
    return "zip" if name.endswith(".zip") else "tar" if name.endswith(TARS) else None


def members(path: str, storage: Mapping[str, Any] | None = None) -> list[str]:
    """The names of the files in an archive that are not hidden, in its order."""
    kind = _archive(path)
    if kind is None:
        raise DataError(f"{path}: not an archive whose members can be named with '::'. "
                        f"Expected one of: .zip, {', '.join(TARS)}")
    raw = _open_path(path, storage or {})
    with naming(path), raw:
        if kind == "zip":
            with zipfile.ZipFile(raw) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
        else:
            with tarfile.open(fileobj=raw) as tar:
                names = [info.name for info in tar if info.isfile()]
    return [name for name in names
            if not any(part.startswith((".", "__")) for part in PurePosixPath(name).parts)]


def _open_member(file: DataFile) -> BinaryIO:
    raw = _open_path(file.path, file.storage)
    if _archive(file.path) == "zip":  # closing the archive leaves the open member readable
        with zipfile.ZipFile(raw) as archive:
            if archive.getinfo(str(file.member)).flag_bits & 1:
                raise DataFileError(f"{file}: is encrypted. Do: unpack the archive with its "
                                    f"password and pass the files")
            return cast(BinaryIO, archive.open(str(file.member)))
    tar = tarfile.open(fileobj=raw)  # noqa: SIM115 - read until the member is closed
    member = tar.extractfile(str(file.member))
    if member is None:
        raise DataFileError(f"{file}: not a regular file in its archive")
    return cast(BinaryIO, member)


def _open_path(path: str, storage: Mapping[str, Any]) -> BinaryIO:
    try:
        if is_url(path):
            return cast(BinaryIO, require("fsspec").open(path, "rb", **storage).open())
        return open(path, "rb", buffering=0)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise FileMissing(f"no data file {path}") from error
    except EnfoldError:
        raise
    except ImportError as error:  # fsspec says which package its filesystem needs
        raise DependencyError(f"{path}: {error}") from error
    except DAMAGE as error:
        raise DataFileError(f"{path}: can't be opened: {error}") from error


def decompressed(raw: BinaryIO) -> BinaryIO:
    """A stream as its content, where its first bytes tell a codec; else itself."""
    head = raw.read(6)
    raw.seek(0)
    codec = next((name for magic, name in MAGIC.items() if head.startswith(magic)), None)
    if codec is None:
        return raw
    if codec == "xz":
        return cast(BinaryIO, lzma.open(raw))
    return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(cast(IO[bytes], raw), "r"), codec))
