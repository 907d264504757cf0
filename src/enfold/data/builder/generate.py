"""Builders that make rows or tables from Python generators, by one or several processes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa

from enfold.data import config
from enfold.data.builder.base import DatasetBuilder
from enfold.data.builder.errors import (
    DatasetGenerationCastError,
    DatasetGenerationError,
)
from enfold.data.builder.jobs import Job, Made, advice, agreed, finish, shared_out
from enfold.data.builder.writer import ShardWriter
from enfold.data.executor import Progress, run_parallel
from enfold.data.features import CastError
from enfold.data.sizes import convert_file_size_to_int
from enfold.data.splits import SplitGenerator
from enfold.data.streaming import arguments

_LOOK = 16  # rows between two looks at the clock


class Key(NamedTuple):
    """Which row or table a generator yields: the source file it is from, and its number there."""

    original_shard_id: int
    item_or_batch_id: int

    def __str__(self) -> str:
        return str(tuple(self))


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
        jobs = shared_out(split_generator, num_proc or 1)
        made: dict[int, Made] = {}
        expected = self.info.splits.get(info.name, info) if self.info.splits else info
        job = Job(self, split_generator.name, file_format, limit)
        with Progress(expected.num_examples or None,
                      f"Generating {split_generator.name} split") as bar:
            try:
                run_parallel(job, list(enumerate(jobs)), len(jobs),
                             on_result=made.__setitem__, on_progress=bar)
                parts = [made[number] for number in range(len(jobs))]
                features = agreed(job, parts)
            except DatasetGenerationError:
                raise
            except CastError as error:
                raise DatasetGenerationCastError(
                    f"An error occurred while generating the dataset: all data files must have "
                    f"the same columns, but {error}. Do: edit the files to match, pass features=, "
                    f"or load them as separate configurations") from error
            except Exception as error:
                raise DatasetGenerationError(f"An error occurred while generating the dataset: "
                                             f"{error}{advice(self, error)}") from error
        finish(self, job, info, parts)
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
