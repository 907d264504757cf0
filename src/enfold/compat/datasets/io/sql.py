"""`datasets.io.sql`."""

from __future__ import annotations

from typing import Any

from enfold.compat.datasets.io.abc import DatasetWriter
from enfold.data.io.readers import read_sql


class SqlDatasetReader:
    """Reads the rows of a query."""

    def __init__(self, sql: Any, con: Any, features: Any = None, cache_dir: Any = None,
                 keep_in_memory: bool = False, **kwargs: Any) -> None:
        self.arguments = (sql, con, features, cache_dir, keep_in_memory, kwargs)

    def read(self) -> Any:
        """The dataset."""
        return read_sql(*self.arguments)


class SqlDatasetWriter(DatasetWriter):
    """Writes rows to a table of a database."""

    method = "to_sql"
