"""A split as Parquet files, each written, uploaded and forgotten here."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from enfold.data.executor import Progress, run_parallel
from enfold.data.features import Features
from enfold.data.features.arrow import needs_embedding
from enfold.data.io.embedding import embedded
from enfold.data.io.parquet import ParquetFile
from enfold.data.io.sizes import estimate_nbytes, rows_per_group, shard_count
from enfold.data.push.request import Request
from enfold.data.push.streams import stream_parts
from enfold.data.splits import SplitInfo

_log = logging.getLogger(__name__)


class Parts(Protocol):
    """The rows of a split, cut into `count` parts; can be pickled."""

    count: int
    features: Features
    at_once: bool  # whether a part can be read without those before it

    def tables(self, index: int) -> Iterator[pa.Table]:
        """The rows of a part, a row group each."""


@dataclass
class Pushed:
    """What was uploaded of a split.  additions: what commits it; paths: all its files."""

    info: SplitInfo
    features: Features
    size: int = 0
    additions: list[Any] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@dataclass
class _Shard:
    path: str
    addition: Any
    size: int
    rows: int
    nbytes: int


class RowParts:
    """A Dataset cut into stretches of rows."""

    at_once = True

    def __init__(self, dataset: Any, max_shard_size: int | str | None, num_shards: int | None,
                 num_proc: int | None) -> None:
        self.dataset, self.features = dataset, dataset.features
        self.nbytes = estimate_nbytes(dataset)
        self.count = num_shards or shard_count(self.nbytes, max_shard_size, num_proc)
        self.batch = rows_per_group(self.features, len(dataset), self.nbytes)

    def tables(self, index: int) -> Iterator[pa.Table]:
        """The rows of a part."""
        size, more = divmod(len(self.dataset), self.count)
        start = size * index + min(index, more)
        yield from self.dataset._frame.batches(self.batch, start, start + size + (index < more))


class _Job:
    """Writes and uploads the part of a number."""

    def __init__(self, parts: Parts, place: Any, folder: str, split: str, embed: bool) -> None:
        self.parts, self.place, self.split, self.folder = parts, place, split, folder
        self.embed = embed and any(map(needs_embedding, parts.features.values()))

    def open(self, rank: int) -> None:
        """Nothing: all comes with the job."""

    def run(self, index: int, progress: Callable[[int], None]) -> _Shard:
        parts = self.parts
        path = f"{self.folder}/{self.split}-{index:05d}-of-{parts.count:05d}.parquet"
        handle, local = tempfile.mkstemp(suffix=".parquet")
        try:
            rows = 0
            with os.fdopen(handle, "wb") as file, ParquetFile(file, parts.features) as writer:
                for table in parts.tables(index):
                    writer.add(embedded(table, parts.features) if self.embed else table)
                    rows += table.num_rows
            size = os.path.getsize(local)
            addition = self.place.put(path, local)
        finally:
            os.unlink(local)
        progress(1)
        return _Shard(path, addition, size, rows, writer.nbytes)


def push_split(request: Request, place: Any, split: str) -> Pushed:
    """Write and upload the shards of a split."""
    dataset = request.splits[split]
    parts = _parts(request, dataset, split)
    num_proc = request.num_proc or 1
    if num_proc > 1 and (parts.count < num_proc or not parts.at_once):
        fewer = parts.count if parts.at_once else 1
        _log.warning("Setting num_proc from %d to %d for the %s split: that is how many of its "
                     "shards can be written at once", num_proc, fewer, split)
        num_proc = fewer
    shards: list[_Shard | None] = [None] * parts.count
    job = _Job(parts, place, request.folder, split, request.embed_external_files)
    with Progress(parts.count, "Uploading the dataset shards", unit=" shards") as bar:
        run_parallel(job, range(parts.count), num_proc, on_result=shards.__setitem__,
                     on_progress=bar)
    done = [shard for shard in shards if shard is not None]
    nbytes = parts.nbytes if isinstance(parts, RowParts) else sum(one.nbytes for one in done)
    info = SplitInfo(name=split, num_bytes=nbytes, num_examples=sum(one.rows for one in done))
    return Pushed(info, parts.features, sum(one.size for one in done),
                  [one.addition for one in done if one.addition is not None],
                  [one.path for one in done])


def _parts(request: Request, dataset: Any, split: str) -> Parts:
    count = (request.num_shards or {}).get(split)
    if hasattr(dataset, "_frame"):
        return RowParts(dataset, request.max_shard_size, count, request.num_proc)
    return stream_parts(dataset, request.max_shard_size, count, request.num_proc)
