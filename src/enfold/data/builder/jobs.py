"""The parts of a split that processes make, and their files put together."""

from __future__ import annotations

import errno
import posixpath
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from logging import getLogger
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from enfold.data import config
from enfold.data.builder.errors import AmbiguousShards
from enfold.data.builder.writer import ShardWriter, Written, together
from enfold.data.features import Features
from enfold.data.frame import open_file
from enfold.data.splits import SplitGenerator
from enfold.data.streaming import arguments
from enfold.data.streaming.node import even
from enfold.errors import DataError

if TYPE_CHECKING:
    from enfold.data.builder.base import DatasetBuilder

_log = getLogger(__name__)
_TELL = 0.05  # seconds between two looks at the progress bar


@dataclass
class Made(Written):
    """What a job wrote; originals: the rows of each source file."""

    originals: list[int] = field(default_factory=list)


class Job:
    """Makes part of a split; sent to the processes."""

    def __init__(self, builder: Any, split: str, kind: str, limit: int) -> None:
        self.builder, self.kind, self.limit = builder, kind, limit
        self.stem = posixpath.join(builder._output_dir, f"{builder.dataset_name}-{split}")

    def open(self, rank: int) -> None:
        """Nothing to do."""

    def run(self, task: tuple[int, dict[str, Any]], progress: Callable[[int], None]) -> Made:
        """Write the files of one job."""
        number, gen_kwargs = task
        builder, originals = self.builder, [0]
        size = builder._writer_batch_size or config.DEFAULT_MAX_BATCH_SIZE
        told, since = 0, time.perf_counter()
        with self.writer(number, builder.info.features) as writer:
            for source, count, batch in builder._batches(size, gen_kwargs):
                if batch is not None:
                    builder._write(writer, batch)
                originals += [0] * (source + 1 - len(originals))
                originals[source] += count
                told += count
                if time.perf_counter() - since > _TELL:
                    progress(told)
                    told, since = 0, time.perf_counter()
        progress(told)
        return Made(**vars(writer.written), originals=originals)

    def writer(self, number: int, features: Features | None) -> ShardWriter:
        """The writer of a job's files."""
        system = self.builder._fs
        local = not self.builder._is_remote
        return ShardWriter(
            lambda file: self.draft(number, file), self.kind, features,
            batch=self.builder._writer_batch_size, limit=self.limit,
            open=None if local else lambda name: system.open(name, "wb"),
            reread=_read if local else None)

    def draft(self, number: int, file: int) -> str:
        """The name of a file while it is not known how many there will be."""
        return f"{self.stem}-{number:05d}-{file:05d}-of-NNNNN.{self.kind}"


def shared_out(split: SplitGenerator, num_proc: int) -> list[dict[str, Any]]:
    """The arguments of each process.  Raises AmbiguousShards."""
    if num_proc < 2:
        return [split.gen_kwargs]
    try:
        shards = arguments.count(split.gen_kwargs)
    except DataError as error:
        raise AmbiguousShards(f"Sharding is ambiguous for this dataset: {error}") from error
    if shards < num_proc:
        _log.warning("num_proc is %d, more than the source files of the split %s: as many "
                     "processes make it as it has files, %d", num_proc, split.name, shards)
    count = min(num_proc, shards)
    if count == 1:
        return [split.gen_kwargs]
    bounds = [0, *accumulate(even(shards, count))]
    return [arguments.only(split.gen_kwargs, range(start, end))
            for start, end in pairwise(bounds)]


def agreed(job: Job, parts: list[Made]) -> Features | None:
    """The columns of all parts; those of a part that differ are written again."""
    features = parts[0].features
    for part in parts[1:]:
        if features is not None and part.features is not None:
            features = together(features, part.features)
    if features is not None:
        for number, part in enumerate(parts):
            if part.features != features:
                for file in range(len(part.lengths)):
                    job.writer(number, features).rewrite(file, features)
    return features


def finish(builder: DatasetBuilder, job: Job, info: Any, parts: list[Made]) -> None:
    """Give the files their names, and tell what is in them."""
    drafts = [job.draft(number, file) for number, part in enumerate(parts)
              for file in range(len(part.lengths))]
    for number, draft in enumerate(drafts):
        name = f"-{number:05d}-of-{len(drafts):05d}" if len(drafts) > 1 else ""
        builder._rename(draft, f"{job.stem}{name}.{job.kind}")
    lengths = [length for part in parts for length in part.lengths]
    originals = [length for part in parts for length in part.originals]
    info.num_examples, info.num_bytes = sum(lengths), sum(part.bytes for part in parts)
    info.shard_lengths = lengths if len(lengths) > 1 else None
    if len(originals) > 1 and config.SAVE_ORIGINAL_SHARD_LENGTHS:
        info.original_shard_lengths = originals


def advice(builder: DatasetBuilder, error: Exception) -> str:
    """What to do about an error, to end its message: about a full disk."""
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    return (f". The disk of {builder._output_dir} is full. Do: free some of it, or pass cache_dir= "
            f"on a larger one, or set HF_DATASETS_CACHE")


def _read(path: str) -> pa.Table:
    if path.endswith(".arrow"):
        return open_file(path)
    from pyarrow import parquet

    return parquet.read_table(path)
