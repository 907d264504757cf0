"""`Ahead`: a frame whose rows are read in order, a little at a time.

A gather of a thousand rows from as many chunks costs twenty times as much per row as one of sixty
thousand.  What is behind row numbers is therefore gathered in blocks and handed out in slices:

    asked for   [0, 1000)   [1000, 2000)   ...   [65000, 66000)
    gathered    [0, 65536)                       [65000, 130536)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from enfold.data.frame.frame import Frame, table_of
from enfold.data.frame.gather import Rows, joined

_ROWS, _BYTES = 1 << 16, 16 << 20  # of a block
_DENSE = 8  # rows of a stretch for each that is wanted, up to which all of it is read


class Block(NamedTuple):
    """Rows start to stop of a column."""

    start: int
    stop: int
    array: pa.Array


@dataclass(frozen=True, eq=False, slots=True)
class Ahead(Frame):
    """A frame with the blocks that were read last.  stop: rows from there on are not wanted."""

    stop: int = 0
    blocks: dict[str, Block] = field(default_factory=dict, repr=False)

    @classmethod
    def over(cls, frame: Frame, stop: int) -> Frame:
        """The frame, to be read in order up to `stop`; itself if nothing is behind row numbers."""
        if frame.contiguous or isinstance(frame, cls):
            return frame
        return cls(frame.columns, frame.num_rows, frame.holds, stop)

    def slice(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows start to stop."""
        names = self.column_names if columns is None else columns
        start, stop = max(0, start), max(0, min(stop, self.num_rows))
        behind = [name for name in names if self.columns[name].rows is not None]
        if not behind or start >= stop:
            return Frame.slice(self, start, stop, names)
        self._cover(behind, start, stop)
        found = {name: self.blocks[name].array.slice(start - self.blocks[name].start, stop - start)
                 for name in behind}
        return self._together(names, found, Frame.slice(
            self, start, stop, [name for name in names if name not in found]))

    def take(self, indices: Rows, columns: Sequence[str] | None = None) -> pa.Table:
        """The rows of these numbers."""
        names = self.column_names if columns is None else columns
        behind = [name for name in names if self.columns[name].rows is not None]
        if not behind or not len(indices):
            return Frame.take(self, indices, names)
        start, stop = int(indices.min()), int(indices.max()) + 1
        if stop - start > _DENSE * len(indices):
            return Frame.take(self, indices, names)
        self._cover(behind, start, stop)
        found = {name: self.blocks[name].array.take(pa.array(indices - self.blocks[name].start))
                 for name in behind}
        return self._together(names, found, Frame.take(
            self, indices, [name for name in names if name not in found]))

    def _cover(self, names: Sequence[str], start: int, stop: int) -> None:
        """See to it that the blocks of these columns have the rows."""
        blocks = [self.blocks.get(name) for name in names]
        missing = [name for name, block in zip(names, blocks, strict=True)
                   if block is None or start < block.start or stop > block.stop]
        if not missing:
            return
        rows = min(_ROWS, _BYTES // max(map(self._width, missing)))
        end = max(stop, min(start + rows, self.stop, self.num_rows))
        table = Frame.slice(self, start, end, missing)
        for name in missing:
            column = table.column(name)
            self.blocks[name] = Block(start, end, joined(column.chunks, column.type))

    def _width(self, name: str) -> int:
        """Bytes of a value of a column, about; at least 1."""
        data = self.columns[name].data
        return max(1, int(data.nbytes) // max(1, len(data)))

    @staticmethod
    def _together(names: Sequence[str], found: dict[str, pa.Array], others: pa.Table) -> pa.Table:
        rows = len(next(iter(found.values())))
        return table_of({name: found[name] if name in found else others.column(name)
                         for name in names}, rows)
