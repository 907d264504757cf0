"""`datasets.arrow_writer`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from types import TracebackType
from typing import Any

import pyarrow as pa

from enfold.data.builder.writer import ShardWriter
from enfold.data.config import DEFAULT_MAX_BATCH_SIZE
from enfold.data.features import Features, to_array
from enfold.lazy import require

__all__ = ["ArrowWriter", "ParquetWriter"]


class ArrowWriter:
    """Writes rows, batches and tables to an Arrow file or an open stream.

    schema, features: the columns (default: what the first rows show).  writer_batch_size: rows of
    a record batch.  `finalize()` returns (rows, bytes).
    """

    _kind = "arrow"

    def __init__(self, schema: pa.Schema | None = None, features: Features | None = None,
                 path: str | os.PathLike[str] | None = None, stream: Any = None,
                 fingerprint: str | None = None, writer_batch_size: int | None = None,
                 embed_local_files: bool = False,
                 storage_options: dict[str, Any] | None = None) -> None:
        if embed_local_files and self._kind == "arrow":
            raise NotImplementedError("ArrowWriter: files are embedded in Parquet only. Do: "
                                      "embed_array the columns first, or use ParquetWriter")
        if path is None and stream is None:
            raise ValueError("At least one of path and stream must be provided.")
        self._features = Features.from_arrow_schema(schema) if features is None and (
            schema is not None) else features
        self.stream, self._path = stream, os.fspath(path) if path is not None else ""
        self._storage, self._length = storage_options, 0
        self._waiting: list[Mapping[str, Any]] = []
        self._writer = ShardWriter(lambda _: self._path, self._kind, self._features,
                                   batch=writer_batch_size, open=self._open)

    def _open(self, name: str) -> Any:
        if self.stream is not None:
            return _Kept(self.stream)
        system, inner = require("fsspec.core").url_to_fs(name, **(self._storage or {}))
        return system.open(inner, "wb")

    def write(self, example: Mapping[str, Any]) -> None:
        """Write a row."""
        self._length += 1
        self._waiting.append(example)
        if len(self._waiting) >= (self._writer.batch or DEFAULT_MAX_BATCH_SIZE):
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._writer.rows(waiting)

    def write_batch(self, batch_examples: Mapping[str, Any]) -> None:
        """Write a dict of columns."""
        if not batch_examples:
            return
        known = self._features or Features()
        self.write_table(pa.table({name: to_array(values, known.get(name), column=name)
                                   for name, values in batch_examples.items()}))

    def write_table(self, pa_table: pa.Table) -> None:
        """Write a table."""
        self._flush()
        self._length += len(pa_table)
        self._writer.table(pa_table)

    write_row = write_table

    def finalize(self, close_stream: bool = True) -> tuple[int, int]:
        """End the file; (rows, bytes)."""
        self._flush()
        written = self._writer.close()
        self._features = written.features
        if close_stream and self.stream is not None:
            self.stream.close()
        return self._length, written.bytes

    @property
    def schema(self) -> pa.Schema | None:
        """The columns, if they are known yet."""
        features = self._writer.written.features
        return None if features is None else features.arrow_schema

    _schema = schema  # its name there

    def close(self) -> None:
        """End the file."""
        if not self._writer.written.lengths:
            self.finalize()

    def __enter__(self) -> ArrowWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if error is None:
            self.close()


class ParquetWriter(ArrowWriter):
    """The same for a Parquet file."""

    _kind = "parquet"


class _Kept(nullcontext[Any]):
    """An open stream that its owner closes."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.write, self.flush = stream.write, getattr(stream, "flush", lambda: None)
        self.closed = False

    def close(self) -> None:
        """Not ours to do."""

    def writable(self) -> bool:
        """It is."""
        return True
