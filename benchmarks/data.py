"""Datasets: enfold beside datasets on a csv of a text of 100 characters and a label, in rows/s.

1,000,000 rows; --rows N for fewer, --only TEXT for the operations whose names have it in them.  The
limit is plain pyarrow, Python or torch doing the same.  Every map is given a function that is new
to both libraries and every load a new cache, so that no cache helps; results have to be equal.
"beside" is what a ratio is against: datasets where nothing else is said.  Loading and what
has processes are wall time.  "written" is what each process wrote to files, in MB: theirs, ours.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from _machine import clock
from _report import Row, interleaved, run, versus

COUNT = 1_000_000


@dataclass
class Operation:
    """What is timed.  theirs, ours, limit: return something of the result, to be compared.

    beside: what `theirs` is.  wall: by wall time, as processes take part.
    """

    name: str
    count: int
    goal: float | None
    theirs: Callable[[], Any]
    ours: Callable[[], Any]
    limit: Callable[[], Any] | None = None
    beside: str = "datasets"
    wall: bool = False
    files: bool = False
    found: dict[str, Any] = field(default_factory=dict)

    def row(self, repeats: int) -> Row:
        """Its line in the table."""
        works = {"theirs": self.theirs, "ours": self.ours}
        works |= {"limit": self.limit} if self.limit else {}
        times = interleaved({side: self._measure(side, work) for side, work in works.items()},
                            repeats)
        if self.found["theirs"][0] != self.found["ours"][0]:
            raise SystemExit(f"data: {self.name}: the results differ: {self.found}")
        facts = versus(times["theirs"], times["ours"], lambda seconds: self.count / seconds,
                       self.goal)
        met = "" if self.goal is None else "yes" if facts["ratio"] >= self.goal else "no"
        written = [f"{self.found[side][1] / 1e6:.1f}" for side in ("theirs", "ours")]
        return {"operation": self.name, "beside": self.beside, "theirs": facts["theirs"],
                "ours": facts["ours"],
                "limit": self.count / median(times["limit"]) if self.limit else "",
                "ratio": facts["ratio"], "of bests": facts["of bests"], "goal": self.goal or "",
                "met": met, "written": ", ".join(written) if self.files else ""}

    def _measure(self, side: str, work: Callable[[], Any]) -> Callable[[], float]:
        now = time.perf_counter if self.wall else clock

        def measure() -> float:
            before, start = written(), now()
            result = work()
            seconds = now() - start
            self.found[side] = repr(result), written() - before
            return seconds

        return measure


def rows(quick: bool, rows: int | None = None, only: str | None = None) -> list[Row]:
    """A row for each operation."""
    count = rows or (2000 if quick else COUNT)
    repeats = 1 if quick else 5 if count <= COUNT // 10 else 3
    with tempfile.TemporaryDirectory() as name:
        os.environ["ENFOLD_CACHE"] = os.environ["HF_DATASETS_CACHE"] = f"{name}/cache"
        from _operations import operations

        found = []
        for make, what in operations(Path(name), count, quick):
            if only is None or only in what:
                found.append(make().row(repeats))
                print(f"{what}: {found[-1]['ratio']:.2f}", file=sys.stderr)
                tidy(Path(name))
        return found


def written() -> int:
    """Bytes that this process gave to `write` so far."""
    path = Path("/proc/self/io")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((int(line.split()[1]) for line in lines if line.startswith("wchar")), 0)


def tidy(folder: Path) -> None:
    """Remove the results of `datasets`, a hundred MB each."""
    for path in (*folder.rglob("cache-*.arrow"), *folder.rglob("tmp*")):
        if path.is_file():
            path.unlink()


if __name__ == "__main__":
    run("data", __file__, __doc__, rows, peers=("datasets", "pyarrow", "torch"), options={
        "rows": {"type": int, "metavar": "N", "help": f"rows of the csv ({COUNT:,})"},
        "only": {"metavar": "TEXT", "help": "operations with this in their names"}})
