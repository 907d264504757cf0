"""LoRA in the Trainer: peft's loss curve under transformers' Trainer, and small checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.adapt import LoraConfig, get_peft_model
from tests.families.pairs import fresh
from tests.train.trainer.runs import TASKS, curve, ours, rows, theirs

peft = pytest.importorskip("peft")
TARGETS = {"causal": ["q_proj", "v_proj"], "masked": ["query", "value"],
           "classes": ["query", "value"], "tokens": ["q_lin", "v_lin"]}
KINDS = {"causal": "CAUSAL_LM", "classes": "SEQ_CLS", "tokens": "TOKEN_CLS", "masked": None}


def adapted(model: Any, task: str, make: Any, config: Any) -> Any:
    torch.manual_seed(0)
    return make(model, config(r=4, lora_alpha=8, target_modules=TARGETS[task],
                              task_type=KINDS[task]))


@pytest.mark.parametrize("task", TARGETS)
def test_fifty_steps(task: str, tmp_path: Path) -> None:
    both, data = fresh(*TASKS[task]), rows(task)
    mine = adapted(both.ours, task, get_peft_model, LoraConfig)
    their = adapted(both.theirs, task, peft.get_peft_model, peft.LoraConfig)
    start = {name: tensor.clone() for name, tensor in their.state_dict().items()}
    missing = [name for name in mine.state_dict() if name not in start]
    assert not missing
    mine.load_state_dict({name: start[name] for name in mine.state_dict()})
    given = {"max_steps": 50, "per_device_train_batch_size": 4, "learning_rate": 1e-3, "seed": 7}
    one, other = ours(mine, tmp_path / "a", data, **given), \
        theirs(their, tmp_path / "b", data, **given)
    one.train(), other.train()
    for name in ("loss", "grad_norm"):
        assert curve(one, name) == pytest.approx(curve(other, name), abs=1e-5, rel=1e-5), name
    trained = dict(their.named_parameters())
    for name, parameter in mine.named_parameters():
        assert parameter.requires_grad == trained[name].requires_grad, name
        assert torch.allclose(parameter, trained[name], atol=1e-4), name


def test_checkpoints_hold_the_adapter_and_resume(tmp_path: Path) -> None:
    def make() -> Any:
        model = adapted(fresh(*TASKS["classes"]).ours, "classes", get_peft_model, LoraConfig)
        return ours(model, tmp_path, rows("classes", 20), max_steps=4, save_strategy="steps",
                    save_steps=2, learning_rate=1e-2)

    whole = make()
    whole.train()
    names = {path.name for path in (tmp_path / "checkpoint-2").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "optimizer.pt"} <= names
    assert "model.safetensors" not in names
    again = make()
    again.train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    held = again.model.state_dict()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, held[name]), name
