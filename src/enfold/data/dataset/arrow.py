"""`ds.data`: what `datasets` hands out as a dataset's table."""

from __future__ import annotations

from typing import Any

import pyarrow as pa


class ArrowTable:
    """All rows as a pyarrow table, with its methods and columns; the table itself is `.table`.

    pyarrow takes it where it takes any Arrow stream: `pa.table(ds.data)`.
    """

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    @property
    def blocks(self) -> list[list[pa.Table]]:
        """Its parts: rows of tables beside each other.  Here it is one."""
        return [[self.table]]

    def __getattr__(self, name: str) -> Any:
        if name == "table":  # not set yet, while it is copied or unpickled
            raise AttributeError(name)
        return getattr(self.table, name)

    def __getitem__(self, key: Any) -> Any:
        return self.table[key]

    def __len__(self) -> int:
        return len(self.table)

    def __eq__(self, other: object) -> bool:
        return bool(self.table == (other.table if isinstance(other, ArrowTable) else other))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self.table)
