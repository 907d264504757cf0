"""Metrics shown and kept, as scripts do at their end: `log_metrics`, `save_metrics`."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from enfold.train.trainer.core import Core


class Metrics(Core):
    """What scripts call with the metrics of `train`, `evaluate` and `predict`."""

    def metrics_format(self, metrics: Mapping[str, Any]) -> dict[str, Any]:
        """The metrics as they are read: durations, gigaflops, four places."""
        shown = dict(metrics)
        for name, value in shown.items():
            if name.endswith("_runtime"):
                shown[name] = _clock(float(value))
            elif name == "total_flos":
                shown[name] = f"{int(value) >> 30}GF"
            elif isinstance(value, float):
                shown[name] = round(value, 4)
        return shown

    def log_metrics(self, split: str, metrics: Mapping[str, Any]) -> None:
        """Print the metrics of a split ("train", "eval", "test"), sorted by name."""
        if not self.ranks.main:
            return
        shown = self.metrics_format(metrics)
        width = max((len(name) for name in shown), default=0)
        room = max((len(str(value)) for value in shown.values()), default=0)
        print(f"***** {split} metrics *****")
        for name in sorted(shown):
            print(f"  {name: <{width}} = {shown[name]!s:>{room}}")

    def save_metrics(self, split: str, metrics: Mapping[str, Any], combined: bool = True) -> None:
        """Write the metrics of a split to `<split>_results.json` in `args.output_dir`.

        combined: also add them to `all_results.json`.
        """
        if not self.ranks.main:
            return
        folder = Path(self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / f"{split}_results.json", dict(metrics))
        if combined:
            path = folder / "all_results.json"
            known = json.loads(path.read_text()) if path.exists() else {}
            _write(path, {**known, **metrics})


def _clock(seconds: float) -> str:
    """0:01:01.50"""
    whole = int(seconds)
    return f"{datetime.timedelta(seconds=whole)}.{int((seconds - whole) * 100):02d}"


def _write(path: Path, metrics: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(metrics, indent=4, sort_keys=True))
