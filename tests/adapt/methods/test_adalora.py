"""AdaLoRA deals out ranks as peft does."""

from __future__ import annotations

import warnings

import peft
import pytest
import torch
from safetensors.torch import load_file

from enfold import adapt
from enfold.errors import ConfigError, InputError
from tests.adapt.methods.table import CASES, inputs_of, pair
from tests.adapt.tuned import Tuned
from tests.families.pairs import same_outputs

OPTIONS = {"init_r": 4, "target_r": 2, "total_step": 8, "tinit": 1, "tfinal": 2, "deltaT": 2,
           "lora_alpha": 16, "target_modules": ["q_proj", "down_proj"], "task_type": "CAUSAL_LM"}


def test_ranks(tmp_path):
    """Eight steps give the same masks and weights; what is left goes both ways."""
    made = pair("llama")
    theirs = peft.get_peft_model(made.theirs, peft.AdaLoraConfig(**OPTIONS)).eval()
    ours = adapt.get_peft_model(made.ours, adapt.AdaLoraConfig(**OPTIONS)).eval()
    inputs = inputs_of(Tuned(made, theirs, ours))
    wanted = {key: p for key, p in theirs.named_parameters() if p.requires_grad}
    found = {key: p for key, p in ours.named_parameters() if p.requires_grad}
    with torch.no_grad():
        for key, parameter in wanted.items():
            found[key].copy_(parameter)
    for step in range(9):
        for model, held in ((theirs, wanted), (ours, found)):
            model(**inputs).loss.backward()
            with torch.no_grad():
                for parameter in held.values():
                    parameter -= 0.5 * parameter.grad
            model.base_model.update_and_allocate(step)
            model.zero_grad()
    masks = {key.replace(".default", ""): value
             for key, value in theirs.peft_config["default"].rank_pattern.items()}
    assert ours.peft_config["default"].rank_pattern == masks
    assert sum(sum(mask) for mask in masks.values()) == 2 * len(masks)
    for key, parameter in wanted.items():
        torch.testing.assert_close(found[key], parameter, rtol=1e-4, atol=1e-6)
    inputs.pop("labels")
    theirs.save_pretrained(tmp_path / "theirs")
    ours.save_pretrained(tmp_path / "ours")
    files = [load_file(tmp_path / side / "adapter_model.safetensors")
             for side in ("theirs", "ours")]
    assert {k: t.shape for k, t in files[0].items()} == {k: t.shape for k, t in files[1].items()}
    with torch.no_grad():
        before = ours(**inputs)
        for side in ("theirs", "ours"):
            again = adapt.PeftModel.from_pretrained(pair("llama").ours, tmp_path / side)
            same_outputs(again(**inputs), before, 1e-4)
            other = peft.PeftModel.from_pretrained(pair("llama").theirs, tmp_path / side)
            same_outputs(other.eval()(**inputs), before, 1e-4)


def test_messages():
    model = adapt.get_peft_model(pair("llama").ours, CASES["adalora"].config("llama", adapt))
    with pytest.raises(InputError, match=r"no gradient. Do: call it after loss.backward"):
        model.base_model.update_and_allocate(1)
    model = adapt.get_peft_model(pair("llama").ours, CASES["loha"].config("llama", adapt))
    with pytest.raises(InputError, match="no active adapter is AdaLoRA"):
        model.base_model.update_and_allocate(1)


@pytest.mark.parametrize(("options", "message"), [
    ({"total_step": None}, "expected the number of optimiser steps"),
    ({"total_step": 4, "tinit": 4}, "leave none of total_step=4"),
    ({"total_step": 4, "beta1": 1.0}, "beta1 is 1.0, expected a number between 0 and 1"),
    ({"total_step": 4, "orth_reg_weight": -1}, "expected 0 or more"),
])
def test_configuration(options, message):
    with pytest.raises(ConfigError, match=message):
        adapt.AdaLoraConfig(**options)


def test_not_built():
    with pytest.raises(NotImplementedError, match="use_dora=True is not built. Do: use LoraConfig"):
        adapt.AdaLoraConfig(total_step=4, use_dora=True)
    with pytest.raises(NotImplementedError, match="init_lora_weights='pissa' is not built"):
        adapt.AdaLoraConfig(total_step=4, init_lora_weights="pissa")
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        adapt.AdaLoraConfig(total_step=4, r=4)
    assert "r=4 has no effect" in str(seen[0].message)
