"""`datasets.table`: its tables are pyarrow's here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from enfold.data.features.cast import cast_table
from enfold.data.frame import open_file, read_memory


class InMemoryTable:
    """Makes pyarrow tables of what is in memory."""

    from_pydict = staticmethod(pa.Table.from_pydict)
    from_pandas = staticmethod(pa.Table.from_pandas)
    from_arrays = staticmethod(pa.Table.from_arrays)
    from_batches = staticmethod(pa.Table.from_batches)
    from_file = staticmethod(read_memory)


class MemoryMappedTable:
    """Makes pyarrow tables of mapped files."""

    from_file = staticmethod(open_file)


class ConcatenationTable:
    """Makes a pyarrow table of several."""

    @staticmethod
    def from_blocks(blocks: Any) -> pa.Table:
        """Of a table, a list of them below each other, or rows of tables beside each other."""
        if isinstance(blocks, pa.Table):
            return blocks
        rows = [_beside(row) if isinstance(row, (list, tuple)) else row for row in blocks]
        return pa.concat_tables(rows, promote_options="default")

    from_tables = from_blocks


def concat_tables(tables: Sequence[pa.Table], axis: int = 0) -> pa.Table:
    """Tables below each other, or beside each other (axis=1)."""
    return _beside(tables) if axis else pa.concat_tables(tables, promote_options="default")


def _beside(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.table({name: column for table in tables
                     for name, column in zip(table.column_names, table.columns, strict=True)})


table_cast = cast_table

__all__ = ["ConcatenationTable", "InMemoryTable", "MemoryMappedTable", "concat_tables",
           "table_cast"]
