"""Loss curves and gradient norms are transformers'."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.families.pairs import fresh
from tests.train.trainer.runs import TASKS, curve, ours, rows, theirs


@pytest.mark.parametrize("task", TASKS)
def test_fifty_steps(task: str, tmp_path: Path) -> None:
    both = fresh(*TASKS[task])
    given = {"max_steps": 50, "per_device_train_batch_size": 4, "weight_decay": 0.01,
             "warmup_steps": 5, "lr_scheduler_type": "cosine", "seed": 7}
    data = rows(task)
    one, other = ours(both.ours, tmp_path / "a", data, **given), \
        theirs(both.theirs, tmp_path / "b", data, **given)
    done, wanted = one.train(), other.train()
    for name in ("loss", "grad_norm", "learning_rate", "epoch"):
        got, want = curve(one, name), curve(other, name)
        assert len(got) == len(want)
        assert got == pytest.approx(want, abs=1e-5, rel=1e-5), name
    assert done.global_step == wanted.global_step == 50
    assert done.training_loss == pytest.approx(wanted.training_loss, abs=1e-5)
    assert set(done.metrics) - {"total_flos"} == set(wanted.metrics) - {"total_flos"}
