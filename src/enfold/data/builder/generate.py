"""Builders that make rows or tables from Python generators, by one or several processes."""

from __future__ import annotations

import errno
import posixpath
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from logging import getLogger
from typing import Any, NamedTuple

import pyarrow as pa

from enfold.data import config
from enfold.data.builder.base import DatasetBuilder
from enfold.data.builder.errors import (
    AmbiguousShards,
    DatasetGenerationCastError,
    DatasetGenerationError,
)
from enfold.data.builder.writer import ShardWriter, Written, together
from enfold.data.executor import Progress, run_parallel
from enfold.data.features import CastError, Features
from enfold.data.frame import open_file
from enfold.data.sizes import convert_file_size_to_int
from enfold.data.splits import SplitGenerator
from enfold.data.streaming import arguments
from enfold.data.streaming.node import even
from enfold.errors import DataError

_log = getLogger(__name__)
_TELL = 0.05  # seconds between two looks at the progress bar
_LOOK = 16  # rows between two looks at the clock


class Key(NamedTuple):
    """Which row or table a generator yields: the source file it is from, and its number there."""

    original_shard_id: int
    item_or_batch_id: int

    def __str__(self) -> str:
        return str(tuple(self))


@dataclass
class Made(Written):
    """What a job wrote; originals: the rows of each source file."""

    originals: list[int] = field(default_factory=list)


class _Generating(DatasetBuilder):
    """Splits made from `gen_kwargs`; lists among these are shared out to processes."""

    @abstractmethod
    def _batches(self, size: int, kwargs: dict[str, Any]) -> Iterator[tuple[int, int, Any]]:
        """(source file, number of rows, rows or a table or None for those that come later)."""

    @abstractmethod
    def _write(self, writer: ShardWriter, batch: Any) -> None:
        """Write such rows or such a table."""

    def _generate_shards(self, **kwargs: Any) -> Iterator[Any]:
        """The source files or parts that the data is from, where a builder tells them."""
        raise NotImplementedError(f"{type(self).__name__} does not tell what files its data is "
                                  f"from. Do: define _generate_shards(self, **gen_kwargs)")

    def _prepare_split(self, split_generator: SplitGenerator, file_format: str = "arrow",
                       num_proc: int | None = None, max_shard_size: int | str | None = None,
                       **kwargs: Any) -> None:
        limit = convert_file_size_to_int(max_shard_size or config.MAX_SHARD_SIZE)
        info = split_generator.split_info
        jobs = _jobs(split_generator, num_proc or 1)
        made: dict[int, Made] = {}
        expected = self.info.splits.get(info.name, info) if self.info.splits else info
        job = _Job(self, split_generator.name, file_format, limit)
        with Progress(expected.num_examples or None,
                      f"Generating {split_generator.name} split") as bar:
            try:
                run_parallel(job, list(enumerate(jobs)), len(jobs),
                             on_result=made.__setitem__, on_progress=bar)
                parts = [made[number] for number in range(len(jobs))]
                features = _agreed(job, parts)
            except DatasetGenerationError:
                raise
            except CastError as error:
                raise DatasetGenerationCastError(
                    f"An error occurred while generating the dataset: all data files must have "
                    f"the same columns, but {error}. Do: edit the files to match, pass features=, "
                    f"or load them as separate configurations") from error
            except Exception as error:
                raise DatasetGenerationError(f"An error occurred while generating the dataset: "
                                             f"{error}{_advice(self, error)}") from error
        _finish(self, job, info, parts)
        if self.info.features is None:
            self.info.features = features


class GeneratorBasedBuilder(_Generating):
    """A builder whose `_generate_examples(**gen_kwargs)` yields (key, row as a dict)."""

    @abstractmethod
    def _generate_examples(self, **kwargs: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Yield (key, row) for a split's `gen_kwargs`; the key may be a Key or anything."""

    def _batches(self, size: int, kwargs: dict[str, Any]) -> Iterator[tuple[int, int, Any]]:
        rows: list[Any] = []
        source, told = 0, 0
        for key, row in self._generate_examples(**kwargs):
            if type(key) is Key and key.original_shard_id != source:
                yield source, len(rows) - told, None
                source, told = key.original_shard_id, len(rows)
            rows.append(row)
            if len(rows) == size:
                yield source, size - told, rows
                rows, told = [], 0
            elif not len(rows) % _LOOK:
                yield source, len(rows) - told, None
                told = len(rows)
        yield source, len(rows) - told, rows

    def _write(self, writer: ShardWriter, batch: Any) -> None:
        writer.rows(batch)

    def _get_examples_iterable_for_split(self, split_generator: SplitGenerator) -> Any:
        from enfold.data.streaming.origins import Examples

        return Examples(tuple(arguments.single(split_generator.gen_kwargs)),
                        self._generate_examples, keyed=True,
                        more=getattr(self, "_generate_more_gen_kwargs", None))


class ArrowBasedBuilder(_Generating):
    """A builder whose `_generate_tables(**gen_kwargs)` yields (key, pyarrow Table)."""

    @abstractmethod
    def _generate_tables(self, **kwargs: Any) -> Iterator[tuple[Any, pa.Table]]:
        """Yield (key, table) for a split's `gen_kwargs`; the key may be a Key or anything."""

    def _batches(self, size: int, kwargs: dict[str, Any]) -> Iterator[tuple[int, int, Any]]:
        source = 0
        for key, table in self._generate_tables(**kwargs):
            source = key.original_shard_id if type(key) is Key else source
            yield source, len(table), table

    def _write(self, writer: ShardWriter, batch: Any) -> None:
        writer.table(batch)

    def _get_examples_iterable_for_split(self, split_generator: SplitGenerator) -> Any:
        from enfold.data.streaming.origins import Tables

        return Tables(tuple(arguments.single(split_generator.gen_kwargs)),
                      self._generate_tables, keyed=True,
                      more=getattr(self, "_generate_more_gen_kwargs", None))


class _Job:
    """Makes part of a split; sent to the processes."""

    def __init__(self, builder: _Generating, split: str, kind: str, limit: int) -> None:
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


def _jobs(split: SplitGenerator, num_proc: int) -> list[dict[str, Any]]:
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


def _agreed(job: _Job, parts: list[Made]) -> Features | None:
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


def _finish(builder: DatasetBuilder, job: _Job, info: Any, parts: list[Made]) -> None:
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


def _advice(builder: DatasetBuilder, error: Exception) -> str:
    if not isinstance(error, OSError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return ""
    return (f". The disk of {builder._output_dir} is full. Do: free some of it, or pass cache_dir= "
            f"on a larger one, or set HF_DATASETS_CACHE")


def _read(path: str) -> pa.Table:
    if path.endswith(".arrow"):
        return open_file(path)
    from pyarrow import parquet

    return parquet.read_table(path)
