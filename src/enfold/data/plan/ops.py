"""The steps: a function mapped over rows, a filter, a change of columns."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.executor.faults import unpicklable
from enfold.data.features import Features, cast_array
from enfold.data.fingerprint import dumps, loads
from enfold.data.formatting import View
from enfold.data.plan.call import Call
from enfold.data.plan.chunk import Chunk, Result
from enfold.data.plan.given import (
    plain_rows,
    quick,
    reads,
)
from enfold.errors import FunctionError

ROWS = 1000  # decoded at once for a function of one row


class UserOp:
    """A step that calls a function of the user."""

    free = False

    def __init__(self, call: Call, size: int | None, drop_last: bool = False) -> None:
        self.call, self.drop_last = call, drop_last
        self.size = size if call.batched else ROWS
        self._views: tuple[Features, View] | None = None

    def view(self, features: Features) -> View:
        """What the function is given rows through."""
        if self._views is None or self._views[0] is not features:
            self._views = (features, self.call.view(features))
        return self._views[1]

    def noted(self, error: BaseException, start: int, chunk: Chunk) -> None:
        """Say in an error where it happened."""
        rows = f"rows {start} to {start + chunk.num_rows - 1}" if chunk.num_rows > 1 else \
            f"row {start}"
        error.add_note(f"(while {self.call.what}() ran {self.call.name} on {rows})")


class FilterOp(UserOp):
    """`filter` by a function that says of each row, or of the rows of a batch, what stays."""

    def apply(self, chunk: Chunk, start: int) -> Result:
        """The rows that stay."""
        try:
            mask = self._mask(chunk, start)
        except Exception as error:
            self.noted(error, start, chunk)
            raise
        return kept(chunk, mask)

    def _mask(self, chunk: Chunk, start: int) -> np.ndarray:
        call = self.call
        if not call.batched:
            names = reads(call, chunk.features)
            if names is not None or quick(call, chunk.features):
                rows = plain_rows(chunk.table(names))
            else:
                rows = self.view(chunk.features).map_rows(chunk.table())
            return np.fromiter(map(bool, call.each(rows, start)), dtype=bool, count=len(rows))
        _, result = call.on_batch(self.view(chunk.features), chunk.table(), start)
        if isinstance(result, (pa.Array, pa.ChunkedArray)):
            result = result.to_pylist()
        mask = np.fromiter(map(bool, result), dtype=bool) if hasattr(result, "__iter__") else None
        if mask is None or len(mask) != chunk.num_rows:
            what = type(result).__name__ if mask is None else f"{len(mask)} values"
            raise FunctionError(f"filter: {call.name} returned {what} for a batch of "
                                f"{chunk.num_rows} rows. Expected a list with True or False for "
                                "each of them")
        return mask


class ExpressionOp:
    """`filter` by a pyarrow expression: `pc.field("n") > 100`."""

    free, drop_last, size = False, False, 1 << 16

    def __init__(self, expression: Any) -> None:
        self.expression = expression
        self._named: list[str] | None = None

    def apply(self, chunk: Chunk, start: int) -> Result:
        """The rows for which the expression is true."""
        if self._named is None:
            self._named = self._columns(chunk.features.arrow_schema)
        found = self._masks(chunk.table(self._named)).column("mask")
        return kept(chunk, found.fill_null(False).to_numpy())

    def _masks(self, table: pa.Table) -> pa.Table:
        from pyarrow import dataset

        return dataset.dataset(table).to_table(columns={"mask": self.expression})

    def _columns(self, schema: pa.Schema) -> list[str]:
        """The columns that it names, which pyarrow tells by an error where they are missing."""
        nothing, named = schema.empty_table(), []
        for name in schema.names:
            try:
                self._masks(nothing.drop_columns([name]))
            except pa.ArrowInvalid:
                named.append(name)
        return named or schema.names[:1]  # one that tells how many rows there are


class ColumnsOp:
    """Columns picked, renamed, cast.  columns: new name -> (name in the input, feature or None)."""

    drop_last, size = False, 1 << 12  # of pictures more would not fit into memory

    def __init__(self, columns: Mapping[str, tuple[str, Any]], features: Features) -> None:
        self.columns, self.features = columns, features
        same = {name: feature for name, (_, feature) in columns.items() if feature is not None}
        self.free = not same

    def apply(self, chunk: Chunk, start: int) -> Result:
        """The rows with these columns."""
        columns: dict[str, Any] = {}
        for name, (source, feature) in self.columns.items():
            columns[name] = source if feature is None else \
                cast_array(chunk.column(source), feature, column=source)
        return Result(chunk.num_rows, chunk.num_rows, columns, self.features)


def bare(op: Any) -> Any:
    """A step without what can be made again, to be sent to another process."""
    op = copy(op)
    if isinstance(op, UserOp):
        op._views, op.call = None, replace(op.call)
    return op


def copied(op: Any) -> Any:
    """A step with a function of its own, which changes nothing of the original's."""
    op = bare(op)
    try:
        return loads(dumps(op))
    except Exception as error:
        raise unpicklable(op, error) from error


def kept(chunk: Chunk, mask: np.ndarray) -> Result:
    """The rows of a chunk where the mask is true."""
    names = {name: name for name in chunk.columns}
    if mask.all():
        return Result(chunk.num_rows, chunk.num_rows, names, chunk.features)
    keep = np.flatnonzero(mask)
    return Result(chunk.num_rows, len(keep), names, chunk.features, keep)
