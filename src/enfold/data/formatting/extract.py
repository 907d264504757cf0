"""Arrow columns as numpy arrays: of one block where all rows have one shape, else of objects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from enfold.data.features import ArrayType
from enfold.data.formatting.pylists import Column


def to_numpy(column: Column) -> np.ndarray:
    """The column as one array.

    Numbers and rows of equal shapes give [rows, ...]; others an object array of the rows.
    """
    block = to_block(column)
    return to_rows_array(column) if block is None else block


def to_block(column: Column) -> np.ndarray | None:
    """Numbers in rows of one shape as [rows, ...], a view where it is one chunk; else None.

    None also where something is null, and for no rows.
    """
    blocks = [_block(chunk) for chunk in chunks(column) if len(chunk)]
    known = [block for block in blocks if block is not None]
    if not blocks or len(known) < len(blocks) or len({block.shape[1:] for block in known}) > 1:
        return None
    return known[0] if len(known) == 1 else np.concatenate(known)


def chunks(column: Column) -> list[pa.Array]:
    """The arrays that a column consists of."""
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def has_nulls(array: Column) -> bool:
    """Whether a value is null, at any depth."""
    if isinstance(array, pa.ChunkedArray):
        return any(map(has_nulls, array.chunks))
    if array.null_count:
        return True
    if isinstance(array, pa.ExtensionArray):
        return has_nulls(array.storage)
    if pa.types.is_struct(array.type):
        return any(has_nulls(array.field(index)) for index in range(array.type.num_fields))
    return bool(array.type.num_fields == 1 and has_nulls(array.flatten()))


def _block(array: pa.Array) -> np.ndarray | None:
    types, arrow = pa.types, array.type
    if array.null_count:
        return None
    if isinstance(arrow, ArrayType):
        return _block(array.storage)
    if types.is_integer(arrow) or types.is_floating(arrow):
        return array.to_numpy()  # type: ignore[no-any-return]
    if types.is_boolean(arrow):
        return array.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    if not (size := _length(array)):
        return None
    inside = _block(array.flatten())
    return None if inside is None else inside.reshape(len(array), size, *inside.shape[1:])


def _length(array: pa.Array) -> int | None:
    """How many items each row of a column of lists has, where all have as many."""
    types, arrow = pa.types, array.type
    if types.is_fixed_size_list(arrow):
        return int(arrow.list_size)
    if not types.is_list(arrow) and not types.is_large_list(arrow):
        return None
    if len(array) == 1:
        return len(array.flatten())
    bounds = pc.min_max(pc.list_value_length(array))
    return bounds["min"].as_py() if bounds["min"] == bounds["max"] else None


def to_rows_array(column: Column) -> np.ndarray:
    """The array that numpy makes of the rows, each as pyarrow gives it."""
    rows = [row for chunk in chunks(column) for row in chunk.to_numpy(zero_copy_only=False)]
    first = next((row for row in rows if isinstance(row, np.ndarray)), None)
    if first is not None and any(_differs(row, first) for row in rows):
        return np.asarray(rows, dtype=object)
    return np.asarray(rows)


def _differs(row: Any, first: np.ndarray) -> bool:
    if isinstance(row, np.ndarray):
        return bool(row.dtype == object or row.shape != first.shape)
    return row is None or (isinstance(row, float) and bool(np.isnan(row)))
