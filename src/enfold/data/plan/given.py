"""Rows and batches as a function is given them, and what it altered in them.

`x["text"] = x["text"].lower(); return {"n": 1}` changes `text` too: what is set in a row, or
altered in place, counts as returned.  A column that comes out as it went in stays shared.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from operator import is_, itemgetter
from typing import Any

import pyarrow as pa

from enfold.data.features import Features
from enfold.data.features.arrow import needs_decoding
from enfold.data.formatting import LazyBatch, LazyRow, View
from enfold.data.formatting.pylists import to_list, to_rows
from enfold.data.plan.call import (
    Call,
    UnevenError,
    changed_columns,
    columns_of_batch,
    columns_of_rows,
    is_frame,
    is_leaf,
)
from enfold.data.plan.chunk import Chunk
from enfold.errors import FunctionError

Columns = Mapping[str, Any]


class Outcome:
    """What a call gave.  columns: returned, None for nothing; altered: set in its input;
    removed: deleted there; same: whether the input itself was returned; alone: whether the columns
    are all there is, and not added to those of the input."""

    __slots__ = ("alone", "altered", "columns", "removed", "same")

    def __init__(self, columns: Columns | None, altered: Columns, removed: set[str],
                 same: bool, alone: bool = False) -> None:
        self.columns, self.altered, self.removed, self.same = columns, altered, removed, same
        self.alone = alone


def reads(call: Call, features: Features) -> list[str] | None:
    """The columns to decode for a function of which that is known."""
    if call.reads is None or not all(name in features and not needs_decoding(features[name])
                                     for name in call.reads):
        return None
    return [name for name in features if name in call.reads]


def run_reading(call: Call, chunk: Chunk, names: list[str], start: int) -> Outcome:
    """The function on rows of the columns that it reads; it may alter lists in them in place."""
    rows = plain_rows(chunk.table(names))
    results = call.each(rows, start)
    try:
        columns = columns_of_rows(call, rows, results)
    except UnevenError:  # what it returns for some rows only may be a column that it does not read
        whole = [{**row, **read} for row, read in zip(plain_rows(chunk.table()), rows, strict=True)]
        columns = columns_of_rows(call, whole, results)
    altered = {name: [row[name] for row in rows] for name in names
               if not is_leaf(chunk.features[name])}
    return Outcome(columns, altered, set(), False, is_frame(results[0]))


def plain_rows(table: pa.Table) -> list[dict[str, Any]]:
    """Rows as dicts of Python scalars."""
    if not table.num_columns:
        return [{} for _ in range(table.num_rows)]
    columns = [to_list(table.column(number)) for number in range(table.num_columns)]
    return to_rows(tuple(table.column_names), columns)


def quick(call: Call, features: Features) -> bool:
    """Whether rows can be plain dicts: of Python scalars only, with nothing to decode."""
    return call.format.type is None and call.format.columns is None \
        and call.input_columns is None and all(map(is_leaf, features.values()))


def run_plain(call: Call, table: pa.Table, start: int) -> Outcome:
    """The function on each row, as a plain dict of scalars."""
    names = tuple(table.column_names)
    originals = [to_list(table.column(number)) for number in range(len(names))]
    rows = to_rows(names, originals)
    results = call.each(rows, start)
    same = results[0] is rows[0]
    altered, removed = _altered(call, names, originals, rows)
    if same:
        if not all(map(is_, results, rows)):
            columns = columns_of_rows(call, rows, results)
            return Outcome({name: values for name, values in (columns or {}).items()
                            if name not in names or name in altered}, altered, removed, same)
        return Outcome({}, altered, removed, same)
    return Outcome(columns_of_rows(call, rows, results), altered, removed, same,
                   is_frame(results[0]))


def run_rows(call: Call, view: View, table: pa.Table, start: int) -> Outcome:
    """The function on each row, as a lazy row."""
    decoded = any(map(needs_decoding, (view.features or {}).values()))
    plain = call.format.type is None and call.format.columns is None
    rows = view.map_rows(table) if decoded or not plain else _lazy_rows(table)
    results = call.each(rows, start)
    alone = view.is_table or is_frame(results[0])
    if not isinstance(rows[0], LazyRow) or call.input_columns is not None:
        return Outcome(columns_of_rows(call, rows, results), {}, set(), False, alone)
    altered, removed = _altered_lazily(call, table.column_names, rows)
    same = results[0] is rows[0]
    if same and all(map(is_, results, rows)):
        return Outcome({}, altered, removed, same)
    return Outcome(columns_of_rows(call, rows, results), altered, removed, same, alone)


def run_batch(call: Call, view: View, table: pa.Table, start: int) -> Outcome:
    """The function on the batch."""
    batch, result = call.on_batch(view, table, start)
    alone = view.is_table or is_frame(result)
    if not isinstance(batch, LazyBatch) or call.input_columns is not None:
        return Outcome(columns_of_batch(call, batch, result), {}, set(), False, alone)
    features: Any = view.features or {}
    altered = {name: values for name, values in changed_columns(batch).items()
               if not (name in features and is_leaf(features[name]) and batch.untouched(name))}
    removed = set(table.column_names) - set(batch.data)
    same = result is batch
    columns = {} if same else columns_of_batch(call, batch, result)
    return Outcome(columns, altered, removed, same, alone)


def _lazy_rows(table: pa.Table) -> list[LazyRow]:
    """Rows that note what is looked at in them; a column is decoded once for all of them."""
    names = table.column_names
    decoded: dict[str, list[Any]] = {}

    def value(number: int, name: str) -> Any:
        if name not in decoded:
            decoded[name] = to_list(table.column(name))
        return decoded[name][number]

    return [LazyRow(dict.fromkeys(names), names, partial(value, number))
            for number in range(table.num_rows)]


def _altered(call: Call, names: tuple[str, ...], originals: list[list[Any]],
             rows: list[dict[str, Any]]) -> tuple[dict[str, Any], set[str]]:
    """Columns whose values in the rows are no longer the original objects, and those deleted."""
    altered: dict[str, Any] = {}
    removed = set()
    for name, values in zip(names, originals, strict=True):
        try:
            found = map(itemgetter(name), rows)
            if not all(map(is_, found, values)):
                altered[name] = [row[name] for row in rows]
        except KeyError:
            removed.add(_gone(call, name, rows))
    if any(len(row) != len(names) - len(removed) for row in rows):
        for name in rows[0].keys() - set(names):
            altered[name] = _values(call, name, rows)
    return altered, removed


def _altered_lazily(call: Call, names: list[str],
                    rows: list[Any]) -> tuple[dict[str, Any], set[str]]:
    touched: dict[str, None] = {}
    for row in rows:
        touched.update(dict.fromkeys(name for name in row.data if name not in row.keys_to_format))
    altered = {name: _values(call, name, rows) for name in touched}
    removed = {_gone(call, name, [row.data for row in rows]) for name in names
               if any(name not in row.data for row in rows)}
    return altered, removed


def _values(call: Call, name: str, rows: list[Any]) -> list[Any]:
    try:
        return [row[name] for row in rows]
    except KeyError:
        raise FunctionError(f"{call.what}: {call.name} sets the column {name!r} in some rows and "
                            "not in others. Expected it in every row") from None


def _gone(call: Call, name: str, rows: list[Any]) -> str:
    if any(name in row for row in rows):
        raise FunctionError(f"{call.what}: {call.name} deletes the column {name!r} of some rows "
                            "and not of others. Expected the same columns for every row")
    return name
