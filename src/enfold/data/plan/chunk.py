"""What flows through a pass: some rows, of which a column is either new or still the base's.

    base     a frame in files                        text            label
    chunk    rows 2000..2999 of it      columns = {"text": "text", "label": "label", "n": <array>}
    result   of one step on a chunk     columns = {"text": "text", "n": "m", "new": <array>}

A column given by a name is not read until a step asks for it, and is never written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.features import Features
from enfold.data.frame import Frame
from enfold.data.frame.frame import table_of
from enfold.data.frame.gather import joined

Origin = range | np.ndarray | None  # rows of the base; None: these are no rows of the base


class Chunk:
    """Some rows on their way.  columns: an array, or the name of a column of the base."""

    __slots__ = ("_table", "base", "columns", "features", "num_rows", "origin")

    def __init__(self, base: Frame, origin: Origin, columns: dict[str, Any], num_rows: int,
                 features: Features) -> None:
        self.base, self.origin, self.columns = base, origin, columns
        self.num_rows, self.features = num_rows, features
        self._table: pa.Table | None = None

    @classmethod
    def of(cls, base: Frame, start: int, stop: int, features: Features) -> Chunk:
        """Rows of a frame as they are."""
        names = {name: name for name in base.columns}
        return cls(base, range(start, stop), names, stop - start, features)

    def table(self, names: Sequence[str] | None = None) -> pa.Table:
        """All columns as a table, or those of these names."""
        if names is None and self._table is not None:
            return self._table
        chosen = self.columns if names is None else {name: self.columns[name] for name in names}
        shared = list(dict.fromkeys(name for name in chosen.values() if isinstance(name, str)))
        read = self.read(shared)
        table = table_of({name: read.column(value) if isinstance(value, str) else value
                          for name, value in chosen.items()}, self.num_rows)
        if names is None:
            self._table = table
        return table

    def read(self, names: Sequence[str]) -> Any:
        """Columns of the base at these rows."""
        if not names:
            return None
        if isinstance(self.origin, range):
            return self.base.slice(self.origin.start, self.origin.stop, names)
        return self.base.take(self.origin, names)  # type: ignore[arg-type]

    def slice(self, start: int, stop: int) -> Chunk:
        """Rows start to stop."""
        if start == 0 and stop >= self.num_rows:
            return self
        stop = min(stop, self.num_rows)
        columns = {name: value if isinstance(value, str) else value.slice(start, stop - start)
                   for name, value in self.columns.items()}
        origin = self.origin[start:stop] if self.origin is not None else None
        return Chunk(self.base, origin, columns, stop - start, self.features)

    @staticmethod
    def join(chunks: Sequence[Chunk]) -> Chunk:
        """Rows below rows."""
        if len(chunks) == 1:
            return chunks[0]
        first = chunks[0]
        columns: dict[str, Any] = {}
        for name, value in first.columns.items():
            if all(isinstance(chunk.columns[name], str) and chunk.columns[name] == value
                   for chunk in chunks):
                columns[name] = value
            else:
                columns[name] = _stacked([chunk.column(name) for chunk in chunks])
        count = sum(chunk.num_rows for chunk in chunks)
        origin = _joined_origin([chunk.origin for chunk in chunks])
        return Chunk(first.base, origin, columns, count, chunks[-1].features)

    def column(self, name: str) -> pa.Array:
        """The values of a column."""
        value = self.columns[name]
        if not isinstance(value, str):
            return value
        read = self.read([value]).column(0)
        return joined(read.chunks, read.type)


@dataclass(frozen=True, slots=True)
class Result:
    """What a step made of `rows_in` rows.  columns: an array, or the name of an input column.

    keep: the input rows that are left, where some are dropped; else None.
    """

    rows_in: int
    num_rows: int
    columns: Mapping[str, Any]
    features: Features
    keep: np.ndarray | None = None

    def on(self, chunk: Chunk) -> Chunk:
        """The rows that come out, given those that went in."""
        columns = {name: self._value(chunk, value) for name, value in self.columns.items()}
        origin = self._origin(chunk.origin) if any_shared(columns) else None
        return Chunk(chunk.base, origin, columns, self.num_rows, self.features)

    @property
    def shares(self) -> bool:
        """Whether a column is still one of the input."""
        return any_shared(self.columns)

    def _value(self, chunk: Chunk, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        found = chunk.columns[value]
        if isinstance(found, str) or self.keep is None:
            return found
        return found.take(pa.array(self.keep))

    def _origin(self, origin: Origin) -> Origin:
        if self.keep is None or origin is None:
            return origin
        if isinstance(origin, range):
            return self.keep + origin.start
        return origin[self.keep]  # type: ignore[no-any-return]


def any_shared(columns: Mapping[str, Any]) -> bool:
    """Whether a column is given by the name of another."""
    return any(isinstance(value, str) for value in columns.values())


def _stacked(arrays: Sequence[pa.Array]) -> pa.Array:
    kinds = {array.type for array in arrays}
    if len(kinds) > 1:  # a column of nulls until now
        kinds -= {pa.null()}
        arrays = [pa.nulls(len(array), next(iter(kinds))) if pa.types.is_null(array.type)
                  else array for array in arrays]
    return joined(arrays, arrays[0].type)


def _joined_origin(origins: Sequence[Origin]) -> Origin:
    if any(origin is None for origin in origins):
        return None
    ranges = [origin for origin in origins if isinstance(origin, range)]
    if len(ranges) == len(origins) and all(one.stop == other.start
                                           for one, other in pairwise(ranges)):
        return range(ranges[0].start, ranges[-1].stop)
    return np.concatenate([np.asarray(origin, dtype=np.int64) for origin in origins])
