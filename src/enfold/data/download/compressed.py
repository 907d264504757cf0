"""Compressed files as fsspec filesystems of one file: `gzip://a.txt::https://host/a.txt.gz`."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any, BinaryIO, cast

import fsspec
from fsspec.archive import AbstractArchiveFileSystem
from fsspec.registry import known_implementations, registry

from enfold.data.sources.opening import decompressed, naming

# protocol -> extensions, the first being the usual one
EXTENSIONS: Mapping[str, tuple[str, ...]] = {
    "bz2": (".bz2",), "gzip": (".gz", ".gzip"), "lz4": (".lz4",), "xz": (".xz",),
    "zstd": (".zst", ".zstd")}


class CompressedFileSystem(AbstractArchiveFileSystem):  # type: ignore[misc]
    """The file `a.txt` in `a.txt.gz`.

    fo: the compressed file, a path or URL.  target_options: of the filesystem it lies in.
    """

    root_marker = ""
    cachable = False  # the file may change
    extensions: tuple[str, ...] = ()

    def __init__(self, fo: str = "", target_protocol: str | None = None,
                 target_options: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        path = os.fspath(fo)
        if target_protocol not in (None, "file", "local") and "://" not in path:
            path = f"{target_protocol}://{path}"
        self.fo, self._options = path, target_options or {}
        name = os.path.basename(path.split("::")[0])
        self.inner = name.rpartition(".")[0] or name
        self.dir_cache: dict[str, Any] | None = None
        self._outer: Any = None
        self._inside = ""

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return cast(str, super()._strip_protocol(path)).lstrip("/")

    def _get_dirs(self) -> None:
        if self.dir_cache is None:
            told = self._system().info(self._inside)
            # the size of the compressed bytes tells nothing
            self.dir_cache = {self.inner: {**told, "name": self.inner, "size": None}}

    def _system(self) -> Any:
        """The filesystem of the compressed file, kept: an archive is closed when it is let go."""
        if self._outer is None:
            self._outer, self._inside = fsspec.core.url_to_fs(self.fo, **self._options)
        return self._outer

    def cat_file(self, path: str, start: int | None = None, end: int | None = None,
                 **kwargs: Any) -> bytes:
        with self.open(path, "rb") as file:
            return cast(bytes, file.read()[start:end])

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> BinaryIO:
        if self._strip_protocol(path) != self.inner:
            raise FileNotFoundError(f"{self.fo} holds {self.inner!r}, and no {path!r}")
        raw = self._system().open(self._inside, "rb")
        with naming(self.fo):
            file = _Reader(cast(Any, decompressed(raw)))
        file.system = self
        return file


class _Reader(io.BufferedReader):
    """Keeps its filesystem as long as it is read."""

    system: CompressedFileSystem | None = None


FILESYSTEMS: list[type[CompressedFileSystem]] = [
    type(f"{name.title()}FileSystem", (CompressedFileSystem,),
         {"protocol": name, "compression": name, "extensions": extensions,
          "__doc__": f"A {name} file as a filesystem of one file.", "__module__": __name__})
    for name, extensions in EXTENSIONS.items()]
globals().update({one.__name__: one for one in FILESYSTEMS})  # for pickle


def register() -> None:
    """Make the protocols known to fsspec, where no other library has."""
    for one in FILESYSTEMS:
        if one.protocol not in registry and one.protocol not in known_implementations:
            fsspec.register_implementation(one.protocol, f"{__name__}.{one.__name__}")


register()
