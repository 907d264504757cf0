"""How a function of the user is called, with what, and what may come back."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.features import Features
from enfold.data.features.value import Value
from enfold.data.fingerprint import freeze
from enfold.data.formatting import LazyBatch, LazyRow, View
from enfold.data.plan.touch import columns_read
from enfold.errors import FunctionError


@dataclass(frozen=True)
class Format:
    """What rows are handed out as: `set_format`'s arguments."""

    type: str | None = None
    columns: tuple[str, ...] | None = None
    output_all_columns: bool = False
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def view(self, features: Features, columns: Sequence[str] | None = None) -> View:
        """Reads tables of these features."""
        chosen = columns if columns is not None else self.columns
        return View(features, self.type, list(chosen) if chosen is not None else None,
                    self.output_all_columns and columns is None, dict(self.kwargs))


@dataclass(frozen=True)
class Call:
    """A function and how it wants to be called."""

    function: Callable[..., Any]
    what: str = "map"
    batched: bool = False
    with_indices: bool = False
    with_rank: bool = False
    rank: int | None = None
    input_columns: tuple[str, ...] | None = None
    fn_kwargs: Mapping[str, Any] = field(default_factory=dict)
    format: Format = Format()

    @property
    def name(self) -> str:
        """What the function is called in messages."""
        function = self.function.func if isinstance(self.function, partial) else self.function
        return getattr(function, "__qualname__", type(function).__name__).rsplit(".", 1)[-1]

    @cached_property
    def is_async(self) -> bool:
        """Whether it is a coroutine function."""
        function: Any = self.function
        while isinstance(function, partial):
            function = function.func
        return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None))  # noqa: B004 - of an object that can be called

    @cached_property
    def reads(self) -> frozenset[str] | None:
        """The columns that it reads of a row, and it does nothing else with it; None: not known."""
        plain = self.format.type is None and self.format.columns is None \
            and self.input_columns is None and not self.batched
        return columns_read(self.function) if plain else None

    def frozen(self) -> Call:
        """With the function as it is now."""
        return replace(self, function=freeze(self.function))

    def view(self, features: Features) -> View:
        """What the function is given rows through."""
        return self.format.view(features, self.input_columns)

    def on_batch(self, view: View, table: pa.Table, start: int) -> tuple[Any, Any]:
        """(the batch it was given, what it returned)."""
        indices = list(range(start, start + table.num_rows))
        batch = view.map_batch(table)
        positional = [batch] if self.input_columns is None else \
            [batch[name] for name in self.input_columns]
        result = self.function(*positional, *self._extra(indices), **self.fn_kwargs)
        return batch, _awaited([result])[0] if self.is_async else result

    def each(self, rows: Sequence[Any], start: int) -> list[Any]:
        """What it returns for each row; `start` is the number of the first."""
        function = self.function
        if self.input_columns is None and not self.fn_kwargs and not self.with_rank:
            if self.with_indices:
                results = list(map(function, rows, range(start, start + len(rows))))
            else:
                results = list(map(function, rows))
        else:
            results = [function(*self._row(row), *self._extra(start + number), **self.fn_kwargs)
                       for number, row in enumerate(rows)]
        return _awaited(results) if self.is_async else results

    def _row(self, row: Any) -> list[Any]:
        return [row] if self.input_columns is None else [row[name] for name in self.input_columns]

    def _extra(self, indices: Any) -> list[Any]:
        extra = [indices] if self.with_indices else []
        return [*extra, self.rank] if self.with_rank else extra


class UnevenError(FunctionError):
    """Not the same columns returned for every row."""


class _RowsError(FunctionError, ValueError):
    """A table of several rows returned for one."""


def columns_of_rows(call: Call, rows: list[Any], results: list[Any]) -> Mapping[str, Any] | None:
    """What a function returned row by row, by column; None where it returned nothing."""
    kinds = set(map(type, results))
    if kinds == {dict}:
        return _by_column(call, rows, results)
    if kinds == {type(None)}:
        return None
    if type(None) in kinds:
        number = next(i for i, result in enumerate(results) if result is None)
        raise FunctionError(f"{call.what}: {call.name} returned None for row {number} of a batch "
                            "and a dict for others. Expected a dict for each row, or None for all")
    if all(map(is_frame, results)):
        tables = [table_from(result) for result in results]
        wrong = next((i for i, table in enumerate(tables) if len(table) != 1), None)
        if wrong is not None:
            raise _RowsError(f"{call.what}: {call.name} returned a table of {len(tables[wrong])} "
                             f"rows for row {wrong} of a batch. Expected one of a single row. Do: "
                             "batched=True")
        return _below(tables)
    if not all(isinstance(result, Mapping) for result in results):
        odd = next(result for result in results if not isinstance(result, Mapping))
        raise bad_return(call, odd)
    return _by_column(call, rows, list(map(_plain_row, results)))


