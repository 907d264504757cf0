"""Arrow columns as Python lists: the values of `to_pylist`, made a column at a time.

pyarrow before 26 makes a scalar object per value (up to a hundred times slower), and every version
does so for dates, times, decimals and dictionaries.  There numpy makes the objects here:
`ndarray.tolist` is one C loop.  Lists are cut out of the list of their items, structs are zipped
from the lists of their fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

Column: TypeAlias = pa.Array | pa.ChunkedArray
Rows: TypeAlias = list[dict[str, Any]]


def to_list(column: Column) -> list[Any]:
    """The values of a column, as `column.to_pylist()` gives them."""
    if not isinstance(column, pa.ChunkedArray):
        return _decoded(column)
    if column.num_chunks == 1:
        return _decoded(column.chunk(0))
    return [value for chunk in column.chunks for value in _decoded(chunk)]


def to_rows(names: tuple[str, ...], columns: Iterable[Iterable[Any]]) -> Rows:
    """A dict per row, of columns of values in the order of `names`; of no columns, no rows."""
    return _row_maker(names)(columns) if names else []


@lru_cache(maxsize=512)
def _row_maker(names: tuple[str, ...]) -> Callable[[Iterable[Iterable[Any]]], Rows]:
    """A function with these names in it: three times as fast as `dict(zip(names, row))`."""
    variables = [f"v{index}" for index in range(len(names))]
    items = ", ".join(f"{name!r}: {variable}" for name, variable
                      in zip(names, variables, strict=True))
    source = f"lambda columns: [{{{items}}} for {', '.join(variables)}, in zip(*columns)]"
    return eval(source)  # type: ignore[no-any-return]


def _decoded(array: pa.Array) -> list[Any]:
    arrow = array.type
    # below a handful of scalars numpy's overhead per call is the larger one
    if not len(array) or (len(array) < 4 and arrow.num_fields == 0) or _quick(arrow):
        return array.to_pylist()  # type: ignore[no-any-return]
    return _DECODERS[arrow.id](array)


@lru_cache(maxsize=512)
def _quick(arrow: pa.DataType) -> bool:
    """Whether pyarrow's own `to_pylist` is as good as ours, or we have none."""
    inside = [arrow.field(index).type for index in range(arrow.num_fields)]
    if arrow.id not in _DECODERS:
        return True
    if not _QUICK_PYARROW or pa.types.is_fixed_size_list(arrow):
        return False
    return all(map(_quick, inside)) if inside else arrow.id in _PLAIN


def _objects(array: pa.Array) -> list[Any]:
    return array.to_numpy(zero_copy_only=False).tolist()  # type: ignore[no-any-return]


def _numbers(array: pa.Array) -> list[Any]:
    if not array.null_count:
        return array.to_numpy().tolist()  # type: ignore[no-any-return]
    return _with_nulls(array, _without_nulls(array).to_numpy().tolist())


def _moments(array: pa.Array) -> list[Any]:
    """Dates, timestamps and durations; those that Python's types can't hold are pyarrow's."""
    if getattr(array.type, "unit", "") == "ns":  # pandas has types of its own for these
        return array.to_pylist()  # type: ignore[no-any-return]
    values = _without_nulls(array).to_numpy(zero_copy_only=False)
    if pa.types.is_date(array.type):
        values = values.astype("datetime64[D]")
    if not all(isinstance(end.item(), (date, timedelta)) for end in (values.min(), values.max())):
        return array.to_pylist()  # type: ignore[no-any-return]
    moments = values.tolist()
    if zone := getattr(array.type, "tz", None):
        moments = _in_zone(moments, zone)
    return _with_nulls(array, moments)


def _in_zone(moments: list[datetime], zone: str) -> list[datetime]:
    tzinfo = pa.lib.string_to_tzinfo(zone)
    return [tzinfo.fromutc(moment.replace(tzinfo=tzinfo)) for moment in moments]


def _lists(array: pa.Array) -> list[Any]:
    bounds = array.offsets.to_numpy()
    start, stop = int(bounds[0]), int(bounds[-1])
    items = _decoded(array.values.slice(start, stop - start))
    ends = (bounds - start).tolist()
    return _with_nulls(array, [items[start:stop] for start, stop in pairwise(ends)])


def _fixed_lists(array: pa.Array) -> list[Any]:
    size = array.type.list_size
    if not size:
        return array.to_pylist()  # type: ignore[no-any-return]
    inside = array.values.slice(array.offset * size, len(array) * size)
    if not inside.null_count and (pa.types.is_integer(inside.type) or
                                  pa.types.is_floating(inside.type)):
        return _with_nulls(array, inside.to_numpy().reshape(-1, size).tolist())
    items = _decoded(inside)
    return _with_nulls(array, [items[i:i + size] for i in range(0, len(items), size)])


def _structs(array: pa.Array) -> list[Any]:
    names = tuple(field.name for field in array.type)
    if not names or len(set(names)) < len(names):
        return array.to_pylist()  # type: ignore[no-any-return]
    fields = [_decoded(array.field(index)) for index in range(len(names))]
    return _with_nulls(array, to_rows(names, fields))


def _dictionaries(array: pa.Array) -> list[Any]:
    return _decoded(array.dictionary_decode())


def _extension(array: pa.Array) -> list[Any]:
    json = isinstance(array.type, pa.JsonType)
    return _decoded(array.storage) if json else array.to_pylist()  # type: ignore[no-any-return]


def _without_nulls(array: pa.Array) -> pa.Array:
    """The array with whatever is in the slots of its nulls."""
    if not array.null_count:
        return array
    buffers = [None, *array.buffers()[1:]]
    return pa.Array.from_buffers(array.type, len(array), buffers, offset=array.offset)


def _with_nulls(array: pa.Array, values: list[Any]) -> list[Any]:
    if array.null_count:
        for index in np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False)).tolist():
            values[index] = None
    return values


def _ids(*arrows: pa.DataType) -> list[int]:
    return [arrow.id for arrow in arrows]


_QUICK_PYARROW = int(pa.__version__.split(".")[0]) >= 26
_NUMBERS = _ids(pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(),
                pa.uint32(), pa.uint64(), pa.float32(), pa.float64())
_TEXTS = _ids(pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(),
              pa.binary_view(), pa.bool_())
_PLAIN = {*_NUMBERS, *_TEXTS}
_DECODERS: dict[int, Callable[[pa.Array], list[Any]]] = {
    **dict.fromkeys([*_NUMBERS, pa.float16().id], _numbers),
    **dict.fromkeys([*_TEXTS, *_ids(pa.binary(1), pa.time32("s"), pa.time64("us"),
                                    pa.decimal128(5))], _objects),
    **dict.fromkeys(_ids(pa.date32(), pa.date64(), pa.timestamp("us"), pa.duration("us")),
                    _moments),
    **dict.fromkeys(_ids(pa.list_(pa.int8()), pa.large_list(pa.int8())), _lists),
    pa.list_(pa.int8(), 1).id: _fixed_lists,
    pa.struct([]).id: _structs,
    pa.dictionary(pa.int8(), pa.string()).id: _dictionaries,
    pa.json_().id: _extension,
}
