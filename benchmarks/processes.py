"""Processes: map(num_proc=2) beside one process of enfold, over rows of a text of 100 characters.

cheap costs 0.5 us a row, words 2 us; both can be seen to be harmless, so the caller's process
begins with them.  other is words with a builtin that is not on the list: every row is run
by workers.  cold: no process is there yet.  warm: workers are, from a call before.  The goal is
never to be over 10 % slower.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any

from _report import Row, interleaved, run, versus

SIZES = (10_000, 100_000, 200_000, 1_000_000)
GOAL = 0.9
_numbers = count()


def cheap() -> Callable[..., Any]:
    salt = next(_numbers)  # so that no cache knows the function
    return lambda row, salt=salt: {"n": len(row["text"])}


def words() -> Callable[..., Any]:
    salt = next(_numbers)
    return lambda row, salt=salt: {"n": len(set(row["text"].split()))}


def other() -> Callable[..., Any]:
    salt = next(_numbers)
    split = "split"
    return lambda row, salt=salt: {"n": len(set(getattr(row["text"], split)()))}


def rows(quick: bool, size: int | None = None) -> list[Row]:
    """A row for each size, function and beginning."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ENFOLD_CACHE"] = f"{folder}/cache"
        # What is installed has its bytecode; without it each cold start would compile the sources.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = f"{folder}/bytecode"
        import enfold.data
        from enfold.data.executor.process import pool

        enfold.data.disable_progress_bars()
        enfold.data.Dataset.from_dict({"text": ["a"]}).map(other(), num_proc=2)  # compiles
        found: list[Row] = []
        for number in (size,) if size else (1000,) if quick else SIZES:
            path = f"{folder}/{number}"
            texts = [f"{row:>10} {'some words of a text '[row % 5:] * 5}"[:100]
                     for row in range(number)]
            enfold.data.Dataset.from_dict({"text": texts}).save_to_disk(path)
            dataset = enfold.data.load_from_disk(path)
            for make in (cheap, words, other):
                for cold in (True, False):
                    found.append(_row(dataset, number, make, cold, pool, 1 if quick else 5))
            pool.close()
        return found


def _row(dataset: Any, number: int, make: Callable[..., Any], cold: bool, pool: Any,
         repeats: int) -> Row:
    def seconds(processes: int | None) -> float:
        if cold:
            pool.close()
        began = time.perf_counter()
        last = dataset.map(make(), num_proc=processes)[-1]
        taken = time.perf_counter() - began
        if last["n"] < 1:
            raise SystemExit(f"processes: {last}")
        return taken

    if not cold:
        dataset.map(other(), num_proc=2)[-1]
    times = interleaved({"one": partial(seconds, None), "two": partial(seconds, 2)}, repeats)
    facts = versus(times["one"], times["two"], lambda taken: number / taken, GOAL)
    return {"rows": number, "function": make.__name__, "start": "cold" if cold else "warm",
            "one": facts["theirs"], "two": facts["ours"], "ratio": facts["ratio"],
            "of bests": facts["of bests"], "load": os.getloadavg()[0]}


if __name__ == "__main__":
    run("processes", __file__, __doc__, rows, peers=("pyarrow",), options={
        "size": {"type": int, "metavar": "N", "help": "only so many rows"}})
