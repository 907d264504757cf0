"""Rows that hold several rows: every so many, or successive ones that agree in some columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.cache import Store
from enfold.data.features import Features, List
from enfold.data.frame import Frame, open_file, write
from enfold.data.frame.frame import table_of
from enfold.data.frame.gather import joined
from enfold.data.plan import Reshape
from enfold.errors import DataError

_ROWS = 1 << 16  # taken into lists at once


def batched(dataset: Any, batch_size: int | None, by_column: str | Sequence[str] | None,
            drop_last_batch: bool, num_proc: int | None, fingerprint: str | None) -> Any:
    """Each row a batch: a list of `batch_size` values per column, or of a run of equal ones.

    by_column: successive rows with equal values in these columns are a batch.  drop_last_batch:
    leave out a last one of fewer rows.  num_proc: not needed, as rows are cut and not computed.
    """
    if batch_size is None and by_column is None:
        raise DataError("batch: misses `batch_size` or `by_column` argument. Expected one of them")
    no_last_to_drop("batch", by_column, drop_last_batch)
    if by_column is not None and num_proc:
        raise NotImplementedError("batch: Multiprocessed batching by column is not implemented. "
                                  "Do: leave num_proc= out")
    if batch_size is not None and by_column is None and batch_size < 1:
        raise DataError(f"batch: batch_size={batch_size}. Expected at least 1")
    keys = None if by_column is None else dataset._known(by_column, "batch")
    features = Features({name: List(feature) for name, feature in dataset.features.items()})
    below = dataset._node
    options = (batch_size if keys is None else None, keys, drop_last_batch)
    node = Reshape([below], features, None, "batch", lambda frame: frame, options)

    def change(frame: Frame) -> Frame:
        starts = _every(frame.num_rows, batch_size, drop_last_batch) if keys is None else \
            _runs(frame, keys)
        tables = _lists(frame, starts)
        if not below.durable:
            found = list(tables)
            return Frame.of(pa.concat_tables(found) if found else _empty(features))

        def build(path: Path) -> None:
            write(path, tables, features.arrow_schema)

        lease = Store().obtain(node.fingerprint, build, "batch")
        return Frame.of(open_file(lease.path), (lease,), str(lease.path))

    node.change = change
    return dataset._with(node, fingerprint)


def _empty(features: Features) -> pa.Table:
    columns = {field.name: joined([], field.type) for field in features.type}
    return table_of(columns, 0)


def _every(rows: int, size: int | None, drop_last: bool) -> np.ndarray:
    """Where batches of `size` rows begin, and the end."""
    assert size is not None
    starts = np.arange(0, rows, size)
    if drop_last:
        return np.arange(0, rows // size + 1) * size
    return np.append(starts, rows)


def _runs(frame: Frame, keys: Sequence[str]) -> np.ndarray:
    """Where runs of rows begin that have the same values in all of these columns, and the end."""
    if not frame.num_rows:
        return np.zeros(1, dtype=np.int64)
    changes = np.zeros(frame.num_rows - 1, dtype=bool)
    for name in keys:
        column = frame.column(name)
        values = joined(column.chunks, column.type)
        coded = values.dictionary_encode(null_encoding="encode") if _hashable(values.type) else \
            pa.array(list(map(repr, values.to_pylist()))).dictionary_encode()
        codes = coded.indices.to_numpy(zero_copy_only=False)
        changes |= codes[1:] != codes[:-1]
    return np.concatenate([[0], np.flatnonzero(changes) + 1, [frame.num_rows]])


def _hashable(arrow: pa.DataType) -> bool:
    return not (pa.types.is_nested(arrow) or isinstance(arrow, pa.BaseExtensionType))


def _lists(frame: Frame, starts: np.ndarray) -> Iterator[pa.Table]:
    """Rows starts[i] to starts[i + 1] as lists, some thousands of rows at once."""
    first, last = 0, len(starts) - 1
    while first < last:
        stop = int(np.searchsorted(starts, starts[first] + _ROWS, side="right")) - 1
        stop = min(max(stop, first + 1), last)
        table = frame.slice(int(starts[first]), int(starts[stop]))
        offsets = pa.array(starts[first:stop + 1] - starts[first], pa.int32())
        yield table_of({name: pa.ListArray.from_arrays(offsets, _one(table.column(name)))
                        for name in table.column_names}, stop - first)
        first = stop


def _one(column: pa.ChunkedArray) -> pa.Array:
    return joined(column.chunks, column.type)


def no_last_to_drop(what: str, by_column: Any, drop_last_batch: bool) -> None:
    """Batches by column have no size, so that none of them is short."""
    if by_column is not None and drop_last_batch:
        raise DataError(f"{what}: got by_column={by_column!r} and drop_last_batch=True, but "
                        "batches by column have no set size. Expected one of the two")
