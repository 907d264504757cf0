"""CSV written with pandas, with the bytes that `datasets` writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from enfold.data.formatting.pandas_formatter import to_pandas
from enfold.data.io.ordered import processes, rows_per_batch, write_blocks, write_ordered
from enfold.data.io.target import Target, is_path, opened


@dataclass
class CsvText:
    """The CSV of a batch.  options: of `DataFrame.to_csv`."""

    options: dict[str, Any]
    header: Any

    def __call__(self, table: pa.Table, *, first: bool) -> bytes:
        frame = to_pandas(table, integer_object_nulls=True)
        text = frame.to_csv(path_or_buf=None, header=self.header if first else False,
                            **self.options)
        return text.encode("utf-8")  # type: ignore[no-any-return]


def write_csv(dataset: Any, target: Target, batch_size: int | None = None,
              num_proc: int | None = None, storage_options: Mapping[str, Any] | None = None,
              **options: Any) -> int:
    """Write the rows; returns the number of bytes, before compression.

    compression: "infer" (default) goes by the extension, ".csv.gz"; None leaves it out.
    """
    count, size = processes(num_proc), rows_per_batch(batch_size)
    render, compression = _asked(target, options)
    frame = dataset._frame  # run here what is left to run: its errors are not the file's
    with opened(target, storage_options, compression) as file:
        if not frame.num_rows:
            text = render(frame.slice(0, 0), first=True)
            file.write(text)
            return len(text)
        return write_ordered(dataset, file, render, size, count, "CSV")


def write_csv_blocks(tables: Iterable[pa.Table], empty: pa.Table, target: Target,
                     storage_options: Mapping[str, Any] | None = None, **options: Any) -> int:
    """The same of tables that come one by one; `empty` has their columns."""
    render, compression = _asked(target, options)
    with opened(target, storage_options, compression) as file:
        return write_blocks(tables, file, render, empty)


def _asked(target: Target, options: dict[str, Any]) -> tuple[CsvText, str | None]:
    """How batches become text, and how that is compressed."""
    compression = options.pop("compression", "infer" if is_path(target) else None)
    options.pop("path_or_buf", None)
    header = options.pop("header", True)
    return CsvText({"index": False, **options}, header), compression
