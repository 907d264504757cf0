"""Mixtures of experts in the Trainer: curves of transformers and peft, with the routers' loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.adapt import LoraConfig, get_peft_model
from tests.families.pairs import Pair, fresh
from tests.train.trainer.runs import curve, ours, rows, theirs
from tests.train.trainer.test_exchange import STEPS, same_weights

peft = pytest.importorskip("peft")
GIVEN: dict[str, Any] = {"max_steps": 25, "per_device_train_batch_size": 4, "seed": 7,
                         "weight_decay": 0.01}


def mixtral(variant: str = "balanced") -> Pair:
    return fresh("mixtral", "ForCausalLM", variant)


@pytest.mark.parametrize("variant", ["base", "balanced"])
def test_steps(variant: str, tmp_path: Path) -> None:
    both, data = mixtral(variant), rows("causal")
    one, other = ours(both.ours, tmp_path / "a", data, **GIVEN), \
        theirs(both.theirs, tmp_path / "b", data, **GIVEN)
    one.train(), other.train()
    for name in ("loss", "grad_norm"):
        assert curve(one, name) == pytest.approx(curve(other, name), abs=1e-5, rel=1e-5), name
    assert one.state.global_step == 25
    same_weights(one.model, other.model)


def test_lora_on_experts(tmp_path: Path) -> None:
    both, data = mixtral(), rows("causal")
    options: dict[str, Any] = {"r": 2, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    torch.manual_seed(0)
    their = peft.get_peft_model(both.theirs, peft.LoraConfig(**options))
    mine = get_peft_model(both.ours, LoraConfig(**options))
    start = {name: tensor.clone() for name, tensor in their.state_dict().items()}
    mine.load_state_dict({name: start[name] for name in mine.state_dict()})
    given = GIVEN | {"learning_rate": 1e-3}
    one, other = ours(mine, tmp_path / "a", data, **given), \
        theirs(their, tmp_path / "b", data, **given)
    one.train(), other.train()
    for name in ("loss", "grad_norm"):
        assert curve(one, name) == pytest.approx(curve(other, name), abs=1e-5, rel=1e-5), name


def test_a_run_of_transformers_goes_on_here(tmp_path: Path) -> None:
    """Not the other way: its own Trainer leaves experts of a checkpoint unread when it resumes."""
    data, both = rows("causal", 18), mixtral()
    begun = theirs(both.theirs, tmp_path / "theirs", data, **STEPS)
    begun.train()
    gone_on = ours(both.ours, tmp_path / "ours", data, **STEPS)
    gone_on.train(resume_from_checkpoint=str(tmp_path / "theirs" / "checkpoint-3"))
    same_weights(gone_on.model, begun.model)
    again = ours(mixtral().ours, tmp_path / "ours", data, **STEPS)
    again.train(resume_from_checkpoint=str(tmp_path / "ours" / "checkpoint-6"))
    same_weights(again.model, begun.model)
