"""An iterable dataset cut into parts, without all of it in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from enfold.data.config import setting
from enfold.data.features import Features, cast_table
from enfold.data.io.sizes import rows_per_group, shard_count
from enfold.data.sizes import convert_file_size_to_int

_ROWS = 1000  # read at once


class ShardParts:
    """Whole shards of the stream, several or one to a part."""

    at_once = True

    def __init__(self, dataset: Any, count: int) -> None:
        self.dataset, self.count = dataset, count
        self.features: Features = dataset.features

    def tables(self, index: int) -> Iterator[pa.Table]:
        """The rows of a part."""
        part = self.dataset.shard(num_shards=self.count, index=index)
        yield from _grouped(_read(part, self.features), self.features)


class StretchParts:
    """More parts than the stream has shards: stretches of rows, read one after another."""

    at_once = False

    def __init__(self, dataset: Any, count: int, rows: int) -> None:
        self.count, self.rows = count, rows
        self.features: Features = dataset.features
        self._left = _read(dataset, self.features)
        self._waiting: list[pa.Table] = []

    def tables(self, index: int) -> Iterator[pa.Table]:
        """The rows of a part; parts must be asked for in order."""
        size, more = divmod(self.rows, self.count)
        yield from _grouped(self._take(size + (index < more)), self.features)

    def _take(self, rows: int) -> Iterator[pa.Table]:
        while rows > 0:
            table = self._waiting.pop() if self._waiting else next(self._left, None)
            if table is None:
                return
            if table.num_rows > rows:
                self._waiting.append(table.slice(rows))
                table = table.slice(0, rows)
            rows -= table.num_rows
            yield table


def stream_parts(dataset: Any, max_shard_size: int | str | None, num_shards: int | None,
                 num_proc: int | None) -> ShardParts | StretchParts:
    """The parts of a stream: its shards, or `num_shards`, or as many as `max_shard_size` makes.

    The stream is read once before, to count, for a size or for more parts than it has shards.
    """
    dataset = dataset._resolve_features()
    if num_shards is None and max_shard_size is None:
        num_shards = dataset.num_shards
    if num_shards is not None and num_shards <= dataset.num_shards:
        return ShardParts(dataset, num_shards)
    rows = nbytes = 0
    for table in dataset.with_format("arrow").iter(batch_size=_ROWS):
        rows, nbytes = rows + table.num_rows, nbytes + table.nbytes
    count = num_shards or shard_count(nbytes, max_shard_size, num_proc)
    if count <= dataset.num_shards:
        return ShardParts(dataset, count)
    return StretchParts(dataset, count, rows)


def _read(dataset: Any, features: Features) -> Iterator[pa.Table]:
    for table in dataset.with_format("arrow").iter(batch_size=_ROWS):
        yield cast_table(table, features)


def _grouped(tables: Iterator[pa.Table], features: Features) -> Iterator[pa.Table]:
    """Tables joined to row groups of about 100 MB, or of the rows set for such features."""
    limit = convert_file_size_to_int(setting("MAX_ROW_GROUP_SIZE"))
    fixed = rows_per_group(features, limit, limit)  # the rows set, or `limit`: no bound
    held: list[pa.Table] = []
    rows = nbytes = 0
    for table in tables:
        held.append(table)
        rows, nbytes = rows + table.num_rows, nbytes + table.nbytes
        if nbytes >= limit or rows >= fixed:
            yield pa.concat_tables(held)
            held, rows, nbytes = [], 0, 0
    if held:
        yield pa.concat_tables(held)
