"""What benchmarks share: the command line, interleaved repeats, comparisons, tables, JSON.

    run("overhead", __file__, __doc__, rows, threads=(1, 2))

calls `rows(quick)` in a process of its own for each number of threads, prints one table and writes
NAME.json and NAME.md.  `options={"only": {"help": ..}}` adds --only, which `rows` gets by name.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any

from _machine import about, clock

Measure = Callable[[], float]  # takes a measurement, in seconds
Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).parent.parent / "docs" / "performance.md"


def run(name: str, file: str, title: str, rows: Callable[..., list[Row]], *,
        threads: Iterable[int] = (1,), options: Mapping[str, Row] = MappingProxyType({}),
        peers: Iterable[str] = ("torch", "transformers")) -> None:
    """The command line of a benchmark; `title` is its docstring, whose first line is shown.

    options: more of them, with what `add_argument` takes.  peers: whose versions are told.
    """
    parser = argparse.ArgumentParser(description=title.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small and few: whether it works")
    parser.add_argument("--json", type=Path, default=RESULTS, metavar="FOLDER",
                        help="where NAME.json and NAME.md go (benchmarks/results)")
    parser.add_argument("--docs", action="store_true",
                        help="put the table into docs/performance.md too")
    parser.add_argument("--cpu", action="store_true", help="one thread, by the process's CPU time: "
                        "for a busy machine (not for imports and load, which are wall time)")
    parser.add_argument("--threads", type=int, help="only with so many threads")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    for option, facts in options.items():
        parser.add_argument(f"--{option}", **facts)
    given = parser.parse_args()
    own = {option: getattr(given, option) for option in options}
    if given.child:
        print("\n" + json.dumps(rows(given.quick, **own)))
        return
    if given.cpu:
        os.environ["ENFOLD_BENCH_CLOCK"] = "cpu"
    machine, found = about(), []
    flags = ["--quick"] * given.quick + [f"--{option}={value}" for option, value in own.items()
                                         if value is not None]
    counts = tuple(threads)[:1] if given.quick or given.cpu else tuple(threads)
    counts = (given.threads,) if given.threads else counts
    for count in counts:
        marked = {"threads": count} if len(counts) > 1 else {}
        found += [marked | row for row in child(file, "--child", *flags, threads=count)]
    write(name, title.splitlines()[0], found,
          machine | {"threads": counts, "peers": list(peers),
                     "clock": "CPU" if given.cpu else "wall"}, given)


def child(*command: object, threads: int = 1) -> Any:
    """The JSON that a process of this interpreter prints as its last line."""
    env = os.environ | {"OMP_NUM_THREADS": str(threads), "RAYON_NUM_THREADS": str(threads),
                        "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error",
                        "TOKENIZERS_PARALLELISM": "true" if threads > 1 else "false"}
    done = subprocess.run([sys.executable, *map(str, command)], env=env, text=True, check=True,
                          stdout=subprocess.PIPE)
    return json.loads(done.stdout.strip().splitlines()[-1])


# ---- measuring -----------------------------------------------------------------------------------
def timed(work: Callable[[], object]) -> Measure:
    """A measure: the seconds that `work` takes."""

    def measure() -> float:
        start = clock()
        work()
        return clock() - start

    return measure


def interleaved(measures: Mapping[str, Measure], repeats: int,
                warm: int = 0) -> dict[str, list[float]]:
    """Each measure `repeats` times, in turn, so that all meet the same noise.

    warm: rounds before, which aren't kept.
    """
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(warm + repeats):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: seconds[warm:] for name, seconds in found.items()}


def versus(theirs: list[float], ours: list[float], unit: Callable[[float], float],
           goal: float | None = None) -> Row:
    """Median and best of transformers and of enfold, in `unit` of the seconds.

    "ratio" is the median over pairs, neighbours in time, of their seconds over ours.
    """
    ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
    return {"theirs": unit(median(theirs)), "their best": unit(min(theirs)),
            "ours": unit(median(ours)), "our best": unit(min(ours)),
            "ratio": median(ratios), "of bests": min(theirs) / min(ours), "goal": goal or ""}


# ---- showing -------------------------------------------------------------------------------------
def write(name: str, title: str, rows: list[Row], facts: Row, options: argparse.Namespace) -> None:
    """Print the rows, and write them with the machine's facts as JSON and Markdown."""
    lines = table(rows)
    print(f"\n{title}", *lines, sep="\n")
    options.json.mkdir(parents=True, exist_ok=True)
    record = {"about": facts | {"quick": options.quick}, "rows": rows}
    (options.json / f"{name}.json").write_text(json.dumps(record, indent=1))
    text = "\n".join([*lines, "", caption(facts)])
    (options.json / f"{name}.md").write_text(text + "\n")
    if options.docs:
        mark = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        DOCS.write_text(mark.sub(lambda found: f"{found[1]}{text}\n{found[2]}", DOCS.read_text()))


def table(rows: list[Row]) -> list[str]:
    """Lines of a Markdown table, aligned for a terminal too."""
    columns = list(rows[0])
    texts = [columns, *([shown(row[column]) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    left = [all(isinstance(row[column], str) and row[column] for row in rows) for column in columns]
    lines = ["| " + " | ".join(text.ljust(width) if flush else text.rjust(width)
             for text, width, flush in zip(line, widths, left, strict=True)) + " |"
             for line in texts]
    rule = "|".join("-" * (width + 2) if flush else "-" * (width + 1) + ":"
                    for width, flush in zip(widths, left, strict=True))
    return [lines[0], f"|{rule}|", *lines[1:]]


def caption(facts: Row) -> str:
    """Where and when a table was measured, in a line."""
    peers = ", ".join(f"{peer} {facts[peer]}" for peer in facts["peers"])
    return (f"{facts['date']}, {facts['cpu']} ({facts['features']}), {facts['cores']} cores, load "
            f"{facts['load']} at the start; Python {facts['python']}, {peers}, "
            f"enfold {facts['enfold']} ({facts['commit']}); "
            f"{facts['clock']} time, threads {', '.join(map(str, facts['threads']))}.")


def shown(value: Any) -> str:
    """A cell: three significant digits."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value) or 1)))}f}"
