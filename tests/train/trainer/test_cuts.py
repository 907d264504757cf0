"""8 rows in batches of 8, 4 and 1, by one rank and by two: the same loss and gradient norm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.train.trainer.cuts import CUTS, TASKS, logged

ROOT = Path(__file__).parents[3]
Found = dict[str, list[list[float]]]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What two ranks logged."""
    out = tmp_path_factory.mktemp("cuts") / "two.json"
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         "--module", "tests.train.trainer.cuts", str(out)], cwd=ROOT, capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"}, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(out.read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize("task", TASKS)
def test_however_a_step_is_cut(task: str, two: Found, tmp_path: Path) -> None:
    found = {f"{batch}x{many}": logged(task, batch, many, tmp_path) for batch, many in CUTS}
    found |= {f"{cut} on 2": two[f"{task} {cut}"] for cut in list(found)}
    first = found["8x1"]
    assert len(found) == 6 and len(first[0]) == 3 and first[0][0] != first[0][1]
    for cut, curves in found.items():
        for name, curve, wanted in zip(("loss", "norm"), curves, first, strict=True):
            assert curve == pytest.approx(wanted, abs=1e-5, rel=1e-5), f"{name} of {cut}"
