"""Parquet and Arrow: batches as they are stored, row groups and columns that are not wanted unread.

Resuming skips whole row groups or record batches.  The file's schema metadata is kept, where
`datasets` and we store features.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from enfold.data.sources.blocks import Mark, Piece
from enfold.data.sources.opening import DAMAGE, DataFile, naming
from enfold.data.sources.source import Reader
from enfold.errors import ArgumentError, DataError, unknown_arguments

BAD_FILES = ("error", "warn", "skip")


class Parquet(Reader):
    """columns: read only these.  filters: a pyarrow expression, or (column, op, value) tuples.

    batch_size: rows of a batch, a row group's by default.  on_bad_files: "error", "warn", "skip".
    fragment_scan_options: pyarrow's, for instance how much to read ahead from a remote file.
    """

    def __init__(self, columns: Sequence[str] | None = None, *, filters: Any = None,
                 batch_size: int | None = None, on_bad_files: str = "error",
                 fragment_scan_options: Any = None, **others: Any) -> None:
        if others:
            raise unknown_arguments("parquet", others, {
                "columns", "filters", "batch_size", "on_bad_files", "fragment_scan_options"})
        if on_bad_files not in BAD_FILES:
            raise ArgumentError(f"parquet: on_bad_files={on_bad_files!r}. Expected one of "
                                f"{BAD_FILES}")
        import pyarrow.dataset as pads  # 20 ms, for parquet only
        import pyarrow.parquet as papq
        self.columns = list(columns) if columns is not None else None
        self.filter = papq.filters_to_expression(filters) if isinstance(filters, list) else filters
        self.batch_size, self.on_bad_files = batch_size, on_bad_files
        self.row_groups: Sequence[int] | None = None  # None: all
        self.format = pads.ParquetFileFormat(default_fragment_scan_options=fragment_scan_options)

    def infer(self, file: DataFile) -> pa.Schema:
        with self._fragment(file) as fragment:
            return fragment.physical_schema if fragment is not None else pa.schema([])

    def read(self, file: DataFile, hint: pa.Schema, start: Mark, row: int) -> Iterator[Piece]:
        with self._fragment(file) as fragment:
            if fragment is None:
                return
            names = fragment.physical_schema.names
            wanted = names if self.columns is None else [n for n in self.columns if n in names]
            at, groups = start.row, fragment.row_groups
            for number, group in list(enumerate(groups))[start.offset:]:
                if self.row_groups is not None and number not in self.row_groups:
                    continue
                if self.filter is None and at + group.num_rows <= row:
                    at += group.num_rows
                    continue
                mark = Mark(at, number)
                part = fragment.subset(row_group_ids=[group.id])
                for batch in self._batches(part, group, wanted):
                    yield Piece(batch, at, mark)
                    at += batch.num_rows

    def _batches(self, fragment: Any, group: Any, columns: list[str]) -> Iterator[pa.RecordBatch]:
        return iter(fragment.to_batches(
            batch_size=self.batch_size or max(group.num_rows, 1), columns=columns,
            filter=self.filter, batch_readahead=0, fragment_readahead=0))

    @contextmanager
    def _fragment(self, file: DataFile) -> Iterator[Any]:
        """The open file, or None where it is bad and that is to be passed over."""
        raw = file.open_raw()
        try:
            try:
                with naming(file):
                    fragment = self.format.make_fragment(pa.PythonFile(raw, "r"))
                    fragment.ensure_complete_metadata()
            except DataError as error:
                if self.on_bad_files == "error":
                    raise
                if self.on_bad_files == "warn":
                    warnings.warn(f"left out: {error}", stacklevel=2)
                fragment = None
            self._check_filter(file, fragment)
            yield fragment
        finally:
            raw.close()

    def _check_filter(self, file: DataFile, fragment: Any) -> None:
        if self.filter is None or fragment is None:
            return
        try:
            fragment.scanner(filter=self.filter)
        except DAMAGE as error:
            names = fragment.physical_schema.names
            raise DataError(f"{file}: filters={self.filter} does not fit its columns {names}: "
                            f"{error}") from error


class Arrow(Reader):
    """IPC streams and IPC files, memory-mapped where they are local."""

    def __init__(self, columns: Sequence[str] | None = None, **others: Any) -> None:
        if others:
            raise unknown_arguments("arrow", others, {"columns", "features"})
        self.columns = columns

    def infer(self, file: DataFile) -> pa.Schema:
        with self._reader(file) as reader:
            return reader.schema

    def read(self, file: DataFile, hint: pa.Schema, start: Mark, row: int) -> Iterator[Piece]:
        with self._reader(file) as reader:
            names = reader.schema.names
            keep = names if self.columns is None else [n for n in self.columns if n in names]
            at, number = start.row if _seekable(reader) else 0, 0
            for number, batch in _numbered(reader, start.offset):
                batch.validate(full=True)
                yield Piece(batch.select(keep), at, Mark(at, number))
                at += batch.num_rows

    @contextmanager
    def _reader(self, file: DataFile) -> Iterator[Any]:
        with naming(file):
            source = pa.memory_map(str(file.local)) if file.local else pa.PythonFile(
                file.open(), "r")
        with source:
            with naming(file):
                try:
                    reader = pa.ipc.open_stream(source)
                except pa.ArrowInvalid:
                    source.seek(0)
                    reader = pa.ipc.open_file(source)
            yield reader


def _seekable(reader: Any) -> bool:
    return isinstance(reader, pa.ipc.RecordBatchFileReader)


def _numbered(reader: Any, start: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The batches of a file from number `start` on; of a stream all, which has no index."""
    if _seekable(reader):
        for number in range(start, reader.num_record_batches):
            yield number, reader.get_batch(number)
    else:
        yield from enumerate(reader)
