"""One value of a column at a time: what `to_list` gives, without an array of one row.

For `ds[i]`, where a scalar object of pyarrow (half a microsecond) is most of the time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.formatting.pylists import Column, to_list

Cell = Callable[[int], Any]


def cell_reader(column: Column) -> Cell:
    """A function from a row number, 0 <= number < len(column), to the value."""
    if not isinstance(column, pa.ChunkedArray):
        return _reader(column)
    chunks = [chunk for chunk in column.chunks if len(chunk)]
    if len(chunks) == 1:
        return _reader(chunks[0])
    readers = [_reader(chunk) for chunk in chunks]
    starts = [0, *accumulate(map(len, chunks))]

    def read(row: int) -> Any:
        place = bisect_right(starts, row) - 1
        return readers[place](row - starts[place])

    return read


def _reader(array: pa.Array) -> Cell:
    types, arrow = pa.types, array.type
    if not array.null_count:
        if types.is_integer(arrow) or types.is_float32(arrow) or types.is_float64(arrow):
            return array.to_numpy().item  # type: ignore[no-any-return]
        if types.is_string(arrow) and array.buffers()[2]:
            return _text_reader(array)
    if arrow.num_fields or isinstance(arrow, (pa.BaseExtensionType, pa.DictionaryType)):
        return lambda row: to_list(array.slice(row, 1))[0]
    return lambda row: array[row].as_py()


def _text_reader(array: pa.Array) -> Cell:
    _, offsets, data = array.buffers()
    # memoryviews give Python's own ints and slices; the arrays would give numpy's
    bounds = np.frombuffer(offsets, np.int32)[array.offset:array.offset + len(array) + 1]
    ends = memoryview(bounds.data)
    text = memoryview(data)
    return lambda row: str(text[ends[row]:ends[row + 1]], "utf-8")
