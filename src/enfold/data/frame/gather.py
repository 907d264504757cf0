"""Rows of chunked columns by number, without joining the chunks.

pyarrow's own `take` on a column of many chunks first copies all of them into one.  Here the rows
are grouped by chunk, taken from each, and put back in order:

    rows     7 2 9 0          chunk of each   1 0 1 0
    grouped  2 0 | 7 9        taken, joined   a[2] a[0] b[7] b[9]   put back  b[7] a[2] b[9] a[0]
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from enfold.data.formatting.extract import take_blocks

Rows = np.ndarray  # int64 row numbers


class Chunks:
    """Which chunk each row is in; columns that are chunked alike share one."""

    def __init__(self, lengths: Sequence[int], rows: Rows) -> None:
        ends = np.cumsum(lengths)
        chunk = np.searchsorted(ends, rows, side="right")
        self.back: Rows | None = None
        if len(chunk) and (np.diff(chunk) < 0).any():
            order = np.argsort(chunk, kind="stable")
            chunk, rows = chunk[order], rows[order]
            back = np.empty(len(order), dtype=np.int64)
            back[order] = np.arange(len(order))
            self.back = back
        cuts = [0, *(np.flatnonzero(np.diff(chunk)) + 1).tolist(), len(chunk)]
        self.pieces = [(int(chunk[first]), _local(rows[first:last], ends, int(chunk[first])))
                       for first, last in pairwise(cuts) if last > first]

    def take(self, column: pa.ChunkedArray) -> pa.Array:
        """The rows of a column."""
        if not self.pieces:
            return joined([], column.type)
        parts = [_taken(column.chunk(number), rows) for number, rows in self.pieces]
        whole = parts[0] if len(parts) == 1 else joined(parts, column.type)
        return whole if self.back is None else _taken(whole, self.back)


def gather(columns: Sequence[pa.ChunkedArray], rows: Rows) -> list[pa.Array]:
    """The rows of each column, in the order given; numbers must be within."""
    plans: dict[tuple[int, ...], Chunks] = {}
    found = []
    for column in columns:
        lengths = tuple(map(len, column.chunks))
        if lengths not in plans:
            plans[lengths] = Chunks(lengths, rows)
        found.append(plans[lengths].take(column))
    return found


def joined(arrays: Sequence[pa.Array], arrow: pa.DataType) -> pa.Array:
    """One array of several; of an extension type that pyarrow does not know, too."""
    if not arrays and isinstance(arrow, pa.BaseExtensionType):
        return arrow.wrap_array(pa.array([], arrow.storage_type))
    if not arrays:
        return pa.array([], arrow)
    return arrays[0] if len(arrays) == 1 else pa.concat_arrays(arrays)


def _local(rows: Rows, ends: np.ndarray, chunk: int) -> Rows:
    return rows - (ends[chunk - 1] if chunk else 0)  # type: ignore[no-any-return]


def _taken(chunk: pa.Array, rows: Rows) -> pa.Array:
    found = take_blocks(chunk, rows) if chunk.type.num_fields or isinstance(
        chunk.type, pa.BaseExtensionType) else None
    return chunk.take(pa.array(rows)) if found is None else found
