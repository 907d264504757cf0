"""Rows written to a table of a database, through pandas."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

from enfold.data.executor import Progress, run_parallel
from enfold.data.formatting.pandas_formatter import to_pandas
from enfold.data.io.ordered import Stretch, processes, rows_per_batch, stretches


class _Job:
    def __init__(self, dataset: Any, name: str, con: Any, options: dict[str, Any]) -> None:
        self.dataset, self.name, self.con, self.options = dataset, name, con, options

    def open(self, rank: int) -> None:
        """Nothing: pandas connects for each batch."""

    def run(self, task: Stretch, progress: Callable[[int], None]) -> int:
        table = self.dataset._frame.slice(*task)
        rows = _written(table, self.name, self.con, self.options, first=task[0] == 0)
        progress(table.num_rows)
        return rows


def write_sql(dataset: Any, name: str, con: Any, batch_size: int | None = None,
              num_proc: int | None = None, **options: Any) -> int:
    """Write the rows to the table `name`; returns how many.  con: a URL, or an open connection.

    The first batch is written before others start: it makes the table.
    """
    count, size = processes(num_proc), rows_per_batch(batch_size)
    options = _asked(options)
    first, *rest = stretches(len(dataset), size) or [(0, 0)]
    job, written = _Job(dataset, name, con, options), 0

    def add(index: int, rows: int) -> None:
        nonlocal written
        written += rows

    with Progress(len(dataset), "Creating SQL from Arrow format") as bar:
        written += job.run(first, bar)
        run_parallel(job, rest, count, on_result=add, on_progress=bar)
    return written


def write_sql_blocks(tables: Iterable[pa.Table], empty: pa.Table, name: str, con: Any,
                     **options: Any) -> int:
    """The same of tables that come one by one; `empty` has their columns."""
    options, written, first = _asked(options), 0, True
    for table in tables:
        written += _written(table, name, con, options, first)
        first = False
    return written + (_written(empty, name, con, options, first) if first else 0)


def _asked(options: dict[str, Any]) -> dict[str, Any]:
    return {"index": False, **{key: value for key, value in options.items()
                               if key not in ("sql", "con")}}


def _written(table: pa.Table, name: str, con: Any, options: dict[str, Any], first: bool) -> int:
    """Write rows to the table; returns how many."""
    frame = to_pandas(table, integer_object_nulls=True)
    rows = frame.to_sql(name, con, **(options if first else {**options, "if_exists": "append"}))
    return rows or len(frame)
