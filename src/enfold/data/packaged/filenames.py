"""Columns of file names in metadata, as columns of media: `file_name` -> `image`.

    file_name, x_file_name     a string            -> image, x
    file_names, x_file_names   a list of strings   -> images, x

Also in structs and lists of structs.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyarrow import types as t

from enfold.data.features import Features, LargeList, List, Value
from enfold.errors import DataError

_STRINGS = (Value("string"), Value("large_string"))


def media_features(features: Features, base: str, feature: Any) -> Features:
    """The features with file names as media.  Raises DataError where there are none."""
    made = _described(dict(features), base, feature)
    if made == dict(features):
        raise DataError(f"`file_name`, `*_file_name`, `file_names` or `*_file_names` must be "
                        f"present as dictionary key in metadata files. Got {list(features)}. Do: "
                        f"rename the column, or pass drop_metadata=True")
    return Features(made)


def _described(feature: Any, base: str, media: Any) -> Any:
    if isinstance(feature, dict):
        return {_new_name(key, base) if _names_files(key, value) else key:
                _as_media(value, media) if _names_files(key, value)
                else _described(value, base, media) for key, value in feature.items()}
    if isinstance(feature, list):
        return [_described(feature[0], base, media)]
    if isinstance(feature, (List, LargeList)):
        return type(feature)(_described(feature.feature, base, media))
    return feature


def _names_files(key: str, feature: Any) -> bool:
    if key == "file_name" or key.endswith("_file_name"):
        return feature in _STRINGS
    many = key == "file_names" or key.endswith("_file_names")
    inner = getattr(feature, "feature", feature[0] if isinstance(feature, list) else None)
    return many and inner in _STRINGS


def _as_media(feature: Any, media: Any) -> Any:
    if isinstance(feature, list):
        return [media]
    return type(feature)(media) if isinstance(feature, (List, LargeList)) else media


def _new_name(key: str, base: str) -> str:
    if key.endswith("file_names"):
        return key.removesuffix("file_names").removesuffix("_") or f"{base}s"
    return key.removesuffix("file_name").removesuffix("_") or base


def with_paths(table: pa.Table, base: str, metadata: str) -> pa.Table:
    """A table of a metadata file with its file names as paths, under their new names.

    Raises DataError for a name that leads out of the file's folder.
    """
    names, columns = [], []
    for field, column in zip(table.schema, table.columns, strict=True):
        found = _is_path(field)
        names.append(_new_name(field.name, base) if found else field.name)
        array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
        columns.append(_joined(array, metadata) if found else _inner(array, base, metadata))
    return pa.table(dict(zip(names, columns, strict=True)))


def _is_path(field: pa.Field) -> bool:
    name = field.name
    if name == "file_name" or name.endswith("_file_name"):
        return _is_string(field.type)
    many = name == "file_names" or name.endswith("_file_names")
    return many and _is_list(field.type) and _is_string(field.type.value_type)


def _is_string(kind: pa.DataType) -> bool:
    return bool(t.is_string(kind) or t.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(t.is_list(kind) or t.is_large_list(kind))


def _joined(array: pa.Array, metadata: str) -> pa.Array:
    if _is_list(array.type):
        return _relisted(array, lambda values: _joined(values, metadata))
    return pa.array([None if name is None else beside(metadata, name)
                     for name in array.to_pylist()], array.type)


def _inner(array: pa.Array, base: str, metadata: str) -> pa.Array:
    """An array with the paths in its structs."""
    if t.is_struct(array.type):
        table = pa.table({field.name: array.field(number)
                          for number, field in enumerate(array.type)})
        made = with_paths(table, base, metadata) if array.type.num_fields else table
        if made.schema == table.schema and made.equals(table):
            return array
        children = [column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
                    for column in made.columns]
        return pa.StructArray.from_arrays(children, made.column_names, mask=array.is_null())
    if _is_list(array.type) and (t.is_struct(array.type.value_type)
                                 or _is_list(array.type.value_type)):
        return _relisted(array, lambda values: _inner(values, base, metadata))
    return array


def _relisted(array: pa.Array, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    kind = pa.LargeListArray if t.is_large_list(array.type) else pa.ListArray
    made = kind.from_arrays(array.offsets, change(array.values))
    return made if not array.null_count else kind.from_arrays(
        array.offsets, made.values, mask=array.is_null())


def beside(metadata: str, name: str) -> str:
    """The path of a file that a metadata file names, which may be `zip://a/metadata.csv::a.zip`.

    Raises DataError for a name that leads out of its folder.
    """
    if "://" in name:
        raise DataError(f"Invalid metadata file_name {name!r}: it must be a relative path inside "
                        f"the folder of the metadata file. URL schemes are not allowed")
    path = os.path.normpath(name).replace("\\", "/")
    if os.path.isabs(name) or os.path.isabs(path) or path == ".." or path.startswith("../"):
        raise DataError(f"Invalid metadata file_name {name!r}: it must be a relative path inside "
                        f"the folder of the metadata file. Absolute paths, and '..' that leads "
                        f"out of it, are not allowed")
    inner, separator, archive = metadata.partition("::")
    folder, slash, _ = inner.replace(os.sep, "/").rpartition("/")
    return f"{folder}{slash}{path}{separator}{archive}"
