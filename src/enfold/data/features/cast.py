"""Arrow data cast to features: zero-copy where the types agree, told where they do not.

What pyarrow's own cast lacks: reordered, added and nullable struct fields, lists of every kind
to lists of every kind, sliced and with nulls, extension types at any depth, names to labels,
paths and bytes to files.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from enfold.data.features.arraytypes import ArrayType
from enfold.data.features.arrow import (
    Feature,
    arrow_type,
    feature_of,
    needs_cast,
    needs_embedding,
    only,
)
from enfold.data.features.errors import CastError, FeatureError, shown
from enfold.data.features.nested import LargeList, List
from enfold.data.features.value import is_text

Columns = TypeVar("Columns", pa.Table, pa.RecordBatch)
Chunked = TypeVar("Chunked", pa.Array, pa.ChunkedArray)
Leaf = Callable[[pa.Array, Feature, str], pa.Array]


def cast_table(table: Columns, features: Any, *, fill_missing: bool = False) -> Columns:
    """The table or record batch with the types, order and metadata of `features`.

    fill_missing: columns that it lacks are null; else their absence raises.  Raises `CastError`
    that names the column, both types and the first value that does not fit.
    """
    have, want = set(table.column_names), set(features)
    if have - want or (want - have and not fill_missing):
        raise _different_columns(table, features)
    columns = [cast_array(table.column(name), feature, column=name) if name in have
               else pa.nulls(len(table), arrow_type(feature)) for name, feature in features.items()]
    return type(table).from_arrays(columns, schema=features.arrow_schema)


def cast_array(array: Chunked, feature: Feature, *, column: str = "",
               allow_primitive_to_str: bool = True, allow_decimal_to_str: bool = True) -> Chunked:
    """The array with the type of `feature`; the array itself if it has that type.

    column: its name, for errors.  allow_primitive_to_str, allow_decimal_to_str: whether numbers
    and booleans, and decimals, may become strings.
    """
    def leaf(values: pa.Array, feature: Feature, where: str) -> pa.Array:
        text = is_text(arrow_type(feature))
        if (text and not allow_primitive_to_str and pa.types.is_primitive(values.type)) \
                or (text and not allow_decimal_to_str and pa.types.is_decimal(values.type)):
            raise CastError(f"{_place(where)}: {values.type} is not made a string here. Do: cast "
                            "the column to Value('string') yourself")
        return _cast_leaf(values, feature, where)

    return _each_chunk(array, feature, lambda chunk: _rebuilt(chunk, feature, column, leaf))


def embed_array(array: Chunked, feature: Feature, token_per_repo_id: Any = None,
                local_files: bool = True, remote_files: bool = True) -> Chunked:
    """The array with the content of files (images, audio, ..) in it instead of their paths."""
    def leaf(values: pa.Array, feature: Feature, where: str) -> pa.Array:
        if not hasattr(feature, "embed_storage"):
            return values
        return feature.embed_storage(values, token_per_repo_id, local_files, remote_files)

    if not needs_embedding(feature):
        return array
    return _each_chunk(array, feature, lambda chunk: _rebuilt(chunk, feature, "", leaf))


def _each_chunk(array: Chunked, feature: Feature,
                function: Callable[[pa.Array], pa.Array]) -> Chunked:
    if not isinstance(array, pa.ChunkedArray):
        return function(array)
    return pa.chunked_array([function(chunk) for chunk in array.chunks], arrow_type(feature))


def _rebuilt(array: pa.Array, feature: Feature, where: str, leaf: Leaf) -> pa.Array:
    """The array with `leaf` applied to what is no list and no struct in the feature."""
    target = arrow_type(feature)
    if array.type == target and not needs_cast(feature):
        return array
    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if pa.types.is_null(array.type) and not hasattr(feature, "cast_storage"):
        return pa.nulls(len(array), target)
    if isinstance(feature, dict):
        return _struct(array, feature, where, leaf)
    if isinstance(feature, (list, tuple)):
        feature = List(only(feature))
    if isinstance(feature, (List, LargeList)):
        return _list(array, feature, where, leaf)
    return leaf(array, feature, where)


def _struct(array: pa.Array, feature: dict[str, Feature], where: str, leaf: Leaf) -> pa.Array:
    if not pa.types.is_struct(array.type):
        raise _no_cast(array, feature, where)
    fields = [field.name for field in array.type]
    if extra := [name for name in fields if name not in feature]:
        raise CastError(f"{_place(where)}: the data has the fields {extra}, which are not in "
                        f"{shown(feature)}. Do: add them there, or drop them from the data", fields,
                        feature)
    if not feature:
        return array
    parts = dict(zip(fields, array.flatten(), strict=True))  # null where the struct is null
    target = arrow_type(feature)
    columns = [_rebuilt(parts[name], inner, f"{where}.{name}", leaf) if name in parts
               else pa.nulls(len(array), target.field(name).type)
               for name, inner in feature.items()]
    return pa.StructArray.from_arrays(columns, fields=list(target), mask=array.is_null())


def _list(array: pa.Array, feature: List | LargeList, where: str, leaf: Leaf) -> pa.Array:
    if not hasattr(array.type, "value_field"):
        raise _no_cast(array, feature, where)
    offsets, items = _parts(array)
    if (length := getattr(feature, "length", -1)) >= 0:
        items = _of_length(array, offsets, items, length, where)
        cast = _rebuilt(items, feature.feature, f"{where}[]", leaf)
        target = pa.list_(arrow_type(feature.feature), length)
        return pa.FixedSizeListArray.from_arrays(cast, type=target, mask=_mask(array))
    cast = _rebuilt(items, feature.feature, f"{where}[]", leaf)
    large = isinstance(feature, LargeList)
    same = pa.types.is_large_list(array.type) if large else pa.types.is_list(array.type)
    if same and cast is items:
        return array
    kind, width = (pa.LargeListArray, pa.int64()) if large else (pa.ListArray, pa.int32())
    return kind.from_arrays(offsets.cast(width), cast)


def _parts(array: pa.Array) -> tuple[pa.Array, pa.Array]:
    """A list array's offsets, from 0 on and null where a row is null, and its items."""
    import pyarrow.compute as pc  # takes 50 ms, which workers seldom need

    arrow, count = array.type, len(array)
    lengths = pc.list_value_length(array).fill_null(0).to_numpy()
    ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    if pa.types.is_fixed_size_list(arrow):
        starts = np.arange(array.offset, array.offset + count) * arrow.list_size
    else:
        starts = array.offsets.to_numpy()[:count]
    offsets = pa.array(ends)
    if array.null_count:
        offsets = pa.array(ends, mask=np.append(array.is_null().to_numpy(zero_copy_only=False),
                                                False))
    first = int(starts[0]) if count else 0
    if np.array_equal(starts - first, ends[:-1]):
        return offsets, array.values.slice(first, int(ends[-1]))
    # items under null rows, or list views: only those of the rows, in their order
    items = np.repeat(starts - ends[:-1], lengths) + np.arange(ends[-1])
    return offsets, array.values.take(pa.array(items))


