"""LoRA on every stored format: training, saving, merging."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from enfold import AutoModelForCausalLM, AutoPeftModelForCausalLM
from enfold.adapt import (
    LoftQConfig,
    LoraConfig,
    PeftModel,
    get_peft_model,
    prepare_model_for_kbit_training,
)
from enfold.errors import InputError
from enfold.model.gguf import save_gguf
from enfold.nn.native.library import using
from enfold.nn.quantized import QuantizedLinear
from enfold.quant.compressed import CompressedTensorsConfig
from enfold.quant.config import BitsAndBytesConfig
from enfold.quant.fine_fp8 import FineGrainedFP8Config
from enfold.quant.gguf import GGUFQuantizationConfig
from enfold.quant.torchao import TYPES, TorchAoConfig
from enfold.weights.packed import packed
from tests.quant.checkpoints import save_llama, save_quantized
from tests.quant.test_stored_checkpoints import CASES as STORED
from tests.watched import Watched

IDS = torch.randint(1, 96, (2, 9), generator=torch.Generator().manual_seed(0))
SIZES = {"int4_weight_only": {"group_size": 32}}
ON_LOAD = {
    "nf4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    "nf4-nested": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4",
                                     bnb_4bit_use_double_quant=True),
    "fp4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="fp4"),
    "llm_int8": BitsAndBytesConfig(load_in_8bit=True),
    "fp8-fine": FineGrainedFP8Config(weight_block_size=(32, 32)),
    "fp8-blocks": CompressedTensorsConfig({"FP8_BLOCK": ["Linear"]}),
    **{name: TorchAoConfig(name, **SIZES.get(name, {})) for name in TYPES},
}
GGUF = ("q4_0", "q8_0")
FORMATS = [*ON_LOAD, *STORED, *(f"gguf-{kind}" for kind in GGUF)]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return save_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def load(llama, tmp_path_factory):
    """name of a format -> (checkpoint, options of from_pretrained), made once."""
    folder, made = tmp_path_factory.mktemp("formats"), {}

    def source(name):
        if name in ON_LOAD:
            return llama, {"quantization_config": ON_LOAD[name]}
        if name in STORED:
            save_quantized(llama, folder / name, *STORED[name])
            return folder / name, {}
        path = folder / f"{name}.gguf"
        save_gguf(AutoModelForCausalLM.from_pretrained(llama), path, kind=name.split("-")[1])
        return path, {"quantization_config": GGUFQuantizationConfig()}

    def get(name):
        if name not in made:
            made[name] = source(name)
        path, options = made[name]
        return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, **options)

    return get


def adapted(model, **options):
    config = {"r": 4, "task_type": "CAUSAL_LM", "target_modules": "all-linear",
              "init_lora_weights": False} | options
    torch.manual_seed(1)
    return get_peft_model(model, LoraConfig(**config))


def logits(model):
    with torch.no_grad():
        return model.eval()(input_ids=IDS).logits


def gradients(model):
    model.train()(input_ids=IDS, labels=IDS).loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def near(found, expected, limit):
    assert (found - expected).norm() < limit * expected.norm()


@pytest.mark.parametrize("name", FORMATS)
def test_trains_saves_and_merges(name, load, tmp_path):
    base = load(name)
    methods = {layer.method for layer in packed(base).values()}
    plain = copy.deepcopy(base).dequantize(torch.float32)
    model, other = adapted(prepare_model_for_kbit_training(base)), adapted(plain)
    found, wanted = gradients(model), gradients(other)
    assert len(found) == 28
    assert found.keys() == wanted.keys()
    for path, gradient in wanted.items():
        torch.testing.assert_close(found[path], gradient, rtol=1e-4, atol=1e-6)

    expected = logits(model)
    near(expected, logits(other), 0.06)  # inputs of some formats are rounded in inference
    model.save_pretrained(tmp_path / "adapter")
    again = PeftModel.from_pretrained(load(name), tmp_path / "adapter")
    assert torch.equal(logits(again), expected)
    assert {layer.method for layer in packed(again.base_model.model).values()} == methods

    merged = model.merge_and_unload()
    near(logits(merged), logits(other), 0.01)  # a head that is quantized stays so
    assert len(packed(merged)) == len(packed(load(name))) - 14
    merged.save_pretrained(tmp_path / "merged")
    near(logits(AutoModelForCausalLM.from_pretrained(tmp_path / "merged")), logits(merged), 1e-5)


@pytest.mark.parametrize("name", ["nf4", "llm_int8", "fp8-fine", "int8_weight_only", "gptq-4",
                                  "awq-gemm", "gguf-q4_0"])
def test_a_checkpoint_of_merged_and_quantized_layers(name, load, tmp_path):
    model = adapted(load(name), target_modules=["q_proj"]).merge_and_unload()
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    kinds = {path: type(module) for path, module in again.named_modules()}
    assert kinds == {path: type(module) for path, module in model.named_modules()}
    assert kinds["model.layers.1.self_attn.q_proj"] is not kinds["model.layers.1.mlp.up_proj"]
    assert torch.equal(logits(again), logits(model))


def test_other_libraries_learn_which_layers_are_plain(load):
    from enfold.model.quantizing import stored_config

    names = {"gptq-4": "dynamic", "awq-gemm": "modules_to_not_convert"}
    for name, key in names.items():
        assert not stored_config(load(name)).get(key)
        model = adapted(load(name), target_modules=["q_proj"]).merge_and_unload()
        said = list(stored_config(model)[key])
        assert len(said) == 2
        assert "layers" in said[1]
    assert said[1] == "model.layers.1.self_attn.q_proj"


def test_biases_that_a_format_brought_go_with_it(load, tmp_path):
    model = load("gptq-bias")
    assert model.model.layers[0].mlp.up_proj.bias is not None
    model.dequantize().save_pretrained(tmp_path)  # in the type of the other weights
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert model.model.layers[0].mlp.up_proj.bias is None
    near(logits(AutoModelForCausalLM.from_pretrained(tmp_path)), logits(model), 1e-6)
    model = load("gptq-bias")
    layer = model.model.layers[0].mlp.up_proj
    nn.init.ones_(layer.bias)
    assert torch.equal(layer.plain().bias, layer.bias)


def test_an_adapter_finds_its_gguf_file(llama, tmp_path):
    path = tmp_path / "x.gguf"
    save_gguf(AutoModelForCausalLM.from_pretrained(llama), path, kind="q4_0")
    model = adapted(AutoModelForCausalLM.from_pretrained(
        path, quantization_config=GGUFQuantizationConfig()))
    model.save_pretrained(tmp_path / "adapter")
    again = AutoPeftModelForCausalLM.from_pretrained(
        tmp_path / "adapter", quantization_config=GGUFQuantizationConfig())
    assert torch.equal(logits(again), logits(model))


def test_loftq_has_nothing_to_correct_in_its_own_blocks(load):
    with pytest.raises(InputError, match="is what 4 bits hold already, so nothing is left"):
        adapted(load("nf4"), init_lora_weights="loftq", loftq_config=LoftQConfig(loftq_bits=4))


@pytest.mark.parametrize("name", FORMATS)
def test_products_read_no_values(name, load) -> None:
    """In torch's operations, which are those of a GPU: a CUDA graph can hold all but LLM.int8."""
    model = load(name)
    layer = next(module for module in model.modules() if isinstance(module, QuantizedLinear))
    x = torch.randn(1, layer.in_features)
    with using(None), torch.inference_mode():
        layer(x)
        if layer.waits:
            assert name == "llm_int8"
            return
        with Watched():
            layer(x)
