"""map and filter: a function called on rows, batches or tables.

One row at a time is read, given to the function and handed out, so that nothing runs before it is
asked for; batches have the size the user says.  Coroutine functions run many at a time
(`calls.py`).  What a batched filter keeps of a table stays a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import iscoroutinefunction
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.features import Features
from enfold.data.streaming.node import Batcher, Chunk, Cursor, Over, Remaking, Row, State
from enfold.data.streaming.present import TABLES, Presenter, RowReader, untransposed
from enfold.errors import DataError


@dataclass(frozen=True, eq=False)
class Job:
    """A function of map or filter and how it is called; the names are those of `map`."""

    function: Callable[..., Any]
    with_indices: bool = False
    input_columns: Sequence[str] | None = None
    batched: bool = False
    batch_size: int | None = 1000
    drop_last_batch: bool = False
    remove_columns: Sequence[str] = ()
    fn_kwargs: Mapping[str, Any] = field(default_factory=dict)
    keeps: bool = False  # the function says which rows stay: a filter

    @property
    def size(self) -> int | None:
        """Rows per call; None: all."""
        if not self.batched:
            return 1
        return self.batch_size if self.batch_size and self.batch_size > 0 else None

    def caller(self) -> Callable[[Any, int, int], Any]:
        """`call`, without what the options do not ask for."""
        if self.with_indices or self.input_columns is not None or self.fn_kwargs:
            return self.call
        function = self.function
        return lambda given, index, count: function(given)

    def call(self, given: Any, index: int, count: int) -> Any:
        """The function's result for a row, or `count` of them together, from number `index` on."""
        arguments = ([given] if self.input_columns is None
                     else [given[name] for name in self.input_columns])
        if self.with_indices:
            arguments.append(list(range(index, index + count)) if self.batched else index)
        return self.function(*arguments, **self.fn_kwargs)

    def too_short(self, count: int) -> bool:
        """Whether a last batch is to be dropped."""
        return (self.batched and self.drop_last_batch and self.size is not None
                and count < self.size)

    def merged(self, inputs: Row, given: Row, result: Any) -> Row:
        """A row, or a dict of columns, with what the function returned."""
        if type(result) is not dict and not isinstance(result, Mapping):
            raise TypeError(f"map: the function returned {type(result).__name__}. Expected a dict "
                            f"with the columns to add or change")
        dropped = self.remove_columns
        if dropped:
            inputs = {name: value for name, value in inputs.items() if name not in dropped}
            if result is given:
                result = {name: value for name, value in result.items() if name not in dropped}
        return {**inputs, **result}

    def rows(self, inputs: Row, given: Row, result: Any) -> list[Row]:
        """The rows of a batch with what the function returned."""
        columns = self.merged(inputs, given, result)
        first = next((name for name in result if name in columns), next(iter(columns), ""))
        sizes = {name: len(column) for name, column in columns.items()}
        wrong = {name: size for name, size in sizes.items() if size != sizes[first]}
        if wrong:
            raise DataError(f"map: Column lengths mismatch: {first!r} has {sizes[first]} rows, and "
                            f"{wrong}. Expected one length. Do: return all columns at the same "
                            f"length, or drop those of the input with remove_columns")
        return untransposed(columns)


@dataclass(frozen=True, eq=False)
class Mapped(Over):
    """A function over the rows of another node.

    known, kind: features and format in which the function gets them.  declared: the features of
    what it returns.  threads: how many call it; 0: this one.
    """

    job: Job
    known: Features | None = None
    kind: str | None = None
    declared: Features | None = None
    threads: int = 0

    @property
    def features(self) -> Features | None:  # type: ignore[override]
        if self.job.keeps:
            return self.known if self.child.features is None or self.known else self.child.features
        return self.declared

    @property
    def tables(self) -> bool:
        """Whether the function gets tables."""
        return self.kind in TABLES

    @property
    def concurrent(self) -> bool:
        """Whether many calls are under way at a time."""
        return bool(self.threads) or iscoroutinefunction(self.job.function)

    @property
    def arrow(self) -> bool:
        return self.tables or (self.job.keeps and self.job.batched and self.child.arrow
                               and not self.concurrent)

    @property
    def by_row(self) -> bool:
        return not self.tables

    def open(self, state: State = None) -> Cursor:
        if self.concurrent:
            from enfold.data.streaming.calls import Concurrent
            return Concurrent(self, state)
        if self.tables:
            return _Tables(self, state)
        if self.job.batched:
            return _Batches(self, state)
        return _Rows(self, state)

    def presenter(self) -> Presenter:
        """What shows the function its input."""
        return Presenter(self.child, self.known, self.kind)


