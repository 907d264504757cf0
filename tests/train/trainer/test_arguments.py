"""Arguments that change no number of training, and do what they say."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from enfold.data import Dataset
from enfold.train.trainer import Trainer, arrays, memory
from tests.families.pairs import fresh
from tests.train.trainer.runs import curve, ours, rows

CLASSES = ("bert", "ForSequenceClassification")


def test_torch_empty_cache_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emptied: list[int] = []
    made = ours(fresh(*CLASSES).ours, tmp_path, rows("classes", 8), max_steps=5,
                torch_empty_cache_steps=2)
    monkeypatch.setattr("enfold.train.trainer.loop.empty_cache",
                        lambda device: emptied.append(made.state.global_step))
    made.train()
    assert emptied == [1, 3]
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: emptied.append(-1))
    memory.empty_cache(torch.device("cpu"))
    memory.empty_cache(torch.device("cuda"))
    assert emptied == [1, 3, -1]


def test_eval_accumulation_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both, data = fresh(*CLASSES), rows("classes", 13)
    found = [made.predict(made.train_dataset).predictions for made in (
        ours(both.ours, tmp_path, data, per_device_eval_batch_size=2, eval_accumulation_steps=every)
        for every in (None, 3))]
    np.testing.assert_array_equal(found[0], found[1])
    real, held = arrays.to_array, list[int]()
    monkeypatch.setattr(arrays, "to_array", lambda value: (held.append(1), real(value))[1])
    kept = arrays.Collected(every=3)
    moved = [(kept.add(torch.ones(2, number + 1)), len(held))[1] for number in range(5)]
    assert moved == [0, 0, 3, 3, 3] and kept.arrays().shape == (10, 5) and len(held) == 5


def test_include_tokens_per_second(tmp_path: Path) -> None:
    data = rows("classes", 8)
    made = ours(fresh(*CLASSES).ours, tmp_path, data, max_steps=2, per_device_train_batch_size=8,
                include_tokens_per_second=True, logging_steps=1)
    metrics = made.train().metrics
    longest = max(len(row["input_ids"]) for row in data)
    assert made.state.num_input_tokens_seen == 2 * 8 * longest
    assert metrics["train_tokens_per_second"] == pytest.approx(
        2 * 8 * longest / metrics["train_runtime"], rel=0.2)
    assert not curve(made, "num_input_tokens_seen")


def test_save_safetensors(tmp_path: Path) -> None:
    options = {"save_strategy": "steps", "save_steps": 2, "max_steps": 4, "learning_rate": 1e-2}
    made = ours(fresh(*CLASSES).ours, tmp_path, rows("classes", 8), save_safetensors=False,
                **options)
    made.train()
    names = {path.name for path in (tmp_path / "checkpoint-2").iterdir()}
    assert "pytorch_model.bin" in names and "model.safetensors" not in names
    again = ours(fresh(*CLASSES).ours, tmp_path / "again", rows("classes", 8), **options)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    for name, tensor in made.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name])


def test_outputs_that_are_no_tensors(tmp_path: Path) -> None:
    class Texts(Trainer):
        def prediction_step(self, model: Any, inputs: Any, prediction_loss_only: bool,
                            ignore_keys: Any = None) -> Any:
            loss, logits, labels = super().prediction_step(model, inputs, prediction_loss_only,
                                                           ignore_keys)
            return loss, [f"class {number}" for number in logits.argmax(-1)], labels

    data = rows("classes", 7)
    made = ours(fresh(*CLASSES).ours, tmp_path, data, Texts, eval_use_gather_object=True,
                per_device_eval_batch_size=3)
    found = made.predict(Dataset.from_list(data))
    assert len(found.predictions) == len(found.label_ids) == 7
    assert all(text.startswith("class ") for text in found.predictions)


@pytest.mark.parametrize(("given", "level"), [
    ({}, logging.WARNING), ({"log_level": "info"}, logging.INFO),
    ({"log_level": "error", "log_level_replica": "info"}, logging.ERROR)])
def test_log_level(given: dict[str, Any], level: int, tmp_path: Path) -> None:
    logger = logging.getLogger("enfold")
    before = logger.level
    try:
        ours(fresh(*CLASSES).ours, tmp_path, rows("classes", 4), **given)
        assert logger.getEffectiveLevel() == level
    finally:
        logger.setLevel(before)


def test_torch_compile(tmp_path: Path) -> None:
    """The numbers of the plain run; checkpoints that know nothing of it."""
    data, runs = rows("classes", 8), []
    for options in ({}, {"torch_compile_backend": "eager"}):
        made = ours(fresh(*CLASSES).ours, tmp_path, data, max_steps=2, save_strategy="steps",
                    save_steps=2, **options)
        made.train()
        runs.append(made)
    plain, compiled = runs
    assert type(compiled.model_wrapped).__name__ == "OptimizedModule"
    assert curve(compiled) == pytest.approx(curve(plain), abs=1e-5)
    again = ours(fresh(*CLASSES).ours, tmp_path, data, max_steps=3)
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    assert again.state.global_step == 3
