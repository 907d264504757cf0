"""Adapters on a model itself: the names of transformers' PreTrainedModel."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from enfold import adapt
from tests.adapt.tuned import shake
from tests.families.pairs import fresh, same_outputs

CONFIG = {"target_modules": ["q_proj", "v_proj"]}


def build():
    pair = fresh("llama", "ForCausalLM")
    pair.ours.add_adapter(adapt.LoraConfig(**CONFIG))
    shake(pair.ours)
    return pair, pair.ours


def run(model, pair):
    with torch.no_grad():
        return model(**pair.inputs())


def test_both_ways_with_transformers(tmp_path):
    import peft

    pair = fresh("llama", "ForCausalLM")
    pair.theirs.add_adapter(peft.LoraConfig(**CONFIG))
    shake(pair.theirs)
    pair.theirs.save_pretrained(tmp_path / "theirs")
    pair.ours.load_adapter(tmp_path / "theirs")
    same_outputs(run(pair.ours, pair), run(pair.theirs, pair))
    pair.ours.save_pretrained(tmp_path / "ours")
    assert not (tmp_path / "ours" / "model.safetensors").exists()
    again = fresh("llama", "ForCausalLM").theirs
    again.load_adapter(str(tmp_path / "ours"))
    same_outputs(run(again.eval(), pair), run(pair.ours, pair))
    held = pair.ours.get_adapter_state_dict()
    assert set(held) == set(load_file(tmp_path / "theirs" / "adapter_model.safetensors"))


def test_names_stay(tmp_path):
    _, model = build()
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained[0] == "model.layers.0.self_attn.q_proj.lora_A.default.weight"
    assert len(trained) == 8 and model.active_adapters() == ["default"]
    model.save_pretrained(tmp_path, state_dict={name: torch.zeros_like(value)
                                                for name, value in model.state_dict().items()})
    assert not any(v.any() for v in load_file(tmp_path / "adapter_model.safetensors").values())


def test_switches(tmp_path):
    pair, model = build()
    adapted = run(model, pair)
    model.disable_adapters()
    plain = run(model, pair)
    assert (plain.logits - adapted.logits).abs().max() > 1e-3
    model.enable_adapters()
    same_outputs(run(model, pair), adapted)
    model.save_pretrained(tmp_path)
    model.add_adapter(adapt.LoraConfig(**CONFIG), "second")
    assert model.active_adapter() == "second" and set(model.peft_config) == {"default", "second"}
    model.load_adapter(tmp_path, "second")  # takes the tensors of the file
    same_outputs(run(model, pair), adapted)
    model.delete_adapter(["default", "second"])
    assert model.adapters is None and model.peft_config == {}
    same_outputs(run(model, pair), plain)
    model.save_pretrained(tmp_path / "whole")
    assert (tmp_path / "whole" / "model.safetensors").exists()


def test_errors(tmp_path):
    model = fresh("llama", "ForCausalLM").ours
    with pytest.raises(ValueError, match="has no adapter. Do: add_adapter"):
        model.set_adapter("default")
    with pytest.raises(ValueError, match="got no peft_model_id"):
        model.load_adapter()
    with pytest.raises(TypeError, match="unknown argument 'revison'"):
        model.load_adapter(tmp_path, revison="main")
    with pytest.raises(ValueError, match="no layer fits 'nowhere'"):
        model.add_adapter(adapt.LoraConfig(target_modules=["nowhere"]))
    assert model.adapters is None