def columns_of_batch(call: Call, batch: Any, result: Any) -> Mapping[str, Any] | None:
    """What a function returned for a batch, by column; None where it returned nothing."""
    if result is None:
        return None
    if is_frame(result):
        table = table_from(result)
        return {name: table.column(number) for number, name in enumerate(table.column_names)}
    if not isinstance(result, Mapping):
        raise bad_return(call, result)
    if isinstance(result, LazyBatch):
        return changed_columns(result)
    for name, values in result.items():
        if not _is_column(values):
            raise FunctionError(
                f"{call.what}: {call.name} returned {type(values).__name__} {_short(values)} as "
                f"column {name!r}. Expected a list, an array or a tensor with a value per row, as "
                "batched=True asks for. Do: return {" + f"{name!r}: [..]" + "}")
    return result


def changed_columns(lazy: Any) -> Mapping[str, Any]:
    """The columns that were read or set in a lazy row or batch."""
    return {name: value for name, value in lazy.data.items() if name not in lazy.keys_to_format}


def is_frame(value: Any) -> bool:
    """Whether it is a table of pyarrow, pandas or polars."""
    if isinstance(value, (pa.Table, pa.RecordBatch)):
        return True
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    return bool((pandas is not None and isinstance(value, pandas.DataFrame))
                or (polars is not None and isinstance(value, polars.DataFrame)))


def table_from(value: Any) -> pa.Table:
    """A pyarrow table of a frame."""
    if isinstance(value, pa.Table):
        return value
    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    if type(value).__module__.startswith("polars"):
        return value.to_arrow()
    return pa.Table.from_pandas(value, preserve_index=False).replace_schema_metadata(None)


def bad_return(call: Call, value: Any) -> FunctionError:
    """The error for a return value of a kind that can't be stored."""
    columns = "a list per column" if call.batched else "a value per column"
    return FunctionError(
        f"{call.what}: {call.name} returned {type(value).__name__} {_short(value)}. Expected a "
        f"dict with {columns}, a pyarrow, pandas or polars table, or None to change nothing")


def is_leaf(feature: Any) -> bool:
    """Whether values of the feature are scalars that nobody can alter in place."""
    return isinstance(feature, Value)


def _by_column(call: Call, rows: Sequence[Any],
               results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    first = results[0]
    try:
        columns = {name: [result[name] for result in results] for name in first}
    except KeyError:
        columns = None
    if columns is None or set(map(len, results)) != {len(first)}:
        return _filled(call, rows, results)
    return columns


def _filled(call: Call, rows: Sequence[Any],
            results: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Columns of rows that differ in them: what is not returned is as it is in the input."""
    names = list(dict.fromkeys(name for result in results for name in result))
    filled = [{**{name: row[name] for name in names if name not in result and
                  isinstance(row, Mapping) and name in row}, **result}
              for row, result in zip(rows, results, strict=True)]
    if any(len(row) != len(names) for row in filled):
        number, odd = next((i, result) for i, result in enumerate(results)
                           if result.keys() != results[0].keys())
        raise UnevenError(
            f"{call.what}: {call.name} returned the columns {list(odd)} for row {number} of a "
            f"batch and {list(results[0])} for its first row. Expected the same columns for every "
            "row. Do: return None for a value that is missing")
    return {name: [row[name] for row in filled] for name in names}


def _plain_row(result: Any) -> Mapping[str, Any]:
    return changed_columns(result) if isinstance(result, LazyRow) else result


def _below(tables: list[pa.Table]) -> Mapping[str, Any]:
    whole = pa.concat_tables(tables, promote_options="permissive")
    return {name: whole.column(number) for number, name in enumerate(whole.column_names)}


def _is_column(values: Any) -> bool:
    return isinstance(values, (list, tuple, np.ndarray, pa.Array, pa.ChunkedArray)) or (
        hasattr(values, "__len__") and hasattr(values, "__getitem__")
        and not isinstance(values, (str, bytes, Mapping)))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _awaited(coroutines: list[Any]) -> list[Any]:
    """The results of coroutines that run at the same time, also within a running event loop."""
    import asyncio  # which takes 20 ms
    async def all_of() -> list[Any]:
        return list(await asyncio.gather(*coroutines))

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(all_of())
    found: list[Any] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            found.extend(asyncio.run(all_of()))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found
