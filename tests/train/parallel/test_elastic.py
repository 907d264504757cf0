"""torchrun's own agent starts the ranks again when one dies, and the run goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.train.parallel import elastic

ROOT = Path(__file__).parents[3]


def test_ranks_that_are_started_again_go_on(tmp_path: Path) -> None:
    again, alone = tmp_path / "again", tmp_path / "alone"
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         "--max-restarts=1", "--monitor-interval=0.2", "--module", "tests.train.parallel.elastic",
         str(again), "die"], cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True,
        capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    elastic.main(alone, die=False)
    found, whole = (json.loads((out / "end.json").read_text()) for out in (again, alone))
    assert (found["first"], found["from"]) == (False, "checkpoint-4")
    assert (whole["first"], whole["from"]) == (True, None) and len(whole["loss"]) == 8
    assert found["loss"] == pytest.approx(whole["loss"], abs=1e-5)
