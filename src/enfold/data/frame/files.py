"""Arrow IPC files: written whole, read through a memory map.

Files are what `datasets` writes, streams, or Arrow's random access files: both are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from enfold.data.features.arraytypes import restored
from enfold.data.frame.gather import joined
from enfold.errors import DataFileError

_MAGIC = b"ARROW1"
ROWS, BYTES = 1 << 16, 16 << 20  # of a record batch in a file


def open_file(path: str | os.PathLike[str]) -> pa.Table:
    """The table in a file, memory-mapped.  Raises `DataFileError` if it is damaged."""
    return _open(path, pa.memory_map(os.fspath(path)))


def read_memory(path: str | os.PathLike[str]) -> pa.Table:
    """The table in a file, in memory."""
    return _open(path, pa.OSFile(os.fspath(path)))


def open_stream(source: Any, name: str = "the stream") -> pa.Table:
    """The table in an Arrow stream or file that is open."""
    return _open(name, source)


def _open(path: Any, source: Any) -> pa.Table:
    try:
        head = source.read(len(_MAGIC))
        source.seek(0)
        reader = pa.ipc.open_file(source) if head == _MAGIC else pa.ipc.open_stream(source)
        table = reader.read_all()
        table.schema.names  # noqa: B018 - raises where a name is no text
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError) as error:
        raise DataFileError(f"{os.fspath(path)}: no whole Arrow file can be read from it: {error}. "
                            "Expected an Arrow IPC stream or file. Do: write it again; of a cached "
                            "result, `enfold cache verify` removes it") from error
    return with_types(table)


def with_types(table: pa.Table) -> pa.Table:
    """The table with columns of arrays of fixed shapes as such, though Arrow wrote plain lists."""
    fields = [(number, restored(field)) for number, field in enumerate(table.schema)]
    for number, arrow in fields:
        field = table.schema.field(number)
        if arrow != field.type and isinstance(arrow, pa.BaseExtensionType):
            chunks = [arrow.wrap_array(chunk.cast(arrow.storage_type))
                      for chunk in table.column(number).chunks]
            table = table.set_column(number, pa.field(field.name, arrow),
                                     pa.chunked_array(chunks, arrow))
    return table


def write(path: str | os.PathLike[str], batches: Iterable[pa.Table | pa.RecordBatch],
          schema: pa.Schema, *, stream: bool = False) -> int:
    """Write tables as one Arrow file with large record batches; returns the number of rows.

    stream: in the stream format, as `datasets` writes.  The caller sees to a temporary name.
    """
    with pa.OSFile(os.fspath(path), "wb") as sink:
        writer = BatchWriter(sink, schema, stream=stream)
        for batch in batches:
            writer.add(batch)
        writer.close()
    return writer.rows


class BatchWriter:
    """Writes tables of any size as record batches of about `ROWS` rows or `BYTES` bytes."""

    def __init__(self, sink: Any, schema: pa.Schema, *, stream: bool = False) -> None:
        self.schema, self.rows = schema, 0
        self._writer = (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, schema)
        self._waiting: list[pa.Table] = []
        self._count = self._bytes = 0

    def add(self, batch: pa.Table | pa.RecordBatch) -> None:
        """The next rows."""
        table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
        self.rows += table.num_rows
        if not self.schema.names:  # rows without columns: nothing to write
            return
        step = max(1, min(ROWS, BYTES * table.num_rows // max(1, table.nbytes)))
        for start in range(0, table.num_rows, step):
            piece = table.slice(start, step)
            size = piece.nbytes
            if self._count + len(piece) > ROWS or self._bytes + size > BYTES:
                self._flush()
            self._waiting.append(piece)
            self._count, self._bytes = self._count + len(piece), self._bytes + size

    def close(self) -> None:
        """Write what is left, and the file's end."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_batch(one_batch(self._waiting, self.schema))
            self._waiting, self._count, self._bytes = [], 0, 0


def one_batch(tables: list[pa.Table], schema: pa.Schema) -> pa.RecordBatch:
    """Tables as one record batch."""
    arrays = []
    for number, field in enumerate(schema):
        chunks = [chunk for table in tables for chunk in table.column(number).chunks]
        arrays.append(joined(chunks, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
