"""One row at a time, without a table: for columns that are not decoded, in Python's types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from enfold.data.features import Features
from enfold.data.features.arrow import needs_decoding
from enfold.data.formatting.cells import cell_reader
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
        """None where a column is decoded: images and the like."""
        plain = not any(map(needs_decoding, features.values()))
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
    if column.rows is None:
        return cell_reader(column.data)
    read, number = cell_reader(column.whole()), column.rows.item
    return lambda index: read(number(index))
