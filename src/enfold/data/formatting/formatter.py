"""`Formatter`: what a row, a column and a batch of a table look like; in Python's own types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import pyarrow as pa

from enfold.data.features import Features
from enfold.data.features.encode import decode
from enfold.data.features.errors import shown
from enfold.data.formatting.lazydicts import LazyBatch, LazyRow
from enfold.data.formatting.pylists import Rows, to_list, to_rows
from enfold.errors import DataError

Table: TypeAlias = pa.Table | pa.RecordBatch
Tokens: TypeAlias = Mapping[str, str | bool | None] | None


class FormatError(DataError, TypeError):
    """Values that a format has no form for."""


class Formatter:
    """A format of one's own: a subclass with `format_row`, `format_column` and `format_batch`.

    Each takes an Arrow table of exactly the rows and columns that are wanted (`format_row`: one
    row, `format_column`: one column).  `features` says what is in the columns, where it is known.
    """

    def __init__(self, features: Features | None = None, token_per_repo_id: Tokens = None,
                 **kwargs: Any) -> None:
        self.features = features
        self.token_per_repo_id = token_per_repo_id

    def __call__(self, pa_table: Table, query_type: str) -> Any:
        """What is asked for by the name of its kind: "row", "column" or "batch"."""
        formats = {"row": self.format_row, "column": self.format_column,
                   "batch": self.format_batch}
        return formats[query_type](pa_table)

    def format_row(self, pa_table: Table) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.format_row is to be written")

    def format_column(self, pa_table: Table) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.format_column is to be written")

    def format_batch(self, pa_table: Table) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.format_batch is to be written")

    def format_rows(self, pa_table: Table) -> list[Any]:
        """Every row, as `format_row` of it alone gives it."""
        return [self.format_row(pa_table.slice(index, 1)) for index in range(pa_table.num_rows)]

    def split(self, batch: Any) -> list[Any]:
        """The rows of what `format_batch` returned."""
        return to_rows(tuple(batch), batch.values())

    def decoder(self, name: str) -> Callable[[Any], Any] | None:
        """What decodes a stored value of a column (image, audio, ..); None where nothing does."""
        if not self.features or not self.features._column_requires_decoding.get(name):
            return None
        feature, tokens = self.features[name], self.token_per_repo_id
        return lambda value: decode(feature, value, tokens)


class TableFormatter(Formatter):
    """Rows and batches are tables or data frames."""

    table_type: str
    column_type: str


class FrameFormatter(TableFormatter):
    """Rows and batches are data frames, whose columns are taken by name."""

    def format_row(self, pa_table: Table) -> Any:
        return self.format_batch(pa_table.slice(0, 1))

    def format_column(self, pa_table: Table) -> Any:
        name = pa_table.column_names[0]
        return self.format_batch(pa_table.select([name]))[name]


class ArrowFormatter(TableFormatter):
    """pyarrow Tables; a column is a ChunkedArray."""

    table_type = "arrow table"
    column_type = "arrow array"

    def format_row(self, pa_table: Table) -> Table:
        return pa_table

    def format_column(self, pa_table: Table) -> pa.ChunkedArray:
        return pa_table.column(0)

    def format_batch(self, pa_table: Table) -> Table:
        return pa_table

    def split(self, batch: Table) -> list[Table]:
        return self.format_rows(batch)


class PythonFormatter(Formatter):
    """Dicts and lists.  lazy: rows and batches decode a column when it is looked at."""

    def __init__(self, features: Features | None = None, lazy: bool = False,
                 token_per_repo_id: Tokens = None) -> None:
        super().__init__(features, token_per_repo_id)
        self.lazy = lazy

    def format_row(self, pa_table: Table) -> Mapping[str, Any]:
        if self.lazy:
            return LazyRow(*self._unread(pa_table), lambda name: self._values(pa_table, name)[0])
        names = pa_table.column_names
        row = {name: to_list(column)[0]
               for name, column in zip(names, pa_table.columns, strict=True)}
        for name, decode_value in self._decoders(names).items():
            row[name] = decode_value(row[name])
        return row

    def format_column(self, pa_table: Table) -> list[Any]:
        return self._values(pa_table, pa_table.column_names[0])

    def format_batch(self, pa_table: Table) -> Mapping[str, list[Any]]:
        if self.lazy:
            return LazyBatch(*self._unread(pa_table), lambda name: self._values(pa_table, name))
        return {name: self._values(pa_table, name) for name in pa_table.column_names}

    def format_rows(self, pa_table: Table) -> Rows:
        if not pa_table.num_columns:
            return [{} for _ in range(pa_table.num_rows)]
        return self.split({name: self._values(pa_table, name) for name in pa_table.column_names})

    def lazy_rows(self, pa_table: Table) -> list[Any]:
        """Plain dicts; where a column needs decoding, `LazyRow`s that decode it when read."""
        names = pa_table.column_names
        decoders = self._decoders(names)
        rows = to_rows(tuple(names), map(to_list, pa_table.columns))
        return [_lazy_row(row, decoders) for row in rows] if decoders else rows

    def _decoders(self, names: list[str]) -> dict[str, Callable[[Any], Any]]:
        if not self.features:
            return {}
        needed = self.features._column_requires_decoding
        found = {name: self.decoder(name) for name in names if needed.get(name)}
        return {name: decode_value for name, decode_value in found.items() if decode_value}

    def _values(self, pa_table: Table, name: str) -> list[Any]:
        values, decode_value = to_list(pa_table.column(name)), self.decoder(name)
        return [decode_value(value) for value in values] if decode_value else values

    def _unread(self, pa_table: Table) -> tuple[dict[str, Any], list[str]]:
        names = pa_table.column_names
        return dict.fromkeys(names), names


def _lazy_row(row: dict[str, Any], decoders: dict[str, Callable[[Any], Any]]) -> LazyRow:
    stored = {name: row[name] for name in decoders}
    return LazyRow({**row, **dict.fromkeys(decoders)}, decoders,
                   lambda name: decoders[name](stored[name]))


class CustomFormatter(Formatter):
    """What a function of the user's makes of each batch (`with_transform`).

    transform: from a dict of lists to a dict of sequences of as many items.  A row is that of a
    batch of one.
    """

    def __init__(self, transform: Callable[[Any], Any], features: Features | None = None,
                 token_per_repo_id: Tokens = None, **kwargs: Any) -> None:
        super().__init__(features, token_per_repo_id)
        self.transform = transform
        self._python = PythonFormatter(features, token_per_repo_id=token_per_repo_id)

    def format_row(self, pa_table: Table) -> dict[str, Any]:
        batch = self.format_batch(pa_table)
        try:
            return {name: values[0] for name, values in batch.items()}
        except Exception as error:
            raise FormatError("with_transform: a row can't be picked from what the function "
                              f"returned: {shown(batch)}. Expected a dict of sequences with an "
                              "item per row") from error

    def format_column(self, pa_table: Table) -> Any:
        batch, name = self.format_batch(pa_table), pa_table.column_names[0]
        if not isinstance(batch, Mapping) or list(batch) != [name]:
            raise FormatError(f"with_transform: the column {name!r} can't be picked from what the "
                              f"function returned: {shown(batch)}. Expected a dict with that one "
                              "column")
        return batch[name]

    def format_batch(self, pa_table: Table) -> Any:
        return self.transform(self._python.format_batch(pa_table))
