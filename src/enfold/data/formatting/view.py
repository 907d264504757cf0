"""`View`: the rows of a dataset in the format that was set on it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from enfold.data.features import Features
from enfold.data.formatting.extract import row_by_row
from enfold.data.formatting.formatter import (
    CustomFormatter,
    FormatError,
    Formatter,
    PythonFormatter,
    Table,
    TableFormatter,
)
from enfold.data.formatting.lazydicts import LazyBatch
from enfold.data.formatting.registry import get_format_type_from_alias, get_formatter
from enfold.data.formatting.tensors import TensorFormatter

_AT_ONCE = 1 << 20  # bytes: what is made of them is then still in the processor's cache


class View:
    """How tables of a dataset are shown.

    type: a format or an alias of one ("torch", "np", ..), None for Python's types.
    columns: those to show, None for all.  output_all_columns: the others too, in Python's types.
    format_kwargs: what the format takes (dtype=.., transform=..).

    Every method takes an Arrow table of exactly the rows wanted with all columns of the dataset.
    """

    def __init__(self, features: Features | None = None, type: str | None = None,
                 columns: list[str] | None = None, output_all_columns: bool = False,
                 format_kwargs: dict[str, Any] | None = None) -> None:
        self.features = features
        self.type = get_format_type_from_alias(type)
        self.columns = columns
        self.output_all_columns = output_all_columns
        self.format_kwargs = dict(format_kwargs or {})
        self.formatter: Formatter = get_formatter(self.type, features=features,
                                                  **self.format_kwargs)
        tokens = self.formatter.token_per_repo_id
        self._python = PythonFormatter(features, token_per_repo_id=tokens)

    def row(self, table: Table) -> Any:
        """The row of a table of one."""
        if self.columns is None:
            return self.formatter.format_row(table)
        row = self.formatter.format_row(self._shown(table))
        return self._with_others(row, table, self._python.format_row)

    def rows(self, table: Table) -> list[Any]:
        """All rows, each as `row` gives it; a thousand at once are made at little more cost."""
        if self.columns is None:
            return self.formatter.format_rows(table)
        rows = self.formatter.format_rows(self._shown(table))
        return self._all_with_others(rows, table)

    def iterate(self, table: Table) -> Iterator[Any]:
        """The rows one after the other, as many made at once as fit in a few megabytes."""
        count = table.num_rows
        size = max(1, min(1000, _AT_ONCE * count // max(table.nbytes, 1)))
        for start in range(0, count, size):
            yield from self.rows(table.slice(start, size))

    def batch(self, table: Table) -> Any:
        """The rows as one batch: a dict of columns, a data frame or a table."""
        if self.columns is None:
            return self.formatter.format_batch(table)
        batch = self.formatter.format_batch(self._shown(table))
        return self._with_others(batch, table, self._python.format_batch)

    def split(self, table: Table) -> list[Any]:
        """The rows of the batch (`__getitems__`): a null makes floats of a column of integers."""
        shown = self._shown(table)
        if isinstance(self.formatter, TensorFormatter):
            shown = row_by_row(shown)
        rows = self.formatter.split(self.formatter.format_batch(shown))
        return self._all_with_others(rows, table)

    def column(self, table: Table, name: str) -> Any:
        """One column: a list, a tensor, a Series or an Arrow array."""
        shown = self.columns is None or name in self.columns
        formatter = self.formatter if shown else self._python
        return formatter.format_column(table.select([name]))

    def map_rows(self, table: Table) -> list[Any]:
        """The rows for a function of `map`: with `LazyRow`s where a column is costly to decode."""
        if self.type is None and self.columns is None:
            return self._python.lazy_rows(table)
        return self.rows(table)

    def map_batch(self, table: Table) -> Any:
        """The batch for a function of `map`: in Python's types, decoded column by column."""
        if self.type is not None or self.columns is not None:
            return self.batch(table)
        names = table.column_names
        return LazyBatch(dict.fromkeys(names), names, lambda name: self.column(table, name))

    @property
    def is_table(self) -> bool:
        """Whether rows and batches are Arrow tables or data frames."""
        return isinstance(self.formatter, TableFormatter)

    @property
    def is_custom(self) -> bool:
        """Whether a function of the user's makes the rows; it may need all columns."""
        return isinstance(self.formatter, CustomFormatter)

    def _shown(self, table: Table) -> Table:
        if self.columns is None:
            return table
        return table.select([name for name in table.column_names if name in self.columns])

    def _others(self, table: Table) -> Table:
        columns = self.columns or ()
        return table.select([name for name in table.column_names if name not in columns])

    def _with_others(self, shown: Any, table: Table, format_rest: Any) -> Any:
        if self.columns is None or not self.output_all_columns:
            return shown
        if not isinstance(shown, MutableMapping):
            raise FormatError("output_all_columns=True adds columns to a dict, and the format "
                              f"{self.type!r} gives a {type(shown).__name__}. Expected a format "
                              "with dicts, or a transform that returns one")
        shown.update(format_rest(self._others(table)))
        return shown

    def _all_with_others(self, rows: list[Any], table: Table) -> list[Any]:
        if self.columns is None or not self.output_all_columns:
            return rows
        others = self._python.format_rows(self._others(table))
        return [self._with_others(row, table, lambda _, rest=rest: rest)
                for row, rest in zip(rows, others, strict=True)]
