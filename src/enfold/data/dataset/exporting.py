"""Datasets handed over: to files of other formats, databases, data frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from enfold.data.dataset.base import Base
from enfold.data.features.arrow import storage_type
from enfold.data.io.frames import pandas_frame, polars_frame
from enfold.data.io.ordered import rows_per_batch
from enfold.data.io.sizes import estimate_nbytes
from enfold.data.io.target import Target
from enfold.errors import DataError
from enfold.lazy import require

Options = Mapping[str, Any]
_BLOCK = 1 << 16  # rows of a block for Ray
_PART = 64 << 20  # bytes of a partition for dask


class Exporting(Base):
    """What writes all rows somewhere.  Files that columns name stay names, except to Parquet shards
    that are pushed and to `save_to_disk`."""

    def to_csv(self, path_or_buf: Target, batch_size: int | None = None,
               num_proc: int | None = None, storage_options: Options | None = None,
               **to_csv_kwargs: Any) -> int:
        """Write the rows as CSV to a path, a URL or an open binary file; returns the bytes.

        batch_size: rows turned into text at once (default 1000).  num_proc: processes that do so.
        storage_options: of the URL's fsspec filesystem.  to_csv_kwargs: of `DataFrame.to_csv`, such
        as sep= or quoting=; index is False by default, and compression goes by the extension.
        """
        from enfold.data.io.csv import write_csv

        return write_csv(self, path_or_buf, batch_size, num_proc, storage_options, **to_csv_kwargs)

    def to_json(self, path_or_buf: Target, batch_size: int | None = None,
                num_proc: int | None = None, storage_options: Options | None = None,
                **to_json_kwargs: Any) -> int:
        """Write the rows as JSON Lines, or with lines=False as one document; returns the bytes.

        to_json_kwargs: of `DataFrame.to_json`, such as orient= or force_ascii=; compression goes by
        the extension.  See `to_csv` for the rest.
        """
        from enfold.data.io.json import write_json

        return write_json(self, path_or_buf, batch_size, num_proc, storage_options,
                          **to_json_kwargs)

    def to_parquet(self, path_or_buf: Target, batch_size: int | None = None,
                   storage_options: Options | None = None, **parquet_writer_kwargs: Any) -> int:
        """Write the rows as a Parquet file; returns the bytes of Arrow data.

        batch_size: rows of a row group; by default about 100 MB.  parquet_writer_kwargs: of
        pyarrow's ParquetWriter, and use_content_defined_chunking=, write_page_index=.
        """
        from enfold.data.io.parquet import write_parquet

        return write_parquet(self, path_or_buf, batch_size, storage_options,
                             **parquet_writer_kwargs)

    def to_sql(self, name: str, con: Any, batch_size: int | None = None,
               num_proc: int | None = None, **sql_writer_kwargs: Any) -> int:
        """Write the rows to the table `name` of a database; returns how many.

        con: a URL such as "sqlite:///file.db", an sqlite3 connection, or a connection or engine of
        SQLAlchemy.  sql_writer_kwargs: of `DataFrame.to_sql`, such as if_exists="replace".
        """
        from enfold.data.io.sql import write_sql

        return write_sql(self, name, con, batch_size, num_proc, **sql_writer_kwargs)

    def to_pandas(self, batch_size: int | None = None, batched: bool = False) -> Any:
        """The rows as a pandas DataFrame; batched: an iterator of frames of `batch_size` rows."""
        if batched:
            return (pandas_frame(table, self.features) for table in self._tables(batch_size))
        return pandas_frame(self._frame.table(), self.features)

    def to_polars(self, batch_size: int | None = None, batched: bool = False,
                  schema_overrides: Options | None = None, rechunk: bool = True) -> Any:
        """The rows as a polars DataFrame; batched: an iterator of frames of `batch_size` rows.

        schema_overrides: types of columns.  rechunk: have each column in one piece of memory.
        """
        if batched:
            return (polars_frame(table, schema_overrides, rechunk)
                    for table in self._tables(batch_size))
        return polars_frame(self._frame.table(), schema_overrides, rechunk)

    def to_iterable_dataset(self, num_shards: int | None = 1) -> Any:
        """The rows as an IterableDataset of `num_shards` shards, which workers and ranks share.

        It is faster to iterate where rows are in order, and shuffles approximately, in a buffer.
        """
        from enfold.data.streaming import IterableDataset

        count = num_shards or 1
        if count > 1 and count > len(self):
            raise DataError(f"to_iterable_dataset: Unable to shard a dataset of size {len(self)} "
                            f"into {count} shards (the number of shards exceeds the number of "
                            "samples). Do: ask for fewer")
        stream = IterableDataset.from_frame(self._frame, self.features, count)
        return stream.with_format(self._format.type) if self._format.type is not None else stream

    def to_tf_dataset(self, batch_size: int | None = None,
                      columns: str | Sequence[str] | None = None, shuffle: bool = False,
                      collate_fn: Callable[..., Mapping[str, Any]] | None = None,
                      drop_remainder: bool = False, collate_fn_args: Options | None = None,
                      label_cols: str | Sequence[str] | None = None, prefetch: bool = True,
                      num_workers: int = 0, num_test_batches: int = 20) -> Any:
        """The rows as a `tf.data.Dataset`, for `model.fit`.

        batch_size: None for single rows.  columns: those to hand out, with label_cols as
            (columns, labels); by default all, as a dict.
        collate_fn(list of rows, **collate_fn_args) -> dict of arrays; by default they are stacked.
        shuffle: a new order in each epoch.  drop_remainder: leave out a last batch that is short.
        num_workers: batches read at the same time.  num_test_batches: random rows that are looked
            at for types and shapes.
        """
        from enfold.data.io.tensorflow import to_tf

        return to_tf(self, batch_size, columns, shuffle, collate_fn, drop_remainder,
                     collate_fn_args, label_cols, prefetch, num_workers, num_test_batches)

    def to_ray(self) -> Any:
        """The rows as a `ray.data.Dataset`, whose blocks Ray keeps on its machines."""
        ray = require("ray", "ray")
        require("ray.data", "ray")
        return ray.data.from_arrow(list(self._plain_tables(_BLOCK)))

    def to_dask(self, npartitions: int | None = None) -> Any:
        """The rows as a dask DataFrame of `npartitions` parts (default: one per 64 MB)."""
        dask = require("dask.dataframe")
        rows, nbytes = len(self), self._estimate_nbytes()
        parts = npartitions or max(1, nbytes // _PART)
        size = max(1, -(-rows // parts))
        shards = [self._rows(start, min(start + size, rows))
                  for start in range(0, max(rows, 1), size)]
        return dask.from_map(_pandas, shards, meta=_pandas(self._rows(0, 0)))

    def _rows(self, start: int, stop: int) -> Any:
        return self.with_format(None).select(range(start, stop))  # type: ignore[attr-defined]

    def _plain_tables(self, size: int) -> Iterator[pa.Table]:
        """Tables without types that only Arrow datasets have."""
        for table in self._frame.batches(size):
            fields = [field.with_type(storage_type(field.type)) for field in table.schema]
            yield table.cast(pa.schema(fields))

    def _tables(self, batch_size: int | None) -> Iterator[pa.Table]:
        return self._frame.batches(rows_per_batch(batch_size))

    def _estimate_nbytes(self) -> int:
        return estimate_nbytes(self)



def _pandas(dataset: Exporting) -> Any:
    return dataset.to_pandas()
