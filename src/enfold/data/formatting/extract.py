"""Arrow columns as numpy arrays: of one block where all rows have one shape, else of objects."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.features import ArrayType
from enfold.data.features.value import arrow_of
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
    arrays = chunks(column)
    if len(arrays) == 1:
        return _block(arrays[0]) if len(arrays[0]) else None
    if _sizes(column.type) is None:
        return None
    blocks = [_block(array) for array in arrays if len(array)]
    known = [block for block in blocks if block is not None]
    if not blocks or len(known) < len(blocks) or len({block.shape[1:] for block in known}) > 1:
        return None
    return np.concatenate(known)


def chunks(column: Column) -> list[pa.Array]:
    """The arrays that a column consists of."""
    return column.chunks if isinstance(column, pa.ChunkedArray) else [column]


def take_blocks(array: pa.Array, rows: np.ndarray) -> pa.Array | None:
    """The rows of an array whose type says their shape, copied in one go; None for others.

    pyarrow's `take` goes through nested lists item by item: thirty times slower for small images.
    """
    sizes = _sizes(array.type)
    if not sizes or None in sizes or (block := _block(array)) is None:
        return None
    numbers = pa.array(block[rows].reshape(-1))
    arrow = array.type
    if not isinstance(arrow, pa.ExtensionType):
        return _relisted(arrow, sizes, numbers)
    return arrow.wrap_array(_relisted(arrow.storage_type, sizes, numbers))


def _relisted(arrow: pa.DataType, sizes: tuple[int | None, ...], numbers: pa.Array) -> pa.Array:
    if not sizes:
        return numbers
    items = _relisted(arrow.value_type, sizes[1:], numbers)
    if pa.types.is_fixed_size_list(arrow):
        return pa.FixedSizeListArray.from_arrays(items, type=arrow)
    large = pa.types.is_large_list(arrow)
    bounds = pa.array(np.arange(0, len(items) + 1, sizes[0]), pa.int64() if large else pa.int32())
    kind = pa.LargeListArray if large else pa.ListArray
    return kind.from_arrays(bounds, items, type=arrow)


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


def row_by_row(table: pa.Table) -> pa.Table:
    """The table with nested columns that have nulls in them cut into chunks of one row.

    Whether the numbers of a row are integers then does not depend on the other rows.
    """
    columns = [pa.chunked_array([column.slice(row, 1).combine_chunks()
                                 for row in range(len(column))], column.type)
               if column.type.num_fields and has_nulls(column) else column
               for column in table.columns]
    return pa.Table.from_arrays(columns, schema=table.schema)


def _block(array: pa.Array) -> np.ndarray | None:
    sizes = _sizes(array.type)
    if sizes is None or array.null_count:
        return None
    shape = [len(array)]
    array = array.storage if isinstance(array, pa.ExtensionArray) else array
    for size in sizes:
        items = array.flatten()
        if size is None:
            size = _common_length(array, len(items))
        if not size or items.null_count:
            return None
        shape.append(size)
        array = items
    numbers: np.ndarray = array.to_numpy(zero_copy_only=not pa.types.is_boolean(array.type))
    return numbers if len(shape) == 1 else numbers.reshape(shape)


@lru_cache(maxsize=512)
def _sizes(arrow: pa.DataType) -> tuple[int | None, ...] | None:
    """How many items the lists of each level have, None where the type does not say.

    None for a type that is not numbers in lists.
    """
    types = pa.types
    if isinstance(arrow, ArrayType):
        known = _sizes(arrow_of(arrow.value_type))
        return None if known is None else arrow.shape
    if types.is_integer(arrow) or types.is_floating(arrow) or types.is_boolean(arrow):
        return ()
    if not (types.is_fixed_size_list(arrow) or types.is_list(arrow) or types.is_large_list(arrow)):
        return None
    inside = _sizes(arrow.value_type)
    size = arrow.list_size if types.is_fixed_size_list(arrow) else None
    return None if inside is None or isinstance(arrow.value_type, ArrayType) else (size, *inside)


def _common_length(array: pa.Array, items: int) -> int | None:
    """How many items each list has, where all have as many."""
    size, rest = divmod(items, len(array))
    if rest or len(array) == 1:
        return None if rest else size
    bounds = array.offsets.to_numpy()
    return size if (np.diff(bounds) == size).all() else None


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
