"""What a run shows before its first step, and whether it draws bars."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from enfold.data import disable_progress_bars, enable_progress_bars
from tests.families.pairs import fresh
from tests.train.trainer.runs import ours, rows

CLASSES = ("bert", "ForSequenceClassification")


def run(folder: Path, **arguments: Any) -> Any:
    made = ours(fresh(*CLASSES).ours, folder, rows("classes", 8), **{"max_steps": 2, **arguments})
    made.train()
    return made


@pytest.mark.parametrize("bars", [True, False])
def test_the_estimate_of_memory_comes_first(bars: bool, tmp_path: Path,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    made = run(tmp_path, disable_tqdm=not bars)
    weights = sum(p.numel() for p in made.model.parameters()) * 4 / 1000
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"memory before activations: {4 * weights:.3g} KB (weights "
                               f"{weights:.3g} KB, gradients {weights:.3g} KB, optimizer "
                               f"{2 * weights:.3g} KB) of ")
    assert "'loss'" in lines[1]


@pytest.mark.parametrize(("arguments", "optimizer"), [
    ({"optim": "sgd"}, 0), ({"optim": "adamw_8bit"}, 2), ({"optim": "adamw_torch"}, 8)])
def test_states_of_optimizers_count(arguments: dict[str, Any], optimizer: int, tmp_path: Path,
                                    capsys: pytest.CaptureFixture[str]) -> None:
    made = run(tmp_path, **arguments)
    wanted = sum(p.numel() for p in made.model.parameters()) * optimizer / 1000
    shown = "0 B" if not wanted else f"{wanted:.3g} KB"
    assert f"optimizer {shown})" in capsys.readouterr().out


def test_too_little_memory_is_told_before_it_runs_out(tmp_path: Path,
                                                      monkeypatch: pytest.MonkeyPatch,
                                                      capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("enfold.train.trainer.memory.free_memory", lambda: 100)
    run(tmp_path)
    said = capsys.readouterr().out
    assert "which is too little. Do: auto_find_batch_size=True" in said


def bars(folder: Path, capsys: pytest.CaptureFixture[str], **arguments: Any) -> bool:
    run(folder, **arguments)
    shown = capsys.readouterr().err
    return "step/s]" in shown or "s/step]" in shown  # the latter where a step takes seconds


def test_bars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bars(tmp_path, capsys, disable_tqdm=False)
    assert not bars(tmp_path, capsys, disable_tqdm=True)
    disable_progress_bars()
    try:
        assert not bars(tmp_path, capsys, disable_tqdm=False)
    finally:
        enable_progress_bars()


def test_the_environment_forbids_bars() -> None:
    script = ("from enfold.train.arguments import TrainingArguments\n"
              "from enfold.train.trainer import Trainer\nimport torch, tempfile\n"
              "args = TrainingArguments(tempfile.mkdtemp(), disable_tqdm=False, report_to='none')\n"
              "made = Trainer(torch.nn.Linear(2, 1), args)\n"
              "print([type(one).__name__ for one in made.callback_handler.callbacks])")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                          check=True, env={**os.environ, "ENFOLD_DISABLE_PROGRESS_BARS": "1"})
    assert "PrinterCallback" in done.stdout and "ProgressCallback" not in done.stdout
