"""`IterableDataset.to_...`: all rows in memory or in a file, or batches of frames one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from enfold.data.features import cast_table
from enfold.data.streaming.create import Created
from enfold.data.streaming.node import joined

ROWS = 1000
GROUP = 100 << 20  # bytes of a row group


class Exported(Created):
    """Where datasets go."""

    def _tables(self, batch_size: int | None) -> Iterator[pa.Table]:
        features = self._info.features
        for table in self.with_format("arrow").iter(batch_size=batch_size or ROWS):
            yield table if features is None else cast_table(table, features)

    def _dataset(self, table: pa.Table | None = None) -> Any:
        """All rows as a Dataset."""
        from enfold.data.dataset import Dataset
        if table is None:
            tables = list(self._tables(None))
            table = joined(tables) if tables else self._empty()
        return Dataset(table, info=self._info.copy() if self._info.features else None)

    def _exported(self, method: str, batch_size: int | None, batched: bool, **options: Any) -> Any:
        if not batched:
            return getattr(self._dataset(), method)(**options)
        return (getattr(self._dataset(table), method)(**options)
                for table in self._tables(batch_size))

    def to_dict(self, batch_size: int | None = None, batched: bool = False) -> Any:
        """The columns as a dict of lists; batched: one after the other, of `batch_size` rows."""
        return self._exported("to_dict", batch_size, batched)

    def to_list(self) -> list[Any]:
        """The rows as a list of dicts."""
        return self._dataset().to_list()  # type: ignore[no-any-return]

    def to_pandas(self, batch_size: int | None = None, batched: bool = False) -> Any:
        """A pandas frame; batched: frames, one after the other."""
        return self._exported("to_pandas", batch_size, batched)

    def to_polars(self, batch_size: int | None = None, batched: bool = False,
                  schema_overrides: dict[str, Any] | None = None, rechunk: bool = True) -> Any:
        """A polars frame; batched: frames, one after the other.  The rest is polars' own."""
        return self._exported("to_polars", batch_size, batched, schema_overrides=schema_overrides,
                              rechunk=rechunk)

    def to_csv(self, path_or_buf: Any, batch_size: int | None = None,
               storage_options: dict[str, Any] | None = None, **to_csv_kwargs: Any) -> int:
        """Write a CSV file; returns the bytes written.

        Where the features are known, `batch_size` rows are in memory at a time, else all.
        """
        if self._info.features is None:
            return self._written("to_csv", path_or_buf, batch_size, storage_options, to_csv_kwargs)
        from enfold.data.io.csv import write_csv_blocks

        return write_csv_blocks(self._blocks(batch_size), self._empty(), path_or_buf,
                                storage_options, **to_csv_kwargs)

    def to_json(self, path_or_buf: Any, batch_size: int | None = None,
                storage_options: dict[str, Any] | None = None, **to_json_kwargs: Any) -> int:
        """Write a JSON Lines file, or JSON with lines=False; returns the bytes written.

        Of lines, where the features are known, `batch_size` rows are in memory at a time, else all.
        """
        from enfold.data.io.json import of_lines, write_json_lines

        if (features := self._info.features) is not None and of_lines(to_json_kwargs):
            return write_json_lines(self._blocks(batch_size), features, path_or_buf,
                                    storage_options, **to_json_kwargs)
        return self._written("to_json", path_or_buf, batch_size, storage_options, to_json_kwargs)

    def to_parquet(self, path_or_buf: Any, batch_size: int | None = None,
                   storage_options: dict[str, Any] | None = None,
                   **parquet_writer_kwargs: Any) -> int:
        """Write a Parquet file; returns the bytes of Arrow data.

        batch_size: rows of a row group; by default about 100 MB, which is all that is in memory at
        a time where the features are known.
        """
        if self._info.features is None:
            return self._written("to_parquet", path_or_buf, batch_size, storage_options,
                                 parquet_writer_kwargs)
        from enfold.data.io.parquet import ParquetFile
        from enfold.data.io.target import opened

        options = dict(parquet_writer_kwargs)
        chunking = options.pop("use_content_defined_chunking", True)
        pages = options.pop("write_page_index", True)
        with opened(path_or_buf, storage_options) as file, \
                ParquetFile(file, self._info.features, chunking, pages, options) as writer:
            for table in self._tables(batch_size) if batch_size else self._groups():
                writer.add(table)
        return writer.nbytes

    def _blocks(self, batch_size: int | None) -> Iterator[pa.Table]:
        from enfold.data.io.ordered import rows_per_batch

        return self._tables(rows_per_batch(batch_size))

    def _empty(self) -> pa.Table:
        features = self._info.features
        return features.arrow_schema.empty_table() if features else pa.table({})

    def _groups(self) -> Iterator[pa.Table]:
        """The rows in tables of about GROUP bytes."""
        parts: list[pa.Table] = []
        for table in self._tables(None):
            parts.append(table)
            if sum(part.nbytes for part in parts) >= GROUP:
                yield joined(parts)
                parts = []
        if parts:
            yield joined(parts)

    def _written(self, method: str, path: Any, batch_size: int | None,
                 storage_options: dict[str, Any] | None, options: dict[str, Any]) -> int:
        write = getattr(self._dataset(), method)
        return int(write(path, batch_size=batch_size, storage_options=storage_options, **options))

    def to_sql(self, name: str, con: Any, batch_size: int | None = None,
               **sql_writer_kwargs: Any) -> int:
        """Write a table of a database; returns the number of rows.

        Where the features are known, `batch_size` rows are in memory at a time, else all.
        """
        if self._info.features is not None:
            from enfold.data.io.sql import write_sql_blocks

            return write_sql_blocks(self._blocks(batch_size), self._empty(), name, con,
                                    **sql_writer_kwargs)
        return int(self._dataset().to_sql(name, con, batch_size=batch_size, **sql_writer_kwargs))
