"""LoRA in the Trainer: peft's loss curve under transformers' Trainer, and small checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.adapt import AdaLoraConfig, LoraConfig, PeftModel, get_peft_model
from enfold.train.callbacks import TrainerCallback
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


ADALORA = {"init_r": 4, "target_r": 2, "total_step": 12, "tinit": 2, "tfinal": 3, "deltaT": 2,
           "target_modules": ["q_proj", "v_proj"], "task_type": "CAUSAL_LM"}


def adalora(folder: Path, **options: Any) -> Any:
    torch.manual_seed(0)
    model = get_peft_model(fresh(*TASKS["causal"]).ours, AdaLoraConfig(**ADALORA))
    return ours(model, folder, rows("causal", 40), max_steps=12, save_strategy="steps",
                save_steps=5, learning_rate=1e-2, per_device_train_batch_size=4, **options)


def test_adalora_deals_out_ranks_by_itself(tmp_path: Path) -> None:
    """As a loop that calls it after each step; resumed exactly; saved without the ranks gone."""
    seen: list[int] = []

    class Call(TrainerCallback):
        def on_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None,
                              **kwargs: Any) -> None:
            model.base_model.update_and_allocate(state.global_step + 1)
            seen.append(state.global_step)

    made = adalora(tmp_path / "a")
    made.train()
    masks = made.model.peft_config["default"].rank_pattern
    assert sum(map(sum, masks.values())) == 2 * len(masks)
    by_hand = adalora(tmp_path / "b", options={"callbacks": [Call()]})
    by_hand.train()
    assert len(seen) == 12 and curve(by_hand) == curve(made)
    for step in (5, 10):
        again = adalora(tmp_path / "c")
        again.train(resume_from_checkpoint=str(tmp_path / "a" / f"checkpoint-{step}"))
        assert curve(again) == curve(made)
        assert again.model.peft_config["default"].rank_pattern == masks
    made.save_model(tmp_path / "end")
    read = PeftModel.from_pretrained(fresh(*TASKS["causal"]).ours, tmp_path / "end")
    inputs = fresh(*TASKS["causal"]).inputs()
    with torch.no_grad():
        torch.testing.assert_close(read(**inputs).logits, made.model.eval()(**inputs).logits)
