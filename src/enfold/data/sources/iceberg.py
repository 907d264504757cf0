"""Apache Iceberg: the rows of a table in a catalog.  https://py.iceberg.apache.org"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from enfold.data.sources.blocks import Mark, Piece
from enfold.data.sources.opening import DataFile
from enfold.data.sources.source import Reader
from enfold.errors import DataError, unknown_arguments
from enfold.lazy import require

KNOWN = {"catalog", "table", "columns", "features", "filters", "batch_size", "snapshot_id"}


class Iceberg(Reader):
    """catalog: of pyiceberg.  table: its name, "db.table".  columns: read only these.

    filters: "a > 1 AND b = 'x'" or an expression of pyiceberg.  snapshot_id: an older version.
    batch_size: rows of a batch at most.
    """

    def __init__(self, columns: Sequence[str] | None = None, *, catalog: Any = None,
                 table: str | None = None, filters: Any = None, batch_size: int = 1 << 17,
                 snapshot_id: int | None = None, **others: Any) -> None:
        if others:
            raise unknown_arguments("iceberg", others, KNOWN)
        if catalog is None or table is None:
            raise DataError(f"iceberg: needs catalog= and table=. Got catalog={catalog!r}, "
                            f"table={table!r}")
        self.scan_of = {"row_filter": filters, "snapshot_id": snapshot_id,
                        "selected_fields": tuple(columns) if columns is not None else None}
        self.catalog, self.table, self.batch_size = catalog, table, batch_size

    def files(self, paths: Any, storage: Mapping[str, Any] | None = None) -> list[DataFile]:
        """The table, as if it were a file."""
        return [DataFile(f"iceberg {self.table}")]

    def infer(self, file: DataFile) -> pa.Schema:
        schema: pa.Schema = self._scan().projection().as_arrow()
        return schema.remove_metadata()

    def read(self, file: DataFile, hint: pa.Schema, start: Mark, row: int) -> Iterator[Piece]:
        scan, at = self._scan(), start.row
        reader = require("pyiceberg.io.pyarrow", "iceberg").ArrowScan(
            scan.table_metadata, scan.io, scan.projection(), scan.row_filter, scan.case_sensitive,
            limit=scan.limit)
        for number, task in list(enumerate(scan.plan_files()))[start.offset:]:
            mark = Mark(at, number)
            for whole in reader.to_record_batches([task]):
                for begin in range(0, whole.num_rows, self.batch_size):
                    batch = whole.slice(begin, self.batch_size)
                    yield Piece(batch, at, mark)
                    at += batch.num_rows

    def _scan(self) -> Any:
        given = {name: value for name, value in self.scan_of.items() if value is not None}
        return self.catalog.load_table(self.table).scan(**given)
