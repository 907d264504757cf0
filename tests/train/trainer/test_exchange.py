"""What a run leaves for others: checkpoints of other Trainers, and the model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.families.pairs import fresh
from tests.train.trainer.runs import TASKS, curve, ours, rows, theirs
from tests.train.trainer.test_accumulation import Plain

GIVEN: dict[str, Any] = {"num_train_epochs": 3, "per_device_train_batch_size": 3, "save_steps": 5,
                         "gradient_accumulation_steps": 2, "learning_rate": 1e-3}


def test_a_run_of_transformers_goes_on_here(tmp_path: Path) -> None:
    data = rows("tokens", 18)  # whose batches count alike, for transformers does not know Plain
    for row in data:
        row.update({name: (row[name] * 3)[:8] for name in row}, labels=(row["input_ids"] * 3)[:8])
    begun = theirs(Plain(), tmp_path, data, **GIVEN, save_strategy="steps")
    begun.train()
    gone_on = ours(Plain(), tmp_path, data, **GIVEN)
    gone_on.train(resume_from_checkpoint=str(tmp_path / "checkpoint-5"))
    for name in ("loss", "grad_norm", "learning_rate"):
        assert curve(gone_on, name) == pytest.approx(curve(begun, name), abs=1e-5, rel=1e-5)
        assert len(curve(begun, name)) == 9


STEPS = {"max_steps": 6, "per_device_train_batch_size": 3, "learning_rate": 1e-3,
         "weight_decay": 0.1, "save_steps": 3, "save_strategy": "steps"}


@pytest.mark.parametrize("task", ["causal", "classes", "masked", "seq2seq"])
def test_the_optimizer_of_transformers_goes_on_here(task: str, tmp_path: Path) -> None:
    data, both = rows(task, 18), fresh(*TASKS[task])
    begun = theirs(both.theirs, tmp_path / "theirs", data, **STEPS)
    begun.train()
    gone_on = ours(both.ours, tmp_path / "ours", data, **STEPS)
    gone_on.train(resume_from_checkpoint=str(tmp_path / "theirs" / "checkpoint-3"))
    same_weights(gone_on.model, begun.model)
    assert curve(gone_on) == pytest.approx(curve(begun), abs=1e-5)


@pytest.mark.parametrize("task", ["causal", "seq2seq"])
def test_our_optimizer_goes_on_in_transformers(task: str, tmp_path: Path) -> None:
    data, both = rows(task, 18), fresh(*TASKS[task])
    begun = ours(both.ours, tmp_path / "ours", data, **STEPS)
    begun.train()
    gone_on = theirs(both.theirs, tmp_path / "theirs", data, **STEPS)
    gone_on.train(resume_from_checkpoint=str(tmp_path / "ours" / "checkpoint-3"))
    same_weights(begun.model, gone_on.model)


def same_weights(one: torch.nn.Module, other: torch.nn.Module) -> None:
    weights = dict(other.named_parameters())
    for name, weight in one.named_parameters():
        torch.testing.assert_close(weight, weights[name], atol=2e-5, rtol=1e-4)


def test_states_without_names_of_other_weights(tmp_path: Path) -> None:
    data, both = rows("causal", 18), fresh(*TASKS["causal"])
    both.theirs.model.embed_tokens.weight.requires_grad = False
    theirs(both.theirs, tmp_path, data, **STEPS).train()
    with pytest.raises(ValueError, match=r"other weights: groups of \[15, 5\], expected \[16, 5\]"):
        ours(both.ours, tmp_path, data, **STEPS).train(str(tmp_path / "checkpoint-3"))


@pytest.mark.parametrize(("change", "said"), [
    (lambda state: state["names"].__setitem__(0, "x"), "trained other weights"),
    (lambda state: state["state"][0].update(exp_avg=torch.zeros(3)), "exp_avg of .* has shape")])
def test_states_of_other_weights(change: Any, said: str, tmp_path: Path) -> None:
    data = rows("tokens", 20)
    ours(Plain(), tmp_path, data, **GIVEN, save_strategy="steps").train()
    path = tmp_path / "checkpoint-5" / "optimizer.pt"
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)
    with pytest.raises(ValueError, match=said):
        ours(Plain(), tmp_path, data, **GIVEN).train(str(tmp_path / "checkpoint-5"))


def test_model_card(tmp_path: Path) -> None:
    made = ours(fresh(*TASKS["classes"]).ours, tmp_path, rows("classes", 8), max_steps=1)
    made.train()
    made.create_model_card(tags="tiny")
    text = (tmp_path / "README.md").read_text()
    assert "tiny" in text and "generated_from_trainer" in text
