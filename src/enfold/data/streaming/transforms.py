"""What makes a stream of another: every method returns a new dataset and reads nothing yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, Self

import numpy as np

from enfold.data.dataset.batching import no_last_to_drop
from enfold.data.features import Features, LargeList, List
from enfold.data.streaming.ahead import Ahead
from enfold.data.streaming.base import Streamed
from enfold.data.streaming.columns import Columns, Grouped
from enfold.data.streaming.mapping import Job, Mapped
from enfold.data.streaming.node import Node, OrderFixed
from enfold.data.streaming.present import TABLES, Tabled
from enfold.data.streaming.shuffle import Shuffled, Spread
from enfold.data.streaming.windows import Repeat, Skip, Step, Take
from enfold.errors import DataError

Names = str | Sequence[str] | None


class Transformed(Streamed):
    """map, filter, shuffle and the rest."""

    def map(self, function: Callable[..., Any] | None = None, with_indices: bool = False,
            input_columns: Names = None, batched: bool = False, batch_size: int | None = 1000,
            drop_last_batch: bool = False, remove_columns: Names = None,
            features: Any = None, fn_kwargs: Mapping[str, Any] | None = None) -> Self:
        """The rows with what `function` returns for each, a dict of columns to add or change.

        function: called on a row as a dict, or on a dict of columns with `batched`; in a format of
        tables it gets one and returns one. None: nothing is changed. Coroutine functions run 1,000
        at a time.  with_indices: also pass the row's number, or the rows' numbers.
        input_columns: pass these columns as arguments instead of the row.  batch_size: rows of a
        batch, None for all.  drop_last_batch: leave out a last one that is shorter.
        remove_columns: leave out these of the input, after the call.  features: of the result;
        unknown without.  fn_kwargs: keyword arguments for it.
        """
        job = Job(function or _unchanged, with_indices, _listed(input_columns), batched,
                  batch_size, drop_last_batch, _listed(remove_columns) or (), dict(fn_kwargs or {}))
        return self._mapped(job, None if features is None else Features(features))

    def filter(self, function: Callable[..., Any] | None = None, with_indices: bool = False,
               input_columns: Names = None, batched: bool = False,
               batch_size: int | None = 1000,
               fn_kwargs: Mapping[str, Any] | None = None) -> Self:
        """The rows for which `function` returns true; with `batched` it returns a list of bools.

        The arguments are those of `map`.
        """
        if function is None:
            raise DataError("filter: function=None. Expected one that says whether a row stays")
        job = Job(function, with_indices, _listed(input_columns), batched, batch_size, False, (),
                  dict(fn_kwargs or {}), keeps=True)
        return self._mapped(job, self._info.features)

    def _mapped(self, job: Job, features: Features | None, threads: int = 0) -> Self:
        node, known = self._ex_iterable, self._info.features
        if self._kind in TABLES and not node.arrow:
            node = Tabled(node, known, job.size)
        return self._over(Mapped(node, job, known, self._kind, features, threads), features)

    def shuffle(self, seed: int | None = None, generator: np.random.Generator | None = None,
                buffer_size: int = 1000, max_buffer_input_shards: int = 10) -> Self:
        """The rows in random order: shards are shuffled, and rows in a buffer.

        seed, generator: of the random numbers, which differ in every `set_epoch`.  buffer_size:
        rows held in memory; the more, the better mixed.  max_buffer_input_shards: shards to read
        in turn, so that rows of several meet.
        """
        generator = np.random.default_rng(seed) if generator is None else deepcopy(generator)
        node = self._ex_iterable
        try:
            node = node.shuffled(generator)
        except OrderFixed:
            max_buffer_input_shards = 1
        node = Spread(node, buffer_size, max_buffer_input_shards)
        return self._over(Shuffled(node, buffer_size, generator))

    def skip(self, n: int) -> Self:
        """Without the first n rows; shards keep their order from here on."""
        return self._over(Skip(self._ex_iterable, n, split=self._distributed is None))

    def take(self, n: int) -> Self:
        """The first n rows; shards keep their order from here on."""
        return self._over(Take(self._ex_iterable, n, split=self._distributed is None))

    def repeat(self, num_times: int | None) -> Self:
        """All rows `num_times` times; None: without end."""
        return self._over(Repeat(self._ex_iterable, num_times))

    def prefetch(self, rows: int = 10_000) -> Self:
        """The same rows, up to `rows` of them read ahead by a thread.

        It helps before slow steps and training loops, where reading waits for a network or a disk.
        """
        return self._over(Ahead(self._ex_iterable, rows))

    def shard(self, num_shards: int, index: int, contiguous: bool = True) -> Self:
        """Part `index` of `num_shards` equal parts, made of whole shards.

        contiguous: shards that follow each other; else every `num_shards`-th.
        """
        return self._over(self._ex_iterable.sharded(num_shards, index, contiguous))

    def reshard(self) -> Self:
        """The same rows in more shards, where files can be read in parts."""
        return self._over(self._ex_iterable.resharded())

    def _step(self, step: int, offset: int) -> Self:
        return self._over(Step(self._ex_iterable, step, offset))

    # -- columns

    def add_column(self, name: str, column: Any) -> Self:
        """With a column of these values, one per row.  Raises DataError if it is there."""
        return self.map(partial(_added, name=name, column=column), with_indices=True)

    def rename_column(self, original_column_name: str, new_column_name: str) -> Self:
        """With a column under another name, as the last one."""
        return self.rename_columns({original_column_name: new_column_name})

    def rename_columns(self, column_mapping: Mapping[str, str]) -> Self:
        """With columns under other names, as the last ones."""
        node = Columns(self._ex_iterable, names=dict(column_mapping))
        features = self._info.features
        if features is not None:
            node.chosen(list(features))
            features = Features({column_mapping.get(name, name): feature
                                 for name, feature in features.items()})
        return self._over(node, features)

    def remove_columns(self, column_names: str | Sequence[str]) -> Self:
        """Without these columns."""
        dropped = _listed(column_names) or ()
        return self._chosen(Columns(self._ex_iterable, drop=dropped))

    def select_columns(self, column_names: str | Sequence[str]) -> Self:
        """With these columns only.  Raises DataError where one is not there."""
        return self._chosen(Columns(self._ex_iterable, keep=_listed(column_names)))

    def _chosen(self, node: Columns) -> Self:
        features = self._info.features
        if features is not None:
            features = Features({name: features[name] for name in node.chosen(list(features))})
        return self._over(node, features)

    def cast_column(self, column: str, feature: Any) -> Self:
        """With a column of another feature."""
        if self._info.features is None:
            raise DataError(f"cast_column: the features are not known, so {column!r} alone can't "
                            f"be cast. Do: ds.cast(Features(..)) with all columns")
        return self._over(features=Features({**self._info.features, column: feature}))

    def cast(self, features: Any) -> Self:
        """With these features; columns that rows lack are None."""
        return self._over(features=Features(features))

    def decode(self, enable: bool = True, num_threads: int | None = None) -> Self:
        """Switch the decoding of images, audio, .. on or off; `num_threads` decode ahead.

        None: 32 threads where there is anything to decode; 0: none.  Raises DataError where the
        features are not known.
        """
        if not self._info.features:
            raise DataError("Features decoding is only available for datasets with known features, "
                            "but features are Unknown. Do: ds.cast(features)")
        decoding = _with_decoding(self._info.features, True)
        if num_threads is None:
            needed = _with_decoding(self._info.features, True)._column_requires_decoding
            num_threads = 32 if any(needed.values()) else 0
        node: Node = self._ex_iterable
        if isinstance(node, Mapped) and node.threads:
            node = node.child  # rows are decoded once: this replaces what decoded them so far
        raw = self._over(node, _with_decoding(self._info.features, False))
        if not enable:
            return raw
        if not num_threads:
            return raw._over(features=decoding)
        decode = partial(decoding.decode_example, token_per_repo_id=self._token_per_repo_id)
        return raw._mapped(Job(decode), decoding, num_threads)

    def batch(self, batch_size: int | None = None, by_column: Names = None,
              drop_last_batch: bool = False) -> Self:
        """Rows that each hold `batch_size` rows as lists.

        by_column: rows with the same values in these columns that follow each other instead.
        drop_last_batch: leave out a last batch that is shorter.
        """
        if batch_size is None and by_column is None:
            raise DataError("IterableDataset.batch() misses `batch_size` or `by_column` argument.")
        no_last_to_drop("batch", by_column, drop_last_batch)
        known = self._info.features
        features = known and Features({name: List(feature) for name, feature in known.items()})
        node, keys = self._ex_iterable, _listed(by_column) or ()
        if not node.arrow and not keys and self._kind not in TABLES:
            job = Job(_as_list, batched=True, batch_size=batch_size,
                      drop_last_batch=drop_last_batch)
            return self._mapped(job, features)
        if not node.arrow:
            node = Tabled(node, known, batch_size or 1000)
        counted = self._formatting is None and not keys
        return self._over(Grouped(node, batch_size, drop_last_batch, keys, counted), features)


def _listed(names: Names) -> list[str] | None:
    return [names] if isinstance(names, str) else None if names is None else list(names)


def _unchanged(row: Any) -> Any:
    return row


def _added(row: Any, index: int, name: str, column: Any) -> dict[str, Any]:
    if name in row:
        raise DataError(f"Error when adding {name}: column {name} is already in the dataset.")
    return {name: column[index]}


def _as_list(batch: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {name: [values] for name, values in batch.items()}


def _with_decoding(features: Features, decode: bool) -> Features:
    copy = features.copy()
    _set_decoding(dict(copy), decode)
    return Features(copy)


def _set_decoding(feature: Any, decode: bool) -> None:
    if isinstance(feature, dict):
        for inner in feature.values():
            _set_decoding(inner, decode)
    elif isinstance(feature, (List, LargeList)):
        _set_decoding(feature.feature, decode)
    elif hasattr(feature, "decode"):
        object.__setattr__(feature, "decode", decode)