def _of_length(array: pa.Array, offsets: pa.Array, items: pa.Array, length: int,
               where: str) -> pa.Array:
    """The items of lists of one length: `length` slots for each row, null in those of null rows."""
    import pyarrow.compute as pc  # takes 50 ms, which workers seldom need

    lengths = pc.list_value_length(array).fill_null(length)
    row = pc.index(pc.not_equal(lengths, length), True).as_py()
    if row >= 0:
        raise CastError(f"{_place(where)}: {array.type} can't be cast to lists of {length}: row "
                        f"{row} has {lengths[row].as_py()} items, {shown(array[row].as_py())}")
    if not array.null_count:
        return items
    starts = offsets[:-1].fill_null(0).to_numpy()
    slots = starts[:, None] + np.arange(length)
    null = array.is_null().to_numpy(zero_copy_only=False)
    return items.take(pa.array(slots.ravel(), mask=np.repeat(null, length)))


def _mask(array: pa.Array) -> pa.Array | None:
    return array.is_null() if array.null_count else None


def _cast_leaf(array: pa.Array, feature: Feature, where: str) -> pa.Array:
    if hasattr(feature, "cast_storage"):
        try:
            return feature.cast_storage(array)
        except (FeatureError, pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise CastError(f"{_place(where)}: {error}") from error
    target = arrow_type(feature)
    if isinstance(target, ArrayType):
        return _array_cast(array, target, where)
    if pa.types.is_nested(target):
        return _rebuilt(array, feature_of(target), where, _cast_leaf)
    if pa.types.is_nested(array.type) or pa.types.is_null(target):
        raise _no_cast(array, feature, where)
    try:
        return array.cast(target)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise _bad_value(array, target, where, error) from error


def _array_cast(array: pa.Array, target: ArrayType, where: str) -> pa.Array:
    storage = _rebuilt(array, feature_of(target.storage_type), where, _cast_leaf)
    row = target.wrong_row(storage)
    if row is not None:
        raise CastError(f"{_place(where)}: row {row} has not the shape {target.shape}: "
                        f"{shown(storage[row].as_py())}")
    return target.wrap_array(storage)


def _bad_value(array: pa.Array, target: pa.DataType, where: str, error: Exception) -> CastError:
    low, high = 0, len(array)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            array[low:middle].cast(target)
            low = middle
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            high = middle
    what = f"the first value that does not fit is {shown(array[low].as_py())}" if len(array) \
        else "there is no such cast"
    return CastError(f"{_place(where)}: {array.type} can't be cast to {target}: {what} "
                     f"({str(error).splitlines()[0]})")


def _no_cast(array: pa.Array, feature: Feature, where: str) -> CastError:
    first = next((value for value in array[:1000].to_pylist() if value is not None), None)
    return CastError(f"{_place(where)}: {array.type} can't be cast to {shown(feature)}. The first "
                     f"value is {shown(first)}")


def _different_columns(table: pa.Table, features: Any) -> CastError:
    have, want = table.column_names, list(features)
    extra, missing = [n for n in have if n not in want], [n for n in want if n not in have]
    parts = [f"the data has {extra}, the features do not"] if extra else []
    parts += [f"the features have {missing}, the data does not"] if missing else []
    return CastError(f"Column names don't match: {'; '.join(parts)}. Do: rename or remove columns, "
                     f"or change the features", have, want)


def _place(where: str) -> str:
    return f"column {where!r}" if where else "cast"
