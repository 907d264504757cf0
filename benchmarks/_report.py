"""What benchmarks share: interleaved repeats, a table on stdout, JSON under benchmarks/results."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

Measure = Callable[[], float]  # takes a measurement, in seconds
RESULTS = Path(__file__).parent / "results"


def interleaved(measures: Mapping[str, Measure], repeats: int) -> dict[str, list[float]]:
    """Each measure `repeats` times, in turn, so that all meet the same noise."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(repeats):
        for name, measure in measures.items():
            found[name].append(measure())
    return found


def report(name: str, title: str, rows: list[dict[str, Any]]) -> None:
    """Print the rows as a table and write them, with the versions and the machine, as JSON."""
    columns = list(rows[0])
    cells = [columns, *([shown(row[column]) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{title}")
    for line in cells:
        first, *rest = (cell.ljust(width) if index == 0 else cell.rjust(width)
                        for index, (cell, width) in enumerate(zip(line, widths, strict=True)))
        print("  ".join([f"  {first}", *rest]))
    RESULTS.mkdir(exist_ok=True)
    packages = {package: version(package) for package in ("enfold", "torch", "transformers")}
    about = {"time": datetime.now(UTC).isoformat(timespec="seconds"),
             "machine": platform.platform(), "python": platform.python_version(), **packages}
    (RESULTS / f"{name}.json").write_text(json.dumps({"about": about, "rows": rows}, indent=1))


def spread(seconds: list[float], scale: float = 1e3) -> dict[str, float]:
    """Best and median in milliseconds (`scale` 1e3)."""
    return {"best ms": min(seconds) * scale, "median ms": median(seconds) * scale}


def shown(value: Any) -> str:
    """A cell: three significant digits or so."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
