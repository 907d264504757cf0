"""Parquet files as `datasets` writes them: row groups of 100 MB, content-defined chunks.

Chunks that are cut by their content let a store that keeps each chunk once, such as the Hub, take
only what changed when a table was edited in the middle.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import IO, Any, Self

import pyarrow as pa

from enfold.data.config import setting
from enfold.data.executor import Progress
from enfold.data.features import Features
from enfold.data.features.arrow import needs_embedding
from enfold.data.io.sizes import estimate_nbytes, rows_per_group
from enfold.data.io.target import Target, opened
from enfold.lazy import require


def write_parquet(dataset: Any, target: Target, batch_size: int | None = None,
                  storage_options: Mapping[str, Any] | None = None,
                  use_content_defined_chunking: bool | dict[str, Any] = True,
                  write_page_index: bool = True, **options: Any) -> int:
    """Write the rows; returns the number of bytes of Arrow data.

    batch_size: rows of a row group.  use_content_defined_chunking: True for the default sizes, a
    dict of pyarrow's options, False for pages of fixed sizes.  options: of pyarrow's ParquetWriter.
    """
    features = dataset.features
    frame = dataset._frame  # run here what is left to run: its errors are not the file's
    size = batch_size or rows_per_group(features, len(dataset), estimate_nbytes(dataset))
    with opened(target, storage_options) as file, \
            Progress(len(dataset), "Creating parquet from Arrow format") as bar, \
            ParquetFile(file, features, use_content_defined_chunking, write_page_index,
                        options) as writer:
        for table in frame.batches(size):
            writer.add(table)
            bar(table.num_rows)
    return writer.nbytes


class ParquetFile:
    """A Parquet file that is being written, a row group per table.

    Its end is written where the `with` block ends.
    """

    def __init__(self, file: IO[bytes], features: Features, chunking: bool | dict[str, Any] = True,
                 write_page_index: bool = True, options: Mapping[str, Any] | None = None) -> None:
        self.schema, self.nbytes = features.arrow_schema, 0
        self.chunking = setting("DEFAULT_CDC_OPTIONS") if chunking is True else chunking
        given = {key: value for key, value in (options or {}).items() if key != "path_or_buf"}
        self._writer = require("pyarrow.parquet").ParquetWriter(
            file, schema=self.schema, use_content_defined_chunking=self.chunking,
            write_page_index=write_page_index, **{**column_options(features, self.schema),
                                                  **given})

    def add(self, table: pa.Table) -> None:
        """The next rows."""
        self._writer.write_table(table.replace_schema_metadata(self.schema.metadata))
        self.nbytes += table.nbytes

    def close(self) -> None:
        """Write the file's end."""
        if self.chunking is not False:
            told = {"content_defined_chunking": json.dumps(self.chunking)}
            self._writer.add_key_value_metadata(told)
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if error is None:
            self.close()
            return
        with suppress(OSError, ValueError, pa.ArrowException):  # what went wrong first is raised
            self._writer.close()


def column_options(features: Features, schema: pa.Schema) -> dict[str, Any]:
    """pyarrow's options per column: files, which are compressed already, are stored as they are."""
    files: list[str] = []
    others: list[str] = []
    for field in schema:
        leaves = files if needs_embedding(features[field.name]) else others
        leaves += _leaves(field.name, field.type)
    return {"compression": {**dict.fromkeys(files, "none"), **dict.fromkeys(others, "snappy")},
            "use_dictionary": others, "column_encoding": dict.fromkeys(files, "PLAIN")}


def _leaves(path: str, arrow: pa.DataType) -> Iterator[str]:
    """The paths of Parquet's columns, `a.list.element.b`, of an Arrow column."""
    if isinstance(arrow, pa.BaseExtensionType):
        arrow = arrow.storage_type
    if pa.types.is_struct(arrow):
        for field in arrow:
            yield from _leaves(f"{path}.{field.name}", field.type)
    elif hasattr(arrow, "value_field"):
        yield from _leaves(f"{path}.list.element", arrow.value_type)
    else:
        yield path
