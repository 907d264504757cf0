"""What a dataset can be made of, and what it may be called."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

from enfold.data.dataset.arrow import ArrowTable
from enfold.data.features import FeatureError, Features, cast_table
from enfold.data.frame import Frame
from enfold.data.info import DatasetInfo
from enfold.data.plan import Loaded, Node
from enfold.errors import DataError

_FINGERPRINT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def checked_fingerprint(fingerprint: str) -> str:
    """A fingerprint that can be the name of a file; raises `DataError` otherwise."""
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise DataError(f"Invalid fingerprint {fingerprint!r}. Expected up to 64 letters, digits, "
                        "'_', '-' and '.'")
    return fingerprint


def node_of(data: Any, info: DatasetInfo | None, fingerprint: str | None) -> Node:
    """The plan of an Arrow table, a frame or a plan."""
    data = data.table if isinstance(data, ArrowTable) else data
    if isinstance(data, Node):
        return data
    if isinstance(data, Frame):
        features = info.features if info is not None and info.features is not None else \
            Features.from_arrow_schema(data.slice(0, 0).schema)
        return Loaded(data, features, durable=_in_files(data), fingerprint=fingerprint)
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if not isinstance(data, pa.Table):
        raise DataError(f"Dataset: got {type(data).__name__}. Expected a pyarrow Table. Do: "
                        "Dataset.from_dict, from_list, from_pandas or from_generator")
    features = Features.from_arrow_schema(data.schema)
    if info is not None and info.features is not None:
        features = agreed(info.features, features)
    return Loaded(Frame.of(cast_table(data, features)), features, fingerprint=fingerprint)


def agreed(given: Features, found: Features) -> Features:
    """The features given with the order of the data's fields; raises where they differ."""
    if set(given) != set(found):
        raise FeatureError(f"Dataset: info.features has the columns {list(given)}, and the data "
                           f"has {list(found)}. External features info don't match the dataset. "
                           "Expected the same")
    ordered = Features({name: given[name] for name in found})
    if ordered.type != found.type:
        ordered = ordered.reorder_fields_as(found)
    if ordered.type != found.type:
        raise FeatureError(f"Dataset: External features info don't match the dataset: got {given} "
                           f"with type {given.type}, but the data is {found} with type "
                           f"{found.type}. Do: cast the data first")
    return ordered


def _in_files(frame: Frame) -> bool:
    return any(column.files is not None for column in frame.columns.values())
