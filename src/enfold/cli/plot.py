"""`enfold plot RUN`: the curves of a run, in the terminal and as PNG."""

from __future__ import annotations

import json
import math
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

from enfold.cli.draw import draw
from enfold.errors import DataError, FileMissing, InputError, nearest
from enfold.files.jsons import read_json

STATE, LINES, PICTURE = "trainer_state.json", "metrics.jsonl", "curves.png"
ASIDE = ("_runtime", "_per_second", "_preparation_time", "epoch", "step", "total_flos",
         "num_input_tokens_seen", "train_loss")
QUIET = ("learning_rate", "grad_norm")  # shown when asked for
Points = list[tuple[float, float]]  # step, value


@dataclass(frozen=True)
class Panel:
    """Curves that share an axis."""

    title: str
    curves: dict[str, Points]


def main(args: Namespace) -> int:
    """Draw the run; with matplotlib, or where a file is named, a PNG too."""
    run = Path(args.run).expanduser()
    history, source = read_history(run)
    shown = panels(curves(history), args.metric)
    width = args.width or min(100, get_terminal_size().columns)
    print("\n\n".join(draw(panel.title, panel.curves, width) for panel in shown))
    folder = run if run.is_dir() else run.parent
    target = Path(args.out).expanduser() if args.out else folder / PICTURE
    if args.out is None and (args.text or find_spec("matplotlib") is None):
        if not args.text:
            print("\nno PNG: that needs matplotlib. Do: pip install 'enfold[plot]'")
        return 0
    from enfold.cli.figure import save

    save(target, shown, str(source.parent if source.name == STATE else source))
    print(f"\n{target}")
    return 0


def read_history(run: Path) -> tuple[list[dict[str, Any]], Path]:
    """The logs of a run's folder, a checkpoint or a file, and the file they come from.

    Of several files the one that goes on the longest counts.
    """
    files = [run] if run.is_file() else [
        path for path in (run / STATE, *run.glob(f"checkpoint-*/{STATE}"), run / LINES)
        if path.is_file()]
    if not files:
        what = "has no" if run.is_dir() else "is not there, and so no"
        raise FileMissing(f"{run} {what} {STATE} or {LINES}. Do: name the output_dir of a run, "
                          "one of its checkpoints or such a file; trainer.save_state() writes one")
    found = [(_rows(path), path) for path in files]
    history, source = max(found, key=lambda pair: _last_step(pair[0]))
    if not history:
        raise DataError(f"{source} has no logs to draw. Do: train with logging_steps at most the "
                        "number of steps, or logging_strategy='epoch'")
    return history, source


def curves(history: Iterable[Mapping[str, Any]]) -> dict[str, Points]:
    """Every number that was logged, by name; points that are not finite are left out."""
    found: dict[str, Points] = {}
    for row in history:
        for name, value in row.items():
            number = isinstance(value, (int, float)) and math.isfinite(value)
            if number and not name.endswith(ASIDE):
                found.setdefault(name, []).append((row.get("step", 0), value))
    return found


def panels(found: Mapping[str, Points], names: Sequence[str] | None) -> list[Panel]:
    """Losses together, other metrics each with its own axis; or what is named."""
    for name in names or ():
        if name not in found:
            raise InputError(f"the run has no {name!r}{nearest(name, found)}. Expected of: "
                             f"{', '.join(found)}")
    if names:
        return [Panel(name, {name: found[name]}) for name in names]
    losses = {name: points for name, points in found.items() if name.endswith("loss")}
    rest = [Panel(name.removeprefix("eval_"), {name: points}) for name, points in found.items()
            if name not in losses and name not in QUIET]
    return ([Panel("loss", losses)] if losses else []) + rest


def _rows(path: Path) -> list[dict[str, Any]]:
    if path.suffix != ".jsonl":
        rows = read_json(path).get("log_history")
        if not isinstance(rows, list):
            raise DataError(f"{path} has no list log_history, expected a {STATE}. Do: name the "
                            "folder of a run")
        return rows
    lines = path.read_text("utf-8").splitlines()
    try:
        return [json.loads(line) for line in lines if line]
    except ValueError as error:
        raise DataError(f"{path} is not JSON in every line: {error}. Do: name a {STATE}") from error


def _last_step(rows: Sequence[Mapping[str, Any]]) -> float:
    return max((row.get("step", 0) for row in rows), default=-1)
