"""Plain checkpoints quantized as they are loaded, saved as compressed-tensors."""

from __future__ import annotations

import copy
import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file

from enfold import AutoModelForCausalLM
from enfold.errors import ConfigError
from enfold.quant.awq import AwqConfig
from enfold.quant.compressed import CompressedTensorsConfig
from enfold.quant.config import BitsAndBytesConfig
from enfold.quant.fine_fp8 import FineGrainedFP8Config
from enfold.quant.gptq import GPTQConfig
from enfold.quant.torchao import TorchAoConfig
from tests.quant.checkpoints import plain_logits, save_llama

IDS = torch.tensor([[1, 5, 9, 30, 2, 77]])
CONFIGS = {
    "int4": (TorchAoConfig("int4_weight_only", group_size=32), 0.25, "int4, 4 bits, groups of 32"),
    "int8": (TorchAoConfig("int8_weight_only"), 0.03, "int8, 8 bits, by rows"),
    "int8-groups": (TorchAoConfig("int8_weight_only", group_size=32), 0.03, "8 bits, groups of 32"),
    "int8-dynamic": (TorchAoConfig("int8_dynamic_activation_int8_weight"), 0.05,
                     "int8, scales by rows, inputs in int8 by rows"),
    "int4-dynamic": (TorchAoConfig("int8_dynamic_activation_int4_weight"), 0.25, "4 bits"),
    "float8": (TorchAoConfig("float8_weight_only"), 0.1, "e4m3fn, scales by rows"),
    "float8-blocks": (CompressedTensorsConfig({"FP8_BLOCK": ["Linear"]}), 0.1, "blocks of 128x128"),
    "float8-fine": (FineGrainedFP8Config(weight_block_size=(32, 32)), 0.1, "blocks of 32x32"),
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return save_llama(tmp_path_factory.mktemp("llama"))


@pytest.mark.parametrize("case", CONFIGS)
def test_quantizes_and_saves(case, llama, tmp_path):
    config, limit, said = CONFIGS[case]
    model, info = AutoModelForCausalLM.from_pretrained(
        llama, dtype=torch.float32, quantization_config=config, output_loading_info=True)
    assert said in repr(model) and type(model.lm_head).__name__ == "Linear"
    assert len(info["quantization_errors"]) == 14
    assert max(info["quantization_errors"].values()) < limit
    weights = load_file(llama / "model.safetensors")
    expected = plain_logits(llama, weights, IDS)
    with torch.no_grad():
        found = model(IDS).logits
    assert 0 < (found - expected).norm() < 2 * limit * expected.norm()

    model.save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())["quantization_config"]
    assert "lm_head" in saved.get("ignore", saved.get("modules_to_not_convert"))
    if case == "int4-dynamic":  # packed integers beside int8 inputs are read by nobody else
        assert saved["config_groups"]["group_0"]["input_activations"] is None
    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(again(IDS).logits, found)


def test_layers_that_are_named_stay(llama):
    config = TorchAoConfig("int4_weight_only", group_size=32, modules_to_not_convert=["mlp"])
    model = AutoModelForCausalLM.from_pretrained(llama, quantization_config=config)
    layer = model.model.layers[0]
    assert type(layer.mlp.up_proj).__name__ == "Linear"
    assert type(layer.self_attn.q_proj).__name__ == "PackedLinear"


def test_copies_pickles_and_states(llama):
    config = TorchAoConfig("int4_weight_only", group_size=32)
    load = lambda: AutoModelForCausalLM.from_pretrained(  # noqa: E731
        llama, dtype=torch.float32, quantization_config=config)
    model = load()
    with torch.no_grad():
        expected = model(IDS).logits
        assert torch.equal(copy.deepcopy(model)(IDS).logits, expected)
        assert torch.equal(pickle.loads(pickle.dumps(model))(IDS).logits, expected)
        other = load()
        other.model.layers[0].mlp.up_proj.requantize(torch.randn(128, 64))
        assert not torch.equal(other(IDS).logits, expected)
        other.load_state_dict(model.state_dict())
        assert torch.equal(other(IDS).logits, expected)


def test_generates_by_steps_as_by_whole_texts(llama):
    config = TorchAoConfig("int4_weight_only", group_size=32)
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32,
                                                 quantization_config=config)
    ids = model.generate(IDS, max_new_tokens=8, do_sample=False, eos_token_id=None)
    with torch.no_grad():
        again = model(ids[:, :-1]).logits[:, IDS.shape[1] - 1:].argmax(-1)
    assert torch.equal(ids[:, IDS.shape[1]:], again)


def test_a_group_size_that_does_not_divide(llama):
    with pytest.raises(ConfigError, match=r"q_proj: group_size is 48, expected .* its 64 inputs"):
        AutoModelForCausalLM.from_pretrained(
            llama, quantization_config=TorchAoConfig("int4_weight_only", group_size=48))


@pytest.mark.parametrize(("config", "method"), [(GPTQConfig(bits=4), "gptq"),
                                                (AwqConfig(), "awq")])
def test_calibrated_methods_name_the_command(config, method, llama):
    with pytest.raises(NotImplementedError, match=f"enfold quantize MODEL --method {method} "):
        AutoModelForCausalLM.from_pretrained(llama, quantization_config=config)


EVERY = "self_attn.q_proj, model.layers.0.self_attn.k_proj, model.layers.0.self_attn.v_proj and 12"


@pytest.mark.parametrize("config", [
    BitsAndBytesConfig(load_in_4bit=True, llm_int8_skip_modules=["model"]),
    TorchAoConfig("int8_weight_only", modules_to_not_convert=["layers"]),
    FineGrainedFP8Config(modules_to_not_convert=["proj"]),
    CompressedTensorsConfig({"W8A8": ["re:.*query"]}),
], ids=lambda config: type(config).__name__)
def test_a_configuration_that_quantizes_nothing(config, llama):
    with pytest.raises(ConfigError, match=f"Config quantizes none of the linear layers .*{EVERY} "
                                          "more.*: its lists of names leave all of them out, or "
                                          "name none of them. Do: correct the names"):
        AutoModelForCausalLM.from_pretrained(llama, quantization_config=config)


@pytest.mark.parametrize("stored", [
    {"quant_method": "gptq", "bits": 4, "group_size": 32}, {"quant_method": "awq"},
    {"quant_method": "bitsandbytes", "load_in_4bit": True}])
def test_a_plain_checkpoint_that_claims_to_be_quantized(stored, llama, tmp_path):
    shutil.copytree(llama, tmp_path, dirs_exist_ok=True)
    config = json.loads((llama / "config.json").read_text()) | {"quantization_config": stored}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="the checkpoint holds none of them quantized.* Do: remove"
                                          " quantization_config from config.json"):
        AutoModelForCausalLM.from_pretrained(tmp_path)
