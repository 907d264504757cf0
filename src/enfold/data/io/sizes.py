"""How many bytes a dataset takes, with the files that its columns only name."""

from __future__ import annotations

import os
from typing import Any

import pyarrow as pa

from enfold.data.config import setting
from enfold.data.features import Audio, Features, Image, Value, Video
from enfold.data.features.arrow import Feature, inner_features, needs_embedding
from enfold.data.features.files import FileFeature, is_local
from enfold.data.sizes import convert_file_size_to_int
from enfold.lazy import require

_SAMPLE = 1000  # rows whose files are looked at
_SETTINGS = {Image: "PARQUET_ROW_GROUP_SIZE_FOR_IMAGE_DATASETS",
             Audio: "PARQUET_ROW_GROUP_SIZE_FOR_AUDIO_DATASETS",
             Video: "PARQUET_ROW_GROUP_SIZE_FOR_VIDEO_DATASETS"}


def estimate_nbytes(dataset: Any) -> int:
    """Bytes of the rows as Arrow data, those of named files by a sample of the first rows."""
    frame, features = dataset._frame, dataset.features
    total = 0
    for column in frame.columns.values():
        size, rows = int(column.data.nbytes), len(column.data)
        total += size if column.rows is None else size * len(column.rows) // max(rows, 1)
    if frame.num_rows and any(map(needs_embedding, features.values())):
        table = frame.slice(0, _SAMPLE)
        extra = sum(_outside(table.column(name), feature) for name, feature in features.items())
        total += extra * frame.num_rows // table.num_rows
    return total


def rows_per_group(features: Features, rows: int, nbytes: int) -> int:
    """Rows of a Parquet row group: those set for what the features are, else about 100 MB."""
    found = [limit for feature in features.values() for limit in _limits(feature)]
    if found:
        return min(found)
    group = convert_file_size_to_int(setting("MAX_ROW_GROUP_SIZE"))
    return max(1, rows * group // nbytes) if nbytes > 0 else 1


def shard_count(nbytes: int, max_shard_size: int | str | None, num_proc: int | None) -> int:
    """Files of at most `max_shard_size` (default "500MB"), at least one per process."""
    limit = convert_file_size_to_int(max_shard_size or setting("MAX_SHARD_SIZE"))
    return max(nbytes // limit + 1, num_proc or 1)


def _limits(feature: Feature) -> list[int]:
    name = next((name for kind, name in _SETTINGS.items() if isinstance(feature, kind)), None)
    if isinstance(feature, Value) and feature.dtype == "binary":
        name = "PARQUET_ROW_GROUP_SIZE_FOR_BINARY_DATASETS"
    own = [setting(name)] if name is not None and setting(name) is not None else []
    return own + [limit for inner in inner_features(feature) for limit in _limits(inner)]


def _outside(column: pa.ChunkedArray, feature: Feature) -> int:
    """Bytes of the files that the values name and do not hold."""
    if not needs_embedding(feature):
        return 0
    return sum(_value_size(value, feature) for value in column.to_pylist())


def _value_size(value: Any, feature: Feature) -> int:
    if value is None:
        return 0
    if isinstance(feature, FileFeature):
        path = value["path"]
        return _file_size(path) - len(path) if value["bytes"] is None and path else 0
    if isinstance(feature, dict):
        return sum(_value_size(value[name], inner) for name, inner in feature.items())
    return sum(_value_size(item, inner) for inner in inner_features(feature) for item in value)


def _file_size(path: str) -> int:
    try:
        if is_local(path):
            return os.path.getsize(path.removeprefix("file://"))
        system, name = require("fsspec").core.url_to_fs(path)
        return int(system.size(name) or 0)
    except FileNotFoundError:  # whoever reads it says so
        return len(path)
