"""`IterableDatasetDict`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from enfold.data.dict.splits import Splits, by_split
from enfold.data.features import Features
from enfold.data.push.mixins import PushedSplits
from enfold.data.streaming import IterableDataset


class IterableDatasetDict(Splits[IterableDataset], PushedSplits):
    """Iterable datasets by the name of their split, with the methods of `IterableDataset`."""

    _kind: ClassVar[str] = "IterableDataset"

    def _check_value(self, split: Any, dataset: Any) -> None:
        if not isinstance(dataset, IterableDataset):
            raise self._wrong_kind(split, dataset)

    def with_format(self, type: str | None = None) -> Self:
        """The same rows in another format."""
        return self._each("with_format", type)

    def map(self, function: Callable[..., Any] | None = None, with_indices: bool = False,
            with_split: bool = False, input_columns: str | Sequence[str] | None = None,
            batched: bool = False, batch_size: int | None = 1000, drop_last_batch: bool = False,
            remove_columns: str | Sequence[str] | None = None,
            fn_kwargs: Mapping[str, Any] | None = None) -> Self:
        """The rows with what `function` returns for each; see `IterableDataset.map`.

        with_split: give the function the name of the split as its last argument.
        """
        return self._each(
            "map", per_split={"function": by_split(self, function, with_split)},
            with_indices=with_indices, input_columns=input_columns, batched=batched,
            batch_size=batch_size, drop_last_batch=drop_last_batch, remove_columns=remove_columns,
            fn_kwargs=fn_kwargs)

    def filter(self, function: Callable[..., Any] | None = None, with_indices: bool = False,
               input_columns: str | Sequence[str] | None = None, batched: bool = False,
               batch_size: int | None = 1000,
               fn_kwargs: Mapping[str, Any] | None = None) -> Self:
        """The rows for which `function` is true; see `IterableDataset.filter`."""
        return self._each(
            "filter", function, with_indices=with_indices, input_columns=input_columns,
            batched=batched, batch_size=batch_size, fn_kwargs=fn_kwargs)

    def shuffle(self, seed: int | None = None, generator: np.random.Generator | None = None,
                buffer_size: int = 1000, max_buffer_input_shards: int = 10) -> Self:
        """The rows in a random order; see `IterableDataset.shuffle`."""
        return self._each(
            "shuffle", seed=seed, generator=generator, buffer_size=buffer_size,
            max_buffer_input_shards=max_buffer_input_shards)

    def rename_column(self, original_column_name: str, new_column_name: str) -> Self:
        """With a column under another name."""
        return self._each("rename_column", original_column_name, new_column_name)

    def rename_columns(self, column_mapping: Mapping[str, str]) -> Self:
        """With columns under other names: {old: new}."""
        return self._each("rename_columns", column_mapping)

    def remove_columns(self, column_names: str | Sequence[str]) -> Self:
        """Without these columns."""
        return self._each("remove_columns", column_names)

    def select_columns(self, column_names: str | Sequence[str]) -> Self:
        """With these columns only."""
        return self._each("select_columns", column_names)

    def cast_column(self, column: str, feature: Any) -> Self:
        """With one column as another feature."""
        return self._each("cast_column", column, feature)

    def cast(self, features: Features) -> Self:
        """With the columns as these features."""
        return self._each("cast", features)

