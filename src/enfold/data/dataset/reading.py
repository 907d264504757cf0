"""Rows, batches and columns of a dataset, in the format that is set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self, overload

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from enfold.data.dataset.base import Base
from enfold.data.dataset.quickrows import QuickRows
from enfold.data.formatting import Column, View, get_format_type_from_alias, row_numbers
from enfold.data.formatting.loaders import send_by_value
from enfold.data.formatting.registry import get_formatter
from enfold.data.plan import Format

_BLOCK = 1000  # rows decoded at once
_GATHERED = 10_000  # and where they are behind row numbers
_BYTES = 32 << 20  # but no more than this


class Reading(Base):
    """What reads a dataset."""

    @overload
    def __getitem__(self, key: int | slice | Iterable[int]) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, key: str) -> Sequence[Any]: ...

    def __getitem__(self, key: Any) -> Any:
        """A row of an int, a batch of a slice or of row numbers, a `Column` of a name."""
        if isinstance(key, (int, np.integer)) and not isinstance(key, bool):
            quick = self._state().quick
            if quick is not None:
                return quick.row(int(key))
            return self._row(int(key))
        if isinstance(key, str):
            if self._format.type in ("arrow", "pandas", "polars"):
                return self._column(key)
            return Column(self, key)
        return self._view_now().batch(self._table(key))

    def __getitems__(self, keys: Sequence[int]) -> list[Any]:
        """The rows of these numbers; what a torch loader asks for."""
        send_by_value()
        return self._view_now().split(self._table(keys))

    def __iter__(self) -> Iterator[Any]:
        """The rows, decoded a thousand at once."""
        view = self._view_now()
        for table in self._blocks():
            yield from view.iterate(table)

    def iter(self, batch_size: int, drop_last_batch: bool = False) -> Iterator[Any]:
        """Batches of `batch_size` rows."""
        view, frame = self._view_now(), self._frame
        for table in frame.batches(batch_size):
            if table.num_rows == batch_size or not drop_last_batch:
                yield view.batch(table)

    def to_dict(self, batch_size: int | None = None, batched: bool = False) -> Any:
        """All rows as a dict of lists; batched: an iterator of dicts of `batch_size` rows."""
        plain = self.with_format(None)
        if batched:
            return plain.iter(batch_size or _BLOCK)
        return plain[:]

    def to_list(self) -> list[Any]:
        """All rows as a list of dicts."""
        return list(self.with_format(None))

    def unique(self, column: str) -> list[Any]:
        """The different values of a column."""
        self._known(column, "unique")
        view = self.with_format(None)._view_now()
        values, stored = self._frame.column(column).unique(), self._frame.columns[column]
        if stored.rows is not None and len(stored.rows) == len(stored.data):
            found = stored.data.unique()  # of all rows, shuffled: in the order of the data
            values = found.filter(pc.is_in(found, values))
        return view.column(pa.table({column: values}), column)  # type: ignore[no-any-return]

    # -- formats

    @property
    def format(self) -> dict[str, Any]:
        """type, format_kwargs, columns and output_all_columns."""
        shown = self._format
        columns = self.column_names if shown.columns is None else list(shown.columns)
        return {"type": shown.type, "format_kwargs": dict(shown.kwargs), "columns": columns,
                "output_all_columns": shown.output_all_columns}

    def set_format(self, type: str | None = None, columns: Sequence[str] | None = None,
                   output_all_columns: bool = False, **format_kwargs: Any) -> None:
        """Hand rows out as numpy, torch, pandas, polars, arrow, jax or tensorflow objects.

        columns: only these; output_all_columns: the others too, as Python objects.
        """
        format_kwargs.update(format_kwargs.pop("format_kwargs", {}))
        name = get_format_type_from_alias(type)
        features = self._node.features
        get_formatter(name, features=features, **format_kwargs)  # raises for what is wrong
        if isinstance(columns, str):
            columns = [columns]
        if columns is not None:
            self._known(columns, "set_format")
        chosen = tuple(columns) if columns is not None else None
        self._format, self._view = Format(name, chosen, output_all_columns, format_kwargs), None

    def reset_format(self) -> None:
        """Hand rows out as Python objects."""
        self.set_format()

    def with_format(self, type: str | None = None, columns: Sequence[str] | None = None,
                    output_all_columns: bool = False, **format_kwargs: Any) -> Self:
        """The same data in another format; see `set_format`."""
        other = self._copy()
        other.set_format(type, columns, output_all_columns, **format_kwargs)
        return other

    def set_transform(self, transform: Callable[..., Any] | None,
                      columns: Sequence[str] | None = None,
                      output_all_columns: bool = False) -> None:
        """Hand out what `transform(batch)` returns, computed when rows are read."""
        self.set_format("custom", columns, output_all_columns, transform=transform)

    def with_transform(self, transform: Callable[..., Any] | None,
                       columns: Sequence[str] | None = None,
                       output_all_columns: bool = False) -> Self:
        """The same data through a transform; see `set_transform`."""
        other = self._copy()
        other.set_transform(transform, columns, output_all_columns)
        return other

    @contextmanager
    def formatted_as(self, type: str | None = None, columns: Sequence[str] | None = None,
                     output_all_columns: bool = False, **format_kwargs: Any) -> Iterator[None]:
        """Another format within a `with` block."""
        before = self._format
        try:
            self.set_format(type, columns, output_all_columns, **format_kwargs)
            yield
        finally:
            self._show(before)

    def _show(self, shown: Format) -> None:
        """Hand rows out in a format that was set before."""
        self._format, self._view = shown, None

    # -- how

    def _state(self) -> _Readers:
        """What reads rows, kept while the plan and the format stay."""
        if self._view is None or self._view[0] is not self._format:
            frame = self._frame
            view = self._format.view(self._node.features)
            quick = QuickRows.of(frame, self._node.features) if self._format == Format() else None
            self._view = (self._format, _Readers(view, quick))
        return self._view[1]

    def _view_now(self) -> View:
        return self._state().view

    def _row(self, index: int) -> Any:
        count = self.num_rows
        if not -count <= index < count:
            raise IndexError(f"Invalid key: {index} is out of bounds for size {count}")
        index %= count
        return self._view_now().row(self._frame.slice(index, index + 1))

    def _table(self, key: Any) -> pa.Table:
        """The rows of a slice or of row numbers."""
        frame = self._frame
        rows = _stretch(key, frame.num_rows) if isinstance(key, list) else None
        if rows is None:
            rows = row_numbers(key, frame.num_rows)
        if isinstance(rows, range) and rows.step == 1:
            return frame.slice(rows.start, rows.stop)
        return frame.take(np.asarray(rows, dtype=np.int64))

    def _blocks(self) -> Iterator[pa.Table]:
        """All rows in tables of a size that is good to decode."""
        frame = self._frame
        per_row = max(1, frame.nbytes // max(1, frame.num_rows))
        if any(self._node.features._column_requires_decoding.values()):
            yield from frame.batches(1)
            return
        wanted = _BLOCK if frame.contiguous else _GATHERED
        for table in frame.batches(max(1, min(wanted, _BYTES // per_row))):
            if table.num_rows <= _BLOCK:
                yield table
            else:
                yield from (table.slice(start, _BLOCK)
                            for start in range(0, table.num_rows, _BLOCK))

    def _column(self, name: str) -> Any:
        self._known(name, "dataset")
        return self._view_now().column(self._frame.table([name]), name)

    def _fast_select_column(self, column_name: str) -> Self:
        """The dataset with one column, sharing this one's data."""
        return self.select_columns([column_name])  # type: ignore[attr-defined,no-any-return]

    def _getitem(self, key: Any, **kwargs: Any) -> Any:
        return self.with_format(**kwargs)[key] if kwargs else self[key]


def _stretch(numbers: list[Any], count: int) -> range | np.ndarray | None:
    """A list of row numbers, as a range where they follow each other; None if it is odd."""
    rows = np.asarray(numbers)
    if rows.dtype.kind != "i" or rows.ndim != 1 or rows.min() < 0 or rows.max() >= count:
        return None
    first, last = int(rows[0]), int(rows[-1])
    if last - first == len(rows) - 1 and (rows[1:] - rows[:-1] == 1).all():
        return range(first, last + 1)
    return rows


class _Readers:
    """How rows are read in a format."""

    __slots__ = ("quick", "view")

    def __init__(self, view: View, quick: QuickRows | None) -> None:
        self.view, self.quick = view, quick
