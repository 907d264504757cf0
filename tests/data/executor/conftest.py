"""A job over ranges of rows, and what is left of worker processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enfold.data.executor import run_parallel
from enfold.data.executor.process import pool


def children() -> list[int]:
    """Processes started by this one, and by those, that still run."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = folder.joinpath("stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:  # gone meanwhile
            continue
        if state != "Z":
            parents[int(folder.name)] = int(parent)
    found, grown = {os.getpid()}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        grown = bool(more)
        found |= more
    return sorted(found - {os.getpid()})


@pytest.fixture
def no_worker_left() -> Iterator[None]:
    """No process is left after the test but those that wait for the next run."""
    before = set(children())
    yield
    pool.close()
    left = set(children()) - before
    for _ in range(20):  # what a test itself started may be on its way out
        if left:
            time.sleep(0.1)
            left &= set(children())
    assert not left


@pytest.fixture
def go(no_worker_left: None) -> Callable[..., list[Any]]:
    """`go(function, tasks, num_proc)`: the results in order; workers are used at once."""

    class Each:
        def __init__(self, function: Callable[[Any], Any]) -> None:
            self.function, self.rank = function, -1

        def open(self, rank: int) -> None:
            self.rank = rank

        def run(self, task: Any, progress: Callable[[int], None]) -> Any:
            result = self.function(task)
            progress(1)
            return result

    def run(function: Callable[[Any], Any], tasks: Any = range(8), num_proc: int = 2,
            **options: Any) -> list[Any]:
        results: dict[int, Any] = {}
        options = {"here": False} | options
        run_parallel(Each(function), list(tasks), num_proc, on_result=results.__setitem__,
                     **options)
        return [results[number] for number in range(len(results))]

    return run
