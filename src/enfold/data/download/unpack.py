"""Unpacking archives and compressed files into a cache, and what kind a file is."""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import Any

from enfold.data.cache.lock import FileLock
from enfold.data.download.archives import ZIP
from enfold.data.sources.opening import MAGIC, DataFile, naming
from enfold.errors import DataFileError
from enfold.lazy import require

_PACKED = {b"Rar!\x1a\x07": "rar", b"7z\xbc\xaf\x27\x1c": "7z"}


def hash_url_to_filename(url: str, etag: str | None = None) -> str:
    """The name under which the content of a URL is cached: its SHA-256, and that of the ETag."""
    name = sha256(url.encode()).hexdigest()
    return f"{name}.{sha256(etag.encode()).hexdigest()}" if etag else name


def unpack(path: str, folder: Path, force: bool = False) -> str:
    """The file or folder that a local file unpacks to, below `folder`; itself if it is not packed.

    force: unpack again.  Raises DataFileError for a damaged archive, or one with a file that would
    land outside.
    """
    kind = packing(path)
    if kind is None:
        return path
    out = folder / hash_url_to_filename(os.path.abspath(path))
    if _done(out) and not force:
        return str(out)
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(out.with_name(f"{out.name}.lock"), passing=True), naming(path):
        if not _done(out) or force:
            draft = out.with_name(f"{out.name}.{token_hex(4)}.incomplete")
            try:
                _unpack(path, draft, kind)
                _remove(out)
                os.replace(draft, out)
            finally:
                _remove(draft)
    return str(out)


def packing(path: str) -> str | None:
    """tar, zip, gzip, bz2, xz, zstd, lz4, rar or 7z, by the first bytes; None for anything else."""
    if os.path.isdir(path):
        return None
    if tarfile.is_tarfile(path):
        return "tar"
    with open(path, "rb") as file:
        head = file.read(8)
    if head.startswith(ZIP) and zipfile.is_zipfile(path):
        return "zip"
    return next((kind for magic, kind in {**MAGIC, **_PACKED}.items() if head.startswith(magic)),
                None)


def _unpack(path: str, out: Path, kind: str) -> None:
    if kind not in ("tar", "zip", "rar", "7z"):
        with DataFile(path).open() as source, open(out, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        return
    out.mkdir()
    if kind == "tar":
        with tarfile.open(path) as tar:
            tar.extractall(out, filter="data")  # refuses what would land outside
        return
    archive: Any = (zipfile.ZipFile(path) if kind == "zip" else
                    require("rarfile").RarFile(path) if kind == "rar" else
                    require("py7zr").SevenZipFile(path))
    with archive:
        names = archive.getnames() if kind == "7z" else archive.namelist()
        for name in names:
            if not (out / name).resolve().is_relative_to(out.resolve()):
                raise DataFileError(f"{path}: its file {name!r} would land outside of the folder "
                                    f"it is unpacked to. Expected names below it")
        archive.extractall(out)


def _done(out: Path) -> bool:
    return out.is_file() or (out.is_dir() and any(out.iterdir()))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
