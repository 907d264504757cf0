"""Two ranks do the steps of one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


def run(ranks: int, out: Path, *words: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone",
               f"--nproc-per-node={ranks}"] if ranks > 1 else [sys.executable]
    done = subprocess.run([*command, "-m" if ranks == 1 else "--module",
                           "tests.train.trainer.two_ranks", str(out), *words],
                          cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True,
                          capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((out / "run.json").read_text())  # type: ignore[no-any-return]


def same(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert two["labels"] == one["labels"] and two["rows"] == one["rows"]
    for name in ("loss", "norm", "eval", "logits"):
        assert two[name] == pytest.approx(one[name], abs=1e-5, rel=1e-5), name


@pytest.mark.parametrize(("task", "kind"), [("causal", "table"), ("tokens", "stream")])
def test_two_ranks_are_one(task: str, kind: str, tmp_path: Path) -> None:
    one = run(1, tmp_path / "1", task, "8", "1", "5", kind)
    two = run(2, tmp_path / "2", task, "2", "2", "5", kind)
    same(one, two)


def test_a_run_of_two_ranks_goes_on_with_one(tmp_path: Path) -> None:
    whole = run(1, tmp_path / "1", "causal", "4", "1", "6", "table")
    run(2, tmp_path / "2", "causal", "2", "1", "4", "table")
    same(whole, run(1, tmp_path / "2", "causal", "4", "1", "6", "table", "resume"))
