"""log_metrics and save_metrics: what transformers prints and writes."""

from __future__ import annotations

import json

import pytest
import torch

from enfold import Trainer, TrainingArguments

METRICS = {"train_runtime": 61.5, "train_loss": 0.123456, "total_flos": 3 << 30, "epoch": 3.0,
           "rows": 12}


@pytest.fixture
def both(tmp_path):
    transformers = pytest.importorskip("transformers")
    model = torch.nn.Linear(1, 1)
    ours = Trainer(model, TrainingArguments(str(tmp_path / "ours"), report_to="none"))
    theirs = transformers.Trainer(model, transformers.TrainingArguments(
        str(tmp_path / "theirs"), report_to="none"))
    return ours, theirs


def test_they_are_printed_alike(both, capsys):
    printed = []
    for trainer in both:
        capsys.readouterr()
        trainer.log_metrics("train", METRICS)
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


def test_they_are_written_alike(both, tmp_path):
    for trainer in both:
        trainer.save_metrics("train", METRICS)
        trainer.save_metrics("eval", {"eval_loss": 1.5})
    for name in ("train_results.json", "eval_results.json", "all_results.json"):
        ours, theirs = (json.loads((tmp_path / who / name).read_text())
                        for who in ("ours", "theirs"))
        assert ours == theirs
