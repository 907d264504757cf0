"""Data frames of pandas and polars, both ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from enfold.data.features import Features, Json, LargeList, List
from enfold.data.features.arrow import Feature, has_inside, only
from enfold.lazy import require


def pandas_frame(table: pa.Table, features: Features) -> Any:
    """The rows as a pandas DataFrame; columns of JSON hold the values, files stay encoded."""
    from enfold.data.formatting.pandas_formatter import to_pandas

    return with_json_decoded(to_pandas(table), features)


def polars_frame(table: pa.Table, schema_overrides: Any = None, rechunk: bool = True) -> Any:
    """The rows as a polars DataFrame."""
    from enfold.data.formatting.polars_formatter import to_polars

    return to_polars(table, schema_overrides=schema_overrides, rechunk=rechunk)


def with_json_decoded(frame: Any, features: Features) -> Any:
    """A pandas DataFrame of these features, with the values of JSON texts in their place."""
    for name, feature in features.items():
        decode = _decoder(feature)
        if decode is not None and name in frame:
            frame[name] = frame[name].apply(decode)
    return frame


def _decoder(feature: Feature) -> Callable[[Any], Any] | None:
    """What turns JSON texts inside a value into values; None where there are none."""
    if not has_inside(feature, lambda part: isinstance(part, Json)):
        return None
    if isinstance(feature, Json):
        return lambda text: None if text is None else json.loads(text)
    if isinstance(feature, dict):
        inside = {name: decode for name, inner in feature.items()
                  if (decode := _decoder(inner)) is not None}
        return lambda row: None if row is None else {
            name: inside[name](value) if name in inside else value for name, value in row.items()}
    item = feature.feature if isinstance(feature, (List, LargeList)) else only(feature)
    of_item = _decoder(item)
    return lambda values: None if values is None else [of_item(value) for value in values]  # type: ignore[misc]


def table_of_pandas(frame: Any, preserve_index: bool | None) -> pa.Table:
    """A pandas DataFrame as a table; without the metadata that only pandas reads."""
    return pa.Table.from_pandas(frame, preserve_index=preserve_index).replace_schema_metadata()


def table_of_polars(frame: Any) -> pa.Table:
    """A polars DataFrame or LazyFrame as a table."""
    polars = require("polars")
    if isinstance(frame, polars.LazyFrame):
        frame = frame.collect()
    return frame.to_arrow()