class _Rows(Cursor):
    """One call, one row."""

    def __init__(self, node: Mapped, state: State) -> None:
        state = state or {"index": 0, "child": None}
        self.index: int = state["index"]
        self.job, self.call = node.job, node.job.caller()
        self.reader = RowReader(node.child.open(state["child"]), node.presenter())

    def chunk(self) -> Chunk | None:
        job, call = self.job, self.call
        for row in self.reader.rows:
            index, self.index = self.index, self.index + 1
            given = dict(row)
            result = call(given, index, 1)
            if not job.keeps:
                return [job.merged(row, given, result)]
            if result:
                return [row]
        return None

    def state(self, back: int = 0) -> State:
        return {"index": self.index - back, "child": self.reader.state(back)}

    def advance(self, count: int) -> int:
        passed = 0 if self.job.keeps else self.reader.advance(count)
        self.index += passed
        return passed


class _Calls(Remaking):
    """Batches, each made anew where it is resumed in the middle."""

    def __init__(self, node: Mapped, state: State) -> None:
        super().__init__(state)
        state = state or {"index": 0, "child": None}
        self.index: int = state["index"]
        self.node, self.job, self.presenter = node, node.job, node.presenter()
        self.input = Batcher(node.child.open(state["child"]))

    def where(self) -> dict[str, Any]:
        return {"index": self.index, "child": self.input.state()}

    def next(self) -> tuple[int, Chunk] | None:
        """The next batch and its first row's number."""
        chunk = self.input.take(self.job.size)
        if chunk is None or self.job.too_short(len(chunk)):
            return None
        index, self.index = self.index, self.index + len(chunk)
        return index, chunk


class _Batches(_Calls):

    def make(self) -> Chunk | None:
        found = self.next()
        if found is None:
            return None
        index, chunk = found
        inputs = self.presenter.batch(chunk)
        given = dict(inputs)
        result = self.job.call(given, index, len(chunk))
        if not self.job.keeps:
            return self.job.rows(inputs, given, result)
        if isinstance(chunk, list):
            return [row for row, keep in zip(untransposed(inputs), result, strict=True) if keep]
        return chunk.filter(mask_of(result, len(chunk)))


class _Tables(_Calls):

    def make(self) -> Chunk | None:
        found = self.next()
        if found is None:
            return None
        index, chunk = found
        shown = self.presenter.batch(chunk)
        result = self.job.call(shown, index, len(chunk))
        if self.job.keeps:
            return self.presenter.fit(chunk).filter(mask_of(result, len(chunk)))
        table = arrow_of(result)
        if table is None:
            raise TypeError(f"map: the function returned {type(result).__name__}. Expected a "
                            f"{type(shown).__module__.split('.')[0]} {type(shown).__name__}, as it "
                            f"got")
        names = [name for name in self.job.remove_columns if name in table.column_names]
        return table.drop_columns(names)


def mask_of(result: Any, count: int) -> Any:
    """What a filter's function returned, a bool or one per row, as an Arrow mask."""
    if isinstance(result, (bool, np.bool_, pa.BooleanScalar)):
        result = [result.as_py() if isinstance(result, pa.BooleanScalar) else bool(result)]
    if not isinstance(result, (pa.Array, pa.ChunkedArray)):
        result = pa.array(result, pa.bool_())
    if len(result) != count:
        raise DataError(f"filter: the function returned {len(result)} values for {count} rows. "
                        f"Expected a bool per row")
    return result


def arrow_of(result: Any) -> pa.Table | None:
    """A table, or frame of pandas or polars, as a table; None for anything else."""
    if isinstance(result, pa.Table):
        return result
    library = type(result).__module__.split(".")[0]
    if library == "pandas" and hasattr(result, "columns"):
        return pa.Table.from_pandas(result)
    if library == "polars" and hasattr(result, "columns"):
        return result.to_arrow()
    return None
