"""WebDataset: tar archives in which files that share a name up to its first dot are one row.

    000.jpg 000.cls 000.json   ->   {"jpg": Image, "cls": int, "json": dict, "__key__": "000", ..}

The rows come in the archive's order, read as a stream.  https://github.com/webdataset/webdataset
"""

from __future__ import annotations

import gzip
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.features import Audio, Features, Image, Mesh, Video
from enfold.data.sources.blocks import Mark, Piece
from enfold.data.sources.extensions import AUDIOS, IMAGES, VIDEOS
from enfold.data.sources.opening import DAMAGE, DataFile, expand
from enfold.data.sources.source import Reader
from enfold.errors import DataFileError, unknown_arguments
from enfold.lazy import require

HEAD, ROWS = 5, 100  # rows that decide the features, rows of a batch
FILES = (dict.fromkeys(IMAGES.split(), Image) | dict.fromkeys(AUDIOS.split(), Audio)
         | dict.fromkeys(VIDEOS.split(), Video) | dict.fromkeys(["glb", "ply", "stl"], Mesh))
NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)")


class WebDataset(Reader):
    """columns: keep only these.  What an extension is read as: `DECODERS`, else the bytes."""

    def __init__(self, columns: Sequence[str] | None = None, **others: Any) -> None:
        if others:
            raise unknown_arguments("webdataset", others, {"columns", "features"})
        self.columns = columns

    def files(self, paths: Any, storage: Mapping[str, Any] | None = None) -> list[DataFile]:
        """The archives themselves."""
        return expand(paths, storage, archives=False)

    def infer(self, file: DataFile) -> pa.Schema:
        rows = list(islice(self._rows(file), HEAD))
        if any(row.keys() != rows[0].keys() for row in rows):
            raise DataFileError(
                f"{file}: its first rows have the fields {[sorted(row) for row in rows]}. Expected "
                f"the same in each: files of one row share their name up to the first dot")
        features = Features.from_arrow_schema(_table(rows).schema)
        for name in features:
            if kind := FILES.get(_extension(name)):
                features[name] = kind()
        return features.arrow_schema

    def read(self, file: DataFile, hint: pa.Schema, start: Mark, row: int) -> Iterator[Piece]:
        files = {name for name in hint.names if _extension(name) in FILES}
        rows, at = self._rows(file), 0
        while some := list(islice(rows, ROWS)):
            for one in some:
                for name in files & one.keys():
                    one[name] = {"bytes": one[name], "path": f"{one['__key__']}.{name}"}
            known = [{name: value for name, value in one.items() if name in hint.names}
                     for one in some] if len(hint) else some
            for batch in _table(known).to_batches():
                keep = [n for n in batch.schema.names if self.columns is None or n in self.columns]
                yield Piece(batch.select(keep), at, Mark())
                at += batch.num_rows

    def _rows(self, file: DataFile) -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {}
        key = None
        with file.open() as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                match = NAME.fullmatch(member.name)
                if not member.isfile() or match is None:
                    continue
                if row and key != match[1]:
                    yield {**row, "__key__": key, "__url__": str(file)}
                    row = {}
                key, name = match.groups()
                if name in row:
                    raise DataFileError(f"{file}: the row {key!r} has two files {name!r}")
                content = archive.extractfile(member)
                row[name] = _decoded(f"{file}::{member.name}", name, content.read() if content
                                     else b"")
        if row:
            yield {**row, "__key__": key, "__url__": str(file)}


def _decoded(where: str, name: str, content: bytes) -> Any:
    if _extension(name) == "gz":
        name, content = name[:-len(".gz")], gzip.decompress(content)
    decode = DECODERS.get(_extension(name))
    try:
        return decode(content) if decode else content
    except DAMAGE as error:
        raise DataFileError(f"{where}: can't be read as .{_extension(name)}: {error}") from error


def _extension(name: str) -> str:
    return name.rsplit(".", 1)[-1].lower()


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    """Rows as a table with every field that one of them has."""
    plain = [{name: value.tolist() if isinstance(value, np.ndarray) else value
              for name, value in row.items()} for row in rows]
    names = dict.fromkeys(name for row in plain for name in row)
    return pa.table({name: [row.get(name) for row in plain] for name in names})


def _npy(content: bytes) -> Any:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


def _npz(content: bytes) -> Any:
    return dict(np.load(io.BytesIO(content), allow_pickle=False))


def _torch(content: bytes) -> Any:
    loaded = require("torch").load(io.BytesIO(content), weights_only=True)
    return loaded.numpy() if hasattr(loaded, "numpy") else loaded


def _msgpack(content: bytes) -> Any:
    return require("msgpack").unpackb(content)


def _cbor(content: bytes) -> Any:
    return require("cbor").loads(content)


def _tenbin(content: bytes) -> Any:
    raise DataFileError("tensors of webdataset's own tenbin format are not read here. Do: write "
                        "them as .npy")


DECODERS: dict[str, Callable[[bytes], Any]] = {
    **dict.fromkeys(["txt", "text", "transcript"], bytes.decode),
    **dict.fromkeys(["cls", "cls2", "index", "inx", "id"], int),
    **dict.fromkeys(["json", "jsn"], json.loads),
    **dict.fromkeys(["ten", "tb"], _tenbin), **dict.fromkeys(["mp", "msg"], _msgpack),
    "npy": _npy, "npz": _npz, "cbor": _cbor, "pth": _torch}
