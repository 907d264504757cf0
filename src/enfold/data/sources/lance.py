"""Lance: datasets, which are folders of versions and fragments, and single files.

A file inside of a dataset's folder stands for the whole dataset.  https://lancedb.github.io/lance
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import types as t

from enfold.data.features import Audio, Features, Image, Video
from enfold.data.sources.blocks import Mark, Piece
from enfold.data.sources.opening import DataFile, expand, is_url
from enfold.data.sources.source import Reader
from enfold.errors import unknown_arguments
from enfold.lazy import require

INSIDE = re.compile(r"(?:(?P<root>.*[.]lance)/(?:data|_\w+)|"
                    r"(?P<versioned>.*)/_(?:transactions|indices|versions|deletions))/")
# what a file of each kind begins with, after no more bytes than that
MAGIC: list[tuple[bytes, Any]] = [
    (b"\x1a\x45\xdf\xa3", Video), (b"ftypisom", Video), (b"ftypMSNV", Video), (b"RIFF", None),
    (b"\x00\x00\x01\xba", Video), (b"\x00\x00\x01\xb3", Video), (b"\x89PNG", Image),
    (b"\xff\xd8", Image), (b"II", Image), (b"GIF8", Image), (b"ID3", Audio), (b"fLaC", Audio)]


class Lance(Reader):
    """columns: read only these.  batch_size: rows of a batch.  token: of the Hub."""

    def __init__(self, columns: Sequence[str] | None = None, *, batch_size: int | None = 256,
                 token: str | None = None, **others: Any) -> None:
        if others:
            raise unknown_arguments("lance", others, {"columns", "features", "batch_size", "token"})
        self.columns = list(columns) if columns is not None else None
        self.batch_size, self.token = batch_size or 256, token

    def files(self, paths: Any, storage: Mapping[str, Any] | None = None) -> list[DataFile]:
        """The datasets that folders and files are or lie in, and files of none."""
        many: list[Any] = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        found: dict[str, DataFile] = {}
        for path in many:
            name = path.path if isinstance(path, DataFile) else os.fspath(path)
            root = _root(name)
            some = [DataFile(root, None, storage or {})] if root else [
                DataFile(_root(one.path) or one.path, None, one.storage)
                for one in expand(path, storage, archives=False)]
            found.update({one.path: one for one in some})
        return list(found.values())

    def infer(self, file: DataFile) -> pa.Schema:
        opened = self._open(file)
        schema = opened.schema if _is_dataset(opened) else opened.metadata().schema
        names = schema.names if self.columns is None else [
            name for name in self.columns if name in schema.names]
        features = Features.from_arrow_schema(pa.schema([schema.field(name) for name in names]))
        binary = [name for name in names if t.is_binary(schema.field(name).type)
                  or t.is_large_binary(schema.field(name).type)]
        first = next((p.batch for p in self._pieces(opened, Mark(), binary, 1)), None) if (
            binary) else None
        for name in binary:
            content = first.column(name)[0].as_py() if first is not None and first.num_rows else b""
            features[name] = _media(content or b"") or features[name]
        return features.arrow_schema

    def read(self, file: DataFile, hint: pa.Schema, start: Mark, row: int) -> Iterator[Piece]:
        yield from self._pieces(self._open(file), start, self.columns, self.batch_size)

    def _pieces(self, opened: Any, start: Mark, columns: Sequence[str] | None,
                size: int) -> Iterator[Piece]:
        at = start.row
        if not _is_dataset(opened):
            for batch in opened.read_all(batch_size=size).to_batches():
                keep = batch.schema.names if columns is None else columns
                yield Piece(batch.select([n for n in keep if n in batch.schema.names]), at, Mark())
                at += batch.num_rows
            return
        known = [name for name in columns if name in opened.schema.names] if columns else columns
        for number, fragment in list(enumerate(opened.get_fragments()))[start.offset:]:
            mark = Mark(at, number)
            for batch in fragment.to_batches(columns=known, batch_size=size,
                                             blob_handling="all_binary"):
                yield Piece(batch, at, mark)
                at += batch.num_rows

    def _open(self, file: DataFile) -> Any:
        lance = require("lance", "lance")
        if file.path.startswith("hf://") and "@" in file.path:
            raise NotImplementedError(f"{file}: Lance reads no revisions of the Hub. Do: leave "
                                      f"revision= out, or download the repository and pass its "
                                      f"folder")
        options = dict(file.storage)
        if self.token is not None:
            options["token"] = self.token
        if _is_folder(file.path, file.storage):
            return lance.dataset(file.path, storage_options=options or None)
        require("lance.file", "lance")
        return lance.file.LanceFileReader(file.path, storage_options=options or None)


def _is_dataset(opened: Any) -> bool:
    return hasattr(opened, "get_fragments")


def _root(path: str) -> str | None:
    """The dataset that a path is or lies in, or None."""
    if inside := INSIDE.match(path):
        return inside["root"] or inside["versioned"]
    return path if not is_url(path) and os.path.isdir(os.path.join(path, "_versions")) else None


def _is_folder(path: str, storage: Mapping[str, Any]) -> bool:
    if not is_url(path):
        return os.path.isdir(path)
    system, inner = require("fsspec").core.url_to_fs(path, **storage)
    return bool(system.isdir(inner))


def _media(content: bytes) -> Any:
    """The feature of a file by its first bytes, or None."""
    for magic, kind in MAGIC:
        if magic in content[:2 * len(magic)]:
            sound = content[8:12] == b"WAVE"
            return kind() if kind is not None else Audio() if sound else Video()
    return None
