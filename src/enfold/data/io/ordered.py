"""A table turned into text, batch by batch, in one process or several, and written in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import IO, Any, Protocol

import pyarrow as pa

from enfold.data.config import setting
from enfold.data.executor import Progress, run_parallel
from enfold.errors import DataError

Stretch = tuple[int, int]  # first row, and the one after the last


class Render(Protocol):
    """The bytes of a batch; an object that can be pickled."""

    def __call__(self, table: pa.Table, *, first: bool) -> bytes: ...


class _Job:
    def __init__(self, dataset: Any, render: Render) -> None:
        self.dataset, self.render = dataset, render

    def open(self, rank: int) -> None:
        self.frame = self.dataset._frame

    def run(self, task: Stretch, progress: Callable[[int], None]) -> bytes:
        text = self.render(self.frame.slice(*task), first=task[0] == 0)
        progress(task[1] - task[0])
        return text

    def __getstate__(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "render": self.render}


def processes(num_proc: int | None) -> int:
    """The number asked for.  Raises DataError for none."""
    if num_proc is not None and num_proc <= 0:
        raise DataError(f"num_proc {num_proc} must be an integer > 0.")
    return num_proc or 1


def rows_per_batch(batch_size: int | None) -> int:
    """The rows asked for, or datasets' default."""
    return batch_size or int(setting("DEFAULT_MAX_BATCH_SIZE"))


def stretches(rows: int, size: int) -> list[Stretch]:
    """Rows in parts of `size`."""
    return [(start, min(start + size, rows)) for start in range(0, rows, size)]


def write_blocks(tables: Iterable[pa.Table], file: IO[bytes], render: Render,
                 empty: pa.Table | None = None) -> int:
    """Write the bytes of tables as they come, of `empty` if none does; returns how many bytes."""
    written, first = 0, True
    for table in tables:
        written += _put(file, render(table, first=first))
        first = False
    return _put(file, render(empty, first=True)) if first and empty is not None else written


def _put(file: IO[bytes], text: bytes) -> int:
    file.write(text)
    return len(text)


def write_ordered(dataset: Any, file: IO[bytes], render: Render, size: int, num_proc: int,
                  what: str) -> int:
    """Write each batch's bytes in order; returns how many bytes."""
    written = following = 0
    ahead: dict[int, bytes] = {}
    tasks = stretches(len(dataset), size)

    def take(index: int, text: bytes) -> None:
        nonlocal written, following
        ahead[index] = text
        while following in ahead:
            written += len(ahead[following])
            file.write(ahead.pop(following))
            following += 1

    with Progress(len(dataset), f"Creating {what} from Arrow format") as bar:
        run_parallel(_Job(dataset, render), tasks, num_proc, on_result=take, on_progress=bar)
    return written
