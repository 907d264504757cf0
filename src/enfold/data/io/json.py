"""JSON written with pandas, with the bytes that `datasets` writes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from enfold.data.features import Features
from enfold.data.formatting.pandas_formatter import to_pandas
from enfold.data.io.frames import with_json_decoded
from enfold.data.io.ordered import processes, rows_per_batch, write_blocks, write_ordered
from enfold.data.io.target import Target, is_path, opened

_COMPRESSIONS = (None, "infer", "gzip", "bz2", "xz", "zstd")


@dataclass
class JsonText:
    """The JSON of a batch.  options: of `DataFrame.to_json`."""

    features: Features
    options: dict[str, Any]

    def __call__(self, table: pa.Table, *, first: bool) -> bytes:
        frame = to_pandas(table, integer_object_nulls=True)
        text = with_json_decoded(frame, self.features).to_json(path_or_buf=None, **self.options)
        return (text if text.endswith("\n") else text + "\n").encode("utf-8")  # type: ignore[no-any-return]


def write_json(dataset: Any, target: Target, batch_size: int | None = None,
               num_proc: int | None = None, storage_options: Mapping[str, Any] | None = None,
               **options: Any) -> int:
    """Write the rows, by default one JSON object per line; returns the bytes before compression.

    lines=False writes one document of all rows, of the form `orient` (see `DataFrame.to_json`).
    compression: "infer" (default) goes by the extension, ".jsonl.gz".
    """
    count = processes(num_proc)
    render, compression = _asked(dataset.features, target, options)
    lines = render.options["lines"]
    frame = dataset._frame  # run here what is left to run: its errors are not the file's
    rows = frame.num_rows
    size = rows_per_batch(batch_size) if lines or batch_size else max(rows, 1)
    if not lines and size < rows:
        raise NotImplementedError(f"to_json: lines=False writes one document, and batch_size="
                                  f"{size} of {rows} rows would make several. Output JSON will not "
                                  "be formatted correctly when lines = False and batch_size < "
                                  "number of rows in the dataset. Do: leave out batch_size")
    with opened(target, storage_options, compression) as file:
        if not rows and not lines:
            text = render(frame.slice(0, 0), first=True)
            file.write(text)
            return len(text)
        return write_ordered(dataset, file, render, size, count, "json")


def write_json_lines(tables: Iterable[pa.Table], features: Features, target: Target,
                     storage_options: Mapping[str, Any] | None = None, **options: Any) -> int:
    """The same of tables that come one by one, as JSON Lines."""
    render, compression = _asked(features, target, options)
    with opened(target, storage_options, compression) as file:
        return write_blocks(tables, file, render)


def of_lines(options: Mapping[str, Any]) -> bool:
    """Whether these options are of JSON Lines."""
    return bool(options.get("lines", options.get("orient", "records") == "records"))


def _asked(features: Features, target: Target,
           options: dict[str, Any]) -> tuple[JsonText, str | None]:
    """How batches become text, and how that is compressed."""
    options.pop("path_or_buf", None)
    lines, orient = of_lines(options), options.pop("orient", "records")
    options.pop("lines", None)
    if orient in ("split", "table"):
        options.setdefault("index", False)
    compression = options.pop("compression", "infer" if is_path(target) else None)
    _check_compression(compression, is_path(target))
    return JsonText(features, {"orient": orient, "lines": lines, **options}), compression


def _check_compression(compression: str | None, path: bool) -> None:
    if compression not in _COMPRESSIONS:
        raise NotImplementedError(f"to_json: {compression} compression is not supported. Expected "
                                  f"one of {', '.join(map(repr, _COMPRESSIONS))}")
    if compression and not path:
        raise NotImplementedError(f"The compression parameter is not supported when writing to a "
                                  f"buffer, but compression={compression} was passed. Do: give a "
                                  "path, or a file object that compresses")
