"""One row at a time, without a table: for columns of scalars, in Python's types."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

import numpy as np

from enfold.data.features import Features
from enfold.data.features.value import Value
from enfold.data.frame import Column, Frame


class QuickRows:
    """Reads rows of a frame."""

    __slots__ = ("getters", "names", "num_rows")

    def __init__(self, frame: Frame) -> None:
        self.num_rows = frame.num_rows
        self.names = frame.column_names
        self.getters = [(name, _getter(column)) for name, column in frame.columns.items()]

    @classmethod
    def of(cls, frame: Frame, features: Features) -> QuickRows | None:
        """None where the columns are not plain scalars."""
        plain = all(type(feature) is Value for feature in features.values())
        return cls(frame) if plain and len(features) <= 64 else None

    def row(self, index: int) -> dict[str, Any]:
        """A row; negative numbers count from the end."""
        if index < 0:
            index += self.num_rows
        if not 0 <= index < self.num_rows:
            shown = index if index >= 0 else index - self.num_rows
            raise IndexError(f"Invalid key: {shown} is out of bounds for size {self.num_rows}")
        return {name: get(index) for name, get in self.getters}


def _getter(column: Column) -> Callable[[int], Any]:
    data, numbers = column.whole() if column.rows is not None else column.data, column.rows
    chunks = [chunk for chunk in data.chunks if len(chunk)]
    starts = np.cumsum([0, *map(len, chunks)]).tolist()
    if len(chunks) == 1:
        chunk = chunks[0]
        if numbers is None:
            return lambda index: chunk[index].as_py()
        item = numbers.item
        return lambda index: chunk[item(index)].as_py()

    def get(index: int) -> Any:
        if numbers is not None:
            index = numbers.item(index)
        place = bisect_right(starts, index) - 1
        return chunks[place][index - starts[place]].as_py()

    return get
