"""`datasets.iterable_dataset`: its names of streams, over ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.features import Features
from enfold.data.formatting import IterableColumn, to_list, to_rows
from enfold.data.streaming import (
    DistributedConfig,
    FormattingConfig,
    IterableDataset,
    OrderFixed,
    arguments,
)
from enfold.data.streaming.columns import Columns, Fitted
from enfold.data.streaming.interleave import FIRST, Interleaved
from enfold.data.streaming.mapping import Job, Mapped
from enfold.data.streaming.node import Node
from enfold.data.streaming.origins import Examples, Tables
from enfold.data.streaming.present import Tabled, alike, transposed, untransposed
from enfold.data.streaming.several import Beside, Concatenated
from enfold.data.streaming.shuffle import Shuffled
from enfold.data.streaming.windows import Cut, Repeat, Skip, Step, Take

__all__ = ["ArrowExamplesIterable", "DataSourcesShufflingDisallowed", "DistributedConfig",
           "ExamplesIterable", "FormattingConfig", "IterableColumn", "IterableDataset"]

DataSourcesShufflingDisallowed = OrderFixed
_BaseExamplesIterable = Node


class ExamplesIterable(Examples):
    """Rows of a function that yields (key, row)."""

    def __init__(self, generate_examples_fn: Callable[..., Any], kwargs: Mapping[str, Any],
                 generate_more_kwargs_fn: Callable[..., Any] | None = None) -> None:
        super().__init__(tuple(arguments.single(kwargs)), generate_examples_fn, True,
                         generate_more_kwargs_fn)

    def __iter__(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        for shard in self.shards:
            yield from self.function(**shard)


class ArrowExamplesIterable(Tables):
    """Tables of a function that yields (key, table)."""

    def __init__(self, generate_tables_fn: Callable[..., Any], kwargs: Mapping[str, Any],
                 generate_more_kwargs_fn: Callable[..., Any] | None = None) -> None:
        super().__init__(tuple(arguments.single(kwargs)), generate_tables_fn, True,
                         generate_more_kwargs_fn)

    def iter_arrow(self) -> Iterator[tuple[Any, pa.Table]]:
        """The tables with their keys."""
        for shard in self.shards:
            yield from self.function(**shard)

    def __iter__(self) -> Iterator[tuple[Any, dict[str, Any]]]:
        for key, table in self.iter_arrow():
            for row in to_rows(tuple(table.column_names), map(to_list, table.columns)):
                yield key, row


def SelectColumnsIterable(ex_iterable: Node, column_names: Sequence[str]) -> Node:  # noqa: N802
    """Some of the columns."""
    return Columns(ex_iterable, keep=column_names)


def StepExamplesIterable(ex_iterable: Node, step: int, offset: int) -> Node:  # noqa: N802
    """Every `step`-th row."""
    return Step(ex_iterable, step, offset)


def CyclingMultiSourcesExamplesIterable(  # noqa: N802
        ex_iterables: Sequence[Node], stopping_strategy: str = FIRST) -> Node:
    """Rows of each in turn."""
    return Interleaved(alike(ex_iterables), stopping_strategy)


def RandomlyCyclingMultiSourcesExamplesIterable(  # noqa: N802
        ex_iterables: Sequence[Node], generator: np.random.Generator,
        probabilities: Sequence[float] | None = None, stopping_strategy: str = FIRST) -> Node:
    """Rows of each, drawn at random."""
    return Interleaved(alike(ex_iterables), stopping_strategy, generator, probabilities)


def VerticallyConcatenatedMultiSourcesExamplesIterable(  # noqa: N802
        ex_iterables: Sequence[Node]) -> Node:
    """One after the other."""
    return Concatenated(alike(ex_iterables))


def HorizontallyConcatenatedMultiSourcesExamplesIterable(  # noqa: N802
        ex_iterables: Sequence[Node]) -> Node:
    """Side by side."""
    return Beside(alike(ex_iterables))


def RebatchedArrowExamplesIterable(  # noqa: N802
        ex_iterable: Node, batch_size: int | None, drop_last_batch: bool = False,
        force_convert_to_arrow: bool = False) -> Node:
    """Tables of a size; the last one is dropped where a function is called on it."""
    return Cut(ex_iterable, batch_size) if ex_iterable.arrow \
        else Tabled(ex_iterable, None, batch_size)


def MappedExamplesIterable(  # noqa: N802
        ex_iterable: Node, function: Callable[..., Any], *,
        formatting: FormattingConfig | None = None, features: Any = None, **options: Any) -> Node:
    """What a function returns for each row."""
    kind = None if formatting is None else formatting.format_type
    return Mapped(ex_iterable, _job(function, options), None, kind, features)


def FilteredExamplesIterable(  # noqa: N802
        ex_iterable: Node, function: Callable[..., Any], *,
        formatting: FormattingConfig | None = None, **options: Any) -> Node:
    """The rows that a function keeps."""
    kind = None if formatting is None else formatting.format_type
    return Mapped(ex_iterable, _job(function, {**options, "keeps": True}), None, kind)


def _job(function: Callable[..., Any], options: dict[str, Any]) -> Job:
    return Job(function, **{name: value for name, value in options.items() if value is not None
                            or name == "batch_size"})


def BufferShuffledExamplesIterable(  # noqa: N802
        ex_iterable: Node, buffer_size: int, generator: np.random.Generator) -> Node:
    """In random order, through a buffer."""
    return Shuffled(ex_iterable, buffer_size, generator)


def SkipExamplesIterable(ex_iterable: Node, n: int) -> Node:  # noqa: N802
    """Without the first n rows."""
    return Skip(ex_iterable, n)


def TakeExamplesIterable(ex_iterable: Node, n: int) -> Node:  # noqa: N802
    """The first n rows."""
    return Take(ex_iterable, n)


def RepeatExamplesIterable(ex_iterable: Node, num_times: int | None) -> Node:  # noqa: N802
    """Several times over."""
    return Repeat(ex_iterable, num_times)


def FormattedExamplesIterable(  # noqa: N802
        ex_iterable: Node, formatting: FormattingConfig | None, features: Features | None,
        token_per_repo_id: Any = None) -> Node:
    """Tables cast to features; a format is what a dataset shows them in."""
    return ex_iterable if features is None else Fitted(ex_iterable, features)


def _examples_to_batch(examples: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return transposed(examples)


def _batch_to_examples(batch: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    return iter(untransposed(batch))
