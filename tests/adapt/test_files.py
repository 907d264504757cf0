"""Adapters go both ways between peft and here: same names, same outputs, same gradients."""

from __future__ import annotations

import peft
import pytest
import torch
from safetensors.torch import load_file

from enfold import adapt
from tests.adapt.tuned import MODELS, tuned
from tests.families.pairs import fresh, same_outputs

TIED = "base_model.model.cls.predictions.decoder.bias"  # the same as cls.predictions.bias
OPTIONS = {
    "plain": {}, "rank": {"r": 4, "lora_alpha": 32}, "rslora": {"use_rslora": True},
    "patterns": {"rank_pattern": {"1.*": 3}, "alpha_pattern": {"0.*": 64}},
    "dora": {"use_dora": True}, "bias": {"bias": "all"}, "own_bias": {"bias": "lora_only"},
    "lora_bias": {"lora_bias": True}, "all": {"target_modules": "all-linear"},
    "pissa": {"init_lora_weights": "pissa"}, "olora": {"init_lora_weights": "olora"},
}
CASES = [(name, "plain") for name in MODELS] + [
    (name, option) for name in ("llama", "gpt2", "bert") for option in list(OPTIONS)[1:]
    if (name, option) != ("gpt2", "olora")]  # peft's OLoRA takes the weight of a Conv1D unturned


@pytest.mark.parametrize(("name", "option"), CASES)
def test_peft_to_here(name, option, tmp_path):
    made = tuned(name, tmp_path, **OPTIONS[option])
    inputs = made.inputs()
    with torch.no_grad():
        same_outputs(made.ours(**inputs), made.theirs(**inputs))


@pytest.mark.parametrize(("name", "option"), CASES)
def test_here_to_peft(name, option, tmp_path):
    made = tuned(name, tmp_path / "theirs", **OPTIONS[option])
    made.ours.save_pretrained(tmp_path / "ours")
    before, after = (load_file(tmp_path / side / "adapter_model.safetensors")
                     for side in ("theirs", "ours"))
    assert set(before) - set(after) <= {TIED}
    assert all(torch.equal(before[key], after[key]) for key in after)
    again = peft.PeftModel.from_pretrained(fresh(*MODELS[name][:2]).theirs, tmp_path / "ours")
    inputs = made.inputs()
    with torch.no_grad():
        same_outputs(made.ours(**inputs), again(**inputs))


@pytest.mark.parametrize(("name", "option"), CASES)
def test_gradients(name, option, tmp_path):
    made = tuned(name, tmp_path, **OPTIONS[option])
    ours = adapt.PeftModel.from_pretrained(fresh(*MODELS[name][:2]).ours, tmp_path,
                                           is_trainable=True).eval()
    inputs = made.inputs()
    made.theirs(**inputs).loss.backward()
    ours(**inputs).loss.backward()
    found = {key.replace(".weight", ""): p.grad for key, p in ours.named_parameters()
             if p.requires_grad}
    wanted = {key.replace(".weight", ""): p.grad for key, p in made.theirs.named_parameters()
              if p.requires_grad}
    assert set(found) == set(wanted)
    scale = max(float(grad.abs().max()) for grad in wanted.values())
    for key, grad in wanted.items():
        assert float((found[key] - grad).abs().max()) <= 1e-5 * max(scale, 1e-3), key


def test_published_figure(capsys):
    import enfold

    with torch.device("meta"):
        model = enfold.LlamaForCausalLM(enfold.LlamaConfig())
    config = adapt.LoraConfig(r=8, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    adapt.get_peft_model(model, config).print_trainable_parameters()
    assert capsys.readouterr().out == ("trainable params: 4,194,304 || all params: 6,742,609,920 "
                                       "|| trainable%: 0.0622\n")


