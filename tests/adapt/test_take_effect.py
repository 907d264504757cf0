"""An adapter takes effect or raises."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from enfold import adapt
from tests.adapt.tuned import shake
from tests.families.pairs import fresh

Q0 = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


@pytest.fixture
def folder(tmp_path):
    model = adapt.get_peft_model(fresh("llama", "ForCausalLM").ours,
                                 adapt.LoraConfig(target_modules=["q_proj", "v_proj"]))
    shake(model)
    model.save_pretrained(tmp_path)
    return tmp_path


def rename(change):
    return lambda held: {change(key): value for key, value in held.items()}


def without(held):
    return {key: value for key, value in held.items() if key != Q0}


CASES = [
    (rename(lambda k: k.removeprefix("base_model.model.")), "begin the names with 'base_model"),
    (rename(lambda k: f"base_model.{k}"), "have no place in the model"),
    (rename(lambda k: k.replace("lora_A", "lora_a")),
     r"lora_a.weight'.* have no place in the model \(nearest: 'base_model.*are not in the file"),
    (rename(lambda k: k.replace("self_attn", "attn")), "have no place in the model"),
    (rename(lambda k: k.replace(".weight", ".default.weight")), "have no place in the model"),
    (without, f"'{Q0}' are not in the file"),
    (lambda held: {**held, Q0: held[Q0].t().contiguous()}, r"has shape \(32, 8\), expected \(8"),
    (lambda held: {**held, "more": held[Q0].clone()}, "'more' have no place"),
]


@pytest.mark.parametrize(("change", "message"), CASES)
def test_file_that_does_not_fit(folder, change, message):
    path = folder / "adapter_model.safetensors"
    save_file(change(load_file(path)), path)
    base = fresh("llama", "ForCausalLM").ours
    names = set(dict(base.named_parameters()))
    with pytest.raises(ValueError, match=message):
        adapt.PeftModel.from_pretrained(base, folder)
    assert set(dict(base.named_parameters())) == names  # the base is as it was
    model = adapt.get_peft_model(base, adapt.LoraConfig(target_modules=["k_proj"]))
    with pytest.raises(ValueError, match=message):
        model.load_adapter(folder, "other")
    assert list(model.peft_config) == ["default"]


@pytest.mark.parametrize(("edits", "message"), [
    ({"hidden_size": 64}, "has shape"), ({"num_hidden_layers": 3}, "are not in the file"),
    ({"num_hidden_layers": 1}, "have no place in the model")])
def test_base_of_another_shape(folder, edits, message):
    base = fresh("llama", "ForCausalLM", **edits).ours
    with pytest.raises(ValueError, match=message):
        adapt.PeftModel.from_pretrained(base, folder)


def test_base_without_head(folder):
    with pytest.raises(ValueError, match="have no place in the model"):
        adapt.PeftModel.from_pretrained(fresh("llama", "Model").ours, folder)


def test_config_of_other_targets(folder):
    path = folder / "adapter_config.json"
    held = json.loads(path.read_text())
    path.write_text(json.dumps({**held, "target_modules": ["q_proj"]}))
    with pytest.raises(ValueError, match="v_proj.lora_A.weight.* have no place"):
        adapt.PeftModel.from_pretrained(fresh("llama", "ForCausalLM").ours, folder)


def test_nothing_there(tmp_path):
    adapt.LoraConfig(target_modules=["q_proj"]).save_pretrained(tmp_path)
    with pytest.raises(OSError, match="neither adapter_model.safetensors nor adapter_model.bin"):
        adapt.PeftModel.from_pretrained(fresh("llama", "ForCausalLM").ours, tmp_path)


@pytest.mark.parametrize("name", ["lora", "base_layer", "weight", "lora_A"])
def test_awkward_names(name, tmp_path):
    """Names that a replacement of strings would get wrong: of the adapter, of modules."""
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight_lora = torch.nn.ModuleDict({"default": torch.nn.Linear(4, 4)})

        def forward(self, x):
            return self.weight_lora["default"](x)

    torch.manual_seed(0)
    base = Net()
    state = {key: value.clone() for key, value in base.state_dict().items()}
    model = adapt.get_peft_model(base, adapt.LoraConfig(target_modules=["weight_lora.default"]),
                                 name)
    shake(model)
    x = torch.randn(2, 4)
    wanted = model(x)
    model.save_pretrained(tmp_path)
    again = Net()
    again.load_state_dict(state)
    loaded = adapt.PeftModel.from_pretrained(again, tmp_path / name)
    assert torch.equal(loaded(x), wanted)
    assert not torch.allclose(loaded(x), loaded.unload()(x))


def test_pickled_weights(folder):
    first = adapt.PeftModel.from_pretrained(fresh("llama", "ForCausalLM").ours, folder)
    first.save_pretrained(folder / "old", safe_serialization=False)
    second = adapt.PeftModel.from_pretrained(fresh("llama", "ForCausalLM").ours, folder / "old")
    one, two = (adapt.get_peft_model_state_dict(model) for model in (first, second))
    assert list(one) == list(two) and all(torch.equal(one[key], two[key]) for key in one)


def test_state_given(folder):
    """save_pretrained takes the tensors of a state that was gathered elsewhere."""
    model = adapt.PeftModel.from_pretrained(fresh("llama", "ForCausalLM").ours, folder)
    state = {key: torch.zeros_like(value) for key, value in model.state_dict().items()}
    model.save_pretrained(folder / "zeros", state_dict=state)
    held = load_file(folder / "zeros" / "adapter_model.safetensors")
    assert len(held) == 8 and not any(value.any() for value in held.values())


def test_whole_state_goes_round(folder):
    model = adapt.PeftModel.from_pretrained(fresh("llama", "ForCausalLM").ours, folder)
    other = adapt.get_peft_model(fresh("llama", "ForCausalLM").ours,
                                 adapt.LoraConfig(target_modules=["q_proj", "v_proj"]))
    other.load_state_dict(model.state_dict())
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(),
                                                 strict=True))
    with pytest.raises((RuntimeError, ValueError), match="unexpected"):
        other.load_state_dict({**model.state_dict(), "nowhere.weight": torch.ones(1)})
    assert list(model.state_dict()) == list(other.state_dict())
    assert {key for key, _ in model.named_parameters()} <= set(model.state_dict())


def test_unknown_options_of_saving(folder):
    model = adapt.PeftModel.from_pretrained(fresh("llama", "ForCausalLM").ours, folder)
    with pytest.raises(TypeError, match="unknown argument 'safe_serialisation'.*nearest"):
        model.save_pretrained(folder, safe_serialisation=False)
    with pytest.raises(ValueError, match="there is no adapter 'other'"):
        model.save_pretrained(folder, selected_adapters=["other"])
    with pytest.raises(TypeError, match="unknown argument 'revison'"):
        adapt.PeftModel.from_pretrained(fresh("llama", "ForCausalLM").ours, folder, revison="x")
