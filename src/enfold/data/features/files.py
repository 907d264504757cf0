"""Features that are files: stored as struct<bytes: binary, path: string>, decoded when read.

`bytes` is the file as it was encoded; it is null where `path` is enough to find it.  What a file
decodes to, and which objects encode to one, is said by the subclasses.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from enfold.data.features.errors import CastError, FeatureError, shown
from enfold.data.features.value import Value, is_text
from enfold.files import env
from enfold.lazy import require

Tokens = dict[str, str | bool | None]
Encoded = dict[str, Any]
_STORAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_HUB_PATH = re.compile(r"hf://datasets/([^/]+/[^/@]+)|(.+?)/datasets/([^/]+/[^/]+)/resolve/")


class FileFeature:
    """What all of them share: `decode=False` hands out {"bytes": .., "path": ..} instead."""

    decode: bool
    dtype: ClassVar[str]
    pa_type: ClassVar[Any] = _STORAGE

    def __call__(self) -> pa.DataType:
        return self.pa_type

    def encode_example(self, value: Any) -> Encoded:
        """A path, bytes, {"path", "bytes"} or a decoded object as {"bytes", "path"}."""
        if isinstance(value, str):
            return {"path": value, "bytes": None}
        if isinstance(value, Path):
            return {"path": str(value.absolute()), "bytes": None}
        if isinstance(value, (bytes, bytearray)):
            return {"path": None, "bytes": bytes(value)}
        if hasattr(value, "_hf_encoded"):
            return dict(value._hf_encoded)
        encoded = self._encode_object(value)
        return self._encode_dict(value) if encoded is None else encoded

    def decode_example(self, value: Any, token_per_repo_id: Tokens | None = None) -> Any:
        """The decoded file of {"bytes", "path"} or a path; what is decoded stays as it is."""
        name = type(self).__name__
        if not self.decode:
            raise RuntimeError(f"{name}(decode=False) was asked to decode. Do: cast the column to "
                               f"{name}()")
        if isinstance(value, str):
            value = {"path": value, "bytes": None}
        if not isinstance(value, dict):
            return value
        if value.get("bytes") is None and value.get("path") is None:
            raise self._nothing_in(value)
        return self._decode(value.get("path"), value.get("bytes"), token_per_repo_id)

    def flatten(self) -> Any:
        """Itself, or the two columns of its storage where it is not decoded."""
        return self if self.decode else {"bytes": Value("binary"), "path": Value("string")}

    def cast_storage(self, storage: pa.Array) -> pa.Array:
        """Paths, bytes or structs of either as the storage type."""
        types, arrow = pa.types, storage.type
        if arrow == self.pa_type:
            return storage
        if is_text(arrow):
            return _stored(None, storage)
        if types.is_binary(arrow) or types.is_large_binary(arrow) or types.is_binary_view(arrow):
            return _stored(storage, None)
        if types.is_struct(arrow):
            return self._cast_struct(storage)
        if types.is_null(arrow):
            return storage.cast(self.pa_type)
        return self._cast_lists(storage)

    def embed_storage(self, storage: pa.Array, token_per_repo_id: Tokens | None = None,
                      local_files: bool = True, remote_files: bool = True) -> pa.Array:
        """The files read into `bytes`, and their names left in `path`."""
        def inside(path: str | None) -> bool:
            return path is not None and (local_files if is_local(path) else remote_files)

        rows = [row or {"bytes": None, "path": None} for row in storage.to_pylist()]
        contents = [read_bytes(row["path"], token_per_repo_id)
                    if row["bytes"] is None and inside(row["path"]) else row["bytes"]
                    for row in rows]
        names = [os.path.basename(row["path"]) if inside(row["path"]) else row["path"]
                 for row in rows]
        return pa.StructArray.from_arrays(
            [pa.array(contents, pa.binary()), pa.array(names, pa.string())],
            fields=list(self.pa_type), mask=storage.is_null())

    def _encode_object(self, value: Any) -> Encoded | None:
        """A decoded object encoded, None if it is no such object."""
        return None

    def _decode(self, path: str | None, content: bytes | None, tokens: Tokens | None) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: decoding is not written. Do: implement "
                                  "_decode in the feature")

    def _encode_dict(self, value: Any) -> Encoded:
        if not isinstance(value, dict):
            raise FeatureError(f"{type(self).__name__}: got a {type(value).__name__}. Expected a "
                               "path, bytes or a dict with 'path' or 'bytes'")
        path, content = value.get("path"), value.get("bytes")
        if path is None and content is None:
            raise self._nothing_in(value)
        if path is not None and os.path.isfile(path):
            content = None  # the file is there: no copy of it
        return {"bytes": content, "path": path}

    def _nothing_in(self, value: Any) -> FeatureError:
        return FeatureError(f"{type(self).__name__}: got {shown(value)}. Expected 'path' or "
                            "'bytes' in it: both are None or missing")

    def _cast_struct(self, storage: pa.Array) -> pa.Array:
        fields = {field.name: values for field, values
                  in zip(storage.type, storage.flatten(), strict=True)}
        if not {"bytes", "path"} & set(fields):
            raise self._cannot_cast(storage)
        return _stored(fields.get("bytes"), fields.get("path"), storage.is_null())

    def _cast_lists(self, storage: pa.Array) -> pa.Array:
        raise self._cannot_cast(storage)

    def _cannot_cast(self, storage: pa.Array) -> CastError:
        return CastError(f"{type(self).__name__}: can't be made of {storage.type}. Expected paths "
                         "(string), bytes (binary) or struct<bytes, path>")

    def _encode_rows(self, storage: pa.Array) -> pa.Array:
        rows = [None if row is None else self.encode_example(row) for row in storage.to_pylist()]
        return pa.array(rows, self.pa_type)


def is_local(path: str) -> bool:
    """Whether a path names a file of this machine: no scheme, no file inside an archive."""
    return "://" not in path or path.startswith("file://")


def read_bytes(path: str, tokens: Tokens | None = None) -> bytes:
    """A file's content: of this machine, or through fsspec (hf://, https://, s3://, zip://)."""
    if is_local(path):
        return Path(path.removeprefix("file://")).read_bytes()
    with require("fsspec").open(path, "rb", **_credentials(path, tokens or {})) as file:
        return bytes(file.read())


def _credentials(path: str, tokens: Tokens) -> dict[str, Any]:
    """fsspec's options that carry the token of the Hub repository that a path is in."""
    source = path.split("::")[-1]
    found = _HUB_PATH.match(source)
    if not found or found[2] not in (None, env.endpoint()):
        return {}
    token = tokens.get(found[1] or found[3])
    if not token:
        return {}
    options = {"token": token} if found[1] else {"headers": {"authorization": f"Bearer {token}"}}
    return {source.split("://")[0]: options} if "::" in path else options


def _stored(content: pa.Array | None, path: pa.Array | None,
            mask: pa.Array | None = None) -> pa.Array:
    given: Any = content if content is not None else path
    columns = [pa.nulls(len(given), field.type) if column is None else column.cast(field.type)
               for column, field in zip((content, path), _STORAGE, strict=True)]
    return pa.StructArray.from_arrays(columns, fields=list(_STORAGE),
                                      mask=given.is_null() if mask is None else mask)


