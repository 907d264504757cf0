"""`enfold plot`."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import pytest

from enfold.cli import plot
from enfold.cli.draw import draw, number

HISTORY = [{"loss": 2.0, "learning_rate": 1e-3, "epoch": 0.5, "step": 10},
           {"eval_loss": 1.5, "eval_accuracy": 0.5, "eval_runtime": 1.0, "epoch": 1.0, "step": 10},
           {"loss": 1.0, "grad_norm": math.nan, "epoch": 1.0, "step": 20},
           {"eval_loss": 1.1, "eval_accuracy": 0.75, "epoch": 1.0, "step": 20},
           {"train_runtime": 3.0, "train_loss": 1.5, "total_flos": 1, "epoch": 1.0, "step": 20}]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An output_dir with two checkpoints, the later with the whole history."""
    for step, rows in ((10, HISTORY[:2]), (20, HISTORY)):
        folder = tmp_path / "run" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        (folder / "trainer_state.json").write_text(json.dumps({"log_history": rows}))
    return tmp_path / "run"


def test_losses_and_metrics_in_the_terminal(command, run: Path) -> None:
    done = command("plot", run, "--text", "--width", "40")
    assert done.code == 0, done.err
    assert [line for line in done.out.splitlines() if line in ("loss", "accuracy")] == [
        "loss", "accuracy"]
    assert "── loss  o eval_loss, by step" in done.out and "learning_rate" not in done.out
    assert max(map(len, done.out.splitlines())) <= 40
    assert not (run / "curves.png").exists()


@pytest.mark.parametrize("source", ["checkpoint-20", "checkpoint-20/trainer_state.json", "lines"])
def test_where_a_run_is_read_from(command, run: Path, source: str) -> None:
    if source == "lines":
        path = run / "metrics.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in HISTORY))
        source = "metrics.jsonl"
    done = command("plot", run / source, "--text", "--metric", "loss", "--metric", "learning_rate")
    assert done.code == 0, done.err
    assert "eval_loss" not in done.out and "learning_rate" in done.out


def test_png(command, run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (the extra plot)")
    assert command("plot", run).out.splitlines()[-1] == str(run / "curves.png")
    assert command("plot", run, "--out", tmp_path / "a.png").code == 0
    for path in (run / "curves.png", tmp_path / "a.png"):
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000


def test_without_matplotlib(command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(plot, "find_spec", lambda name: None)
    done = command("plot", run)
    assert done.code == 0 and "pip install 'enfold[plot]'" in done.out
    refused = command("plot", run, "--out", run / "a.png")
    assert refused.code == 1 and "pip install 'enfold[plot]'" in refused.err


@pytest.mark.parametrize(("state", "argv", "message"), [
    (None, [], "has no trainer_state.json or metrics.jsonl"),
    ({"log_history": []}, [], "has no logs to draw"),
    ({"x": 1}, [], "has no list log_history"),
    ({"log_history": HISTORY}, ["--metric", "eval_los"],
     "the run has no 'eval_los' (nearest: 'eval_loss'"),
])
def test_refused_in_one_line(command, tmp_path: Path, state: Any, argv: list[str],
                             message: str) -> None:
    if state is not None:
        (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    done = command("plot", tmp_path, *argv)
    assert (done.code, done.out) == (1, "")
    assert message in done.err and done.err.count("\n") == 1


def test_bad_lines(command, tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text("{}\n{")
    assert "is not JSON in every line" in command("plot", tmp_path).err


def test_drawing() -> None:
    lines = draw("loss", {"loss": [(0, 0.0), (100, 1.0)]}, width=20, height=4).splitlines()
    assert lines[0] == "loss" and lines[1].startswith("  1 ┤") and lines[1].endswith("o")
    assert lines[4].startswith("  0 ┤o") and lines[-1].endswith("o loss, by step")
    flat = draw("a", {"a": [(1, 2.0)]}, 20, 3).splitlines()
    assert sum("o" in line for line in flat[1:4]) == 1
    assert [number(value) for value in (3.0, 0.12345, 1.5e-5)] == ["3", "0.123", "1.5e-05"]
