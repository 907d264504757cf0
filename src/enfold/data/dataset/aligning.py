"""Frames given the columns and types of others, so that they can be put one below the other."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from enfold.data.features import Features, arrow_type, cast_array
from enfold.data.features.promote import align
from enfold.data.frame import Column, Frame


def shared_features(schemas: Sequence[Features]) -> Features:
    """The columns of all, in the order in which they are first met.

    Raises `FeatureError` where a column has two features, neither of which is null.
    """
    aligned = align(schemas)
    return Features({name: feature for schema in aligned for name, feature in schema.items()})


def fitted(frame: Frame, features: Features) -> Frame:
    """The frame with these columns: those that it lacks are null, others are cast if need be."""
    columns = {}
    for name, feature in features.items():
        arrow = arrow_type(feature)
        column = frame.columns.get(name)
        if column is None:
            columns[name] = Column(pa.chunked_array([_nulls(frame.num_rows, arrow)], arrow))
        elif column.data.type == arrow:
            columns[name] = column
        else:
            columns[name] = Column(cast_array(column.data, feature, column=name), column.rows)
    return Frame(columns, frame.num_rows, frame.holds)


def _nulls(count: int, arrow: pa.DataType) -> pa.Array:
    if isinstance(arrow, pa.BaseExtensionType):
        return arrow.wrap_array(pa.nulls(count, arrow.storage_type))
    return pa.nulls(count, arrow)
