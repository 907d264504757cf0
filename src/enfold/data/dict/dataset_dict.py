"""`DatasetDict`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

import pyarrow as pa

from enfold.data.dict.changes import Changes
from enfold.data.dict.storing import Storing
from enfold.data.features import Features


class DatasetDict(Changes, Storing):
    """Datasets by the name of their split: {"train": .., "test": ..}.

    A dict, with the methods of `Dataset`, which are applied to each.  Raises TypeError if a value
    is no `Dataset`.
    """

    @property
    def data(self) -> dict[str, pa.Table]:
        """All rows as pyarrow tables, by split."""
        return self._asked("data")

    @property
    def cache_files(self) -> dict[str, list[dict[str, str]]]:
        """The Arrow files that the columns are mapped from, by split."""
        return self._asked("cache_files")

    @property
    def num_rows(self) -> dict[str, int]:
        """The number of rows, by split."""
        return self._asked("num_rows")

    @property
    def shape(self) -> dict[str, tuple[int, int]]:
        """(rows, columns), by split."""
        return self._asked("shape")

    def unique(self, column: str) -> dict[str, list[Any]]:
        """The different values of a column, by split."""
        self._checked()
        return {str(split): dataset.unique(column) for split, dataset in self.items()}

    def cache(self) -> Self:
        """Run what is left of the plans now."""
        return self._each("cache")

    def cleanup_cache_files(self) -> dict[str, int]:
        """Remove cached results that nobody uses; returns how many, by split."""
        self._checked()
        return {str(split): dataset.cleanup_cache_files() for split, dataset in self.items()}

    # -- columns

    def flatten(self, max_depth: int = 16) -> Self:
        """With a column for each field of structs."""
        return self._each("flatten", max_depth=max_depth)

    def cast(self, features: Features) -> Self:
        """With the columns as these features."""
        return self._each("cast", features)

    def cast_column(self, column: str, feature: Any) -> Self:
        """With one column as another feature."""
        return self._each("cast_column", column, feature)

    def remove_columns(self, column_names: str | Sequence[str]) -> Self:
        """Without these columns."""
        return self._each("remove_columns", column_names)

    def rename_column(self, original_column_name: str, new_column_name: str) -> Self:
        """With a column under another name."""
        return self._each("rename_column", original_column_name, new_column_name)

    def rename_columns(self, column_mapping: Mapping[str, str]) -> Self:
        """With columns under other names: {old: new}."""
        return self._each("rename_columns", column_mapping)

    def select_columns(self, column_names: str | Sequence[str]) -> Self:
        """With these columns only, in this order."""
        return self._each("select_columns", column_names)

    def class_encode_column(self, column: str, include_nulls: bool = False) -> Self:
        """With the values of a column as labels, their names sorted."""
        return self._each("class_encode_column", column, include_nulls=include_nulls)

    def align_labels_with_mapping(self, label2id: Mapping[str, int], label_column: str) -> Self:
        """With labels numbered as a model's `label2id` has them."""
        return self._each("align_labels_with_mapping", label2id, label_column)

    # -- formats

    def set_format(self, type: str | None = None, columns: Sequence[str] | None = None,
                   output_all_columns: bool = False, **format_kwargs: Any) -> None:
        """Hand rows out in another format; see `Dataset.set_format`."""
        self._checked()
        for dataset in self.values():
            dataset.set_format(type, columns, output_all_columns, **format_kwargs)

    def reset_format(self) -> None:
        """Hand rows out as Python objects."""
        self.set_format()

    def set_transform(self, transform: Callable[..., Any] | None,
                      columns: Sequence[str] | None = None,
                      output_all_columns: bool = False) -> None:
        """Hand out what `transform(batch)` returns, computed when rows are read."""
        self.set_format("custom", columns, output_all_columns, transform=transform)

    def with_format(self, type: str | None = None, columns: Sequence[str] | None = None,
                    output_all_columns: bool = False, **format_kwargs: Any) -> Self:
        """The same data in another format."""
        return self._each("with_format", type, columns, output_all_columns, **format_kwargs)

    def with_transform(self, transform: Callable[..., Any] | None,
                       columns: Sequence[str] | None = None,
                       output_all_columns: bool = False) -> Self:
        """The same data through a transform."""
        return self._each("with_transform", transform, columns, output_all_columns)

    @contextmanager
    def formatted_as(self, type: str | None = None, columns: Sequence[str] | None = None,
                     output_all_columns: bool = False, **format_kwargs: Any) -> Iterator[None]:
        """Another format within a `with` block."""
        self._checked()
        before = {split: dataset._format for split, dataset in self.items()}
        try:
            self.set_format(type, columns, output_all_columns, **format_kwargs)
            yield
        finally:
            for split, dataset in self.items():
                dataset._show(before[split])

    # -- as a context

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to close: files are let go of with the last dataset that reads them."""
