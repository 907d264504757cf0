"""Logs as files of the run: metrics.csv, metrics.jsonl."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from enfold.files.atomic import atomic_write
from enfold.train.callbacks.callback import TrainerCallback
from enfold.train.callbacks.state import TrainerControl, TrainerState

FIRST = ("step", "epoch")  # columns


class _FileCallback(TrainerCallback):
    """Keeps a row for each log; a resumed run goes on after the rows up to its step."""

    name = ""

    def __init__(self) -> None:
        self.path: Path | None = None

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl,
                       **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.path = self._open(args, state.global_step)

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl,
               logs: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        if self.path is None:  # an evaluation outside of training: all rows stay
            self.path = self._open(args, sys.maxsize)
        row = {"step": state.global_step, "epoch": state.epoch}
        self._add(self.path, row | {name: _plain(value) for name, value in (logs or {}).items()})

    def _open(self, args: Any, step: int) -> Path:
        path = Path(args.output_dir) / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        self._begin(path, step)
        return path

    def _begin(self, path: Path, step: int) -> None:
        raise NotImplementedError

    def _add(self, path: Path, row: dict[str, Any]) -> None:
        raise NotImplementedError


class JSONCallback(_FileCallback):
    """Writes output_dir/metrics.jsonl: an object for each log, with its step and epoch."""

    name = "metrics.jsonl"

    def _begin(self, path: Path, step: int) -> None:
        lines = path.read_text("utf-8").splitlines() if path.is_file() and step else []
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        atomic_write(path, "".join(f"{line}\n" for line in kept).encode())

    def _add(self, path: Path, row: dict[str, Any]) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


class CSVCallback(_FileCallback):
    """Writes output_dir/metrics.csv: a row for each log, a column for each name."""

    name = "metrics.csv"

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []
        self.columns: list[str] = []

    def _begin(self, path: Path, step: int) -> None:
        self.rows, self.columns = [], list(FIRST)
        if path.is_file() and step:
            with path.open(encoding="utf-8", newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= step]
            self.columns = list(self.rows[0]) if self.rows else list(FIRST)
        self._write(path)

    def _add(self, path: Path, row: dict[str, Any]) -> None:
        self.rows.append(row)
        new = [name for name in row if name not in self.columns]
        self.columns += new
        if new:
            self._write(path)
            return
        with path.open("a", encoding="utf-8", newline="") as file:
            csv.DictWriter(file, self.columns, restval="").writerow(row)

    def _write(self, path: Path) -> None:
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, self.columns, restval="")
        writer.writeheader()
        writer.writerows(self.rows)
        atomic_write(path, out.getvalue().encode())


def _plain(value: Any) -> Any:
    """Scalars of numpy and torch as numbers."""
    return value.item() if hasattr(value, "item") else value
