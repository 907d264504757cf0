"""How a caller asks for quantized layers: the older spelling, another's wishes, and the counts."""

from __future__ import annotations

import pytest
import torch

from enfold import AutoModelForCausalLM, LoraConfig, get_peft_model
from enfold.errors import ArgumentError, ConfigError
from enfold.nn.quantized import QuantizedLinear
from enfold.quant.compressed import CompressedTensorsConfig
from enfold.quant.config import BitsAndBytesConfig
from enfold.quant.fine_fp8 import FineGrainedFP8Config
from enfold.quant.torchao import TorchAoConfig
from tests.quant.checkpoints import save_llama


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return save_llama(tmp_path_factory.mktemp("llama"))


@pytest.mark.parametrize("options", [
    {"load_in_4bit": True, "bnb_4bit_compute_dtype": torch.bfloat16, "bnb_4bit_quant_type": "nf4",
     "bnb_4bit_use_double_quant": True},
    {"load_in_8bit": True, "llm_int8_threshold": 4.0, "llm_int8_skip_modules": ["lm_head"]}])
def test_arguments_of_the_configuration_by_themselves(options, llama):
    model = AutoModelForCausalLM.from_pretrained(llama, **options)
    assert model.config.quantization_config == BitsAndBytesConfig(**options)
    assert model.is_quantized


@pytest.mark.parametrize(("options", "said"), [
    ({"llm_int8_threshold": 4.0}, "llm_int8_threshold only matter with load_in_4bit=True or"),
    ({"load_in_4bit": 1}, "load_in_4bit is 1, expected True or False"),
    ({"load_in_4bits": True}, "nearest: 'load_in_4bit'"),
    ({"load_in_4bit": True, "quantization_config": BitsAndBytesConfig(load_in_4bit=True)},
     "load_in_4bit and quantization_config were both given")])
def test_arguments_that_ask_for_nothing(options, said, llama):
    with pytest.raises(ArgumentError, match=said):
        AutoModelForCausalLM.from_pretrained(llama, **options)


def test_a_plain_model_in_the_older_spelling(llama):
    model = AutoModelForCausalLM.from_pretrained(llama, load_in_4bit=False, load_in_8bit=False)
    assert not model.is_quantized


def test_a_stored_models_types_stay_unless_asked_for(llama, tmp_path):
    AutoModelForCausalLM.from_pretrained(
        llama, load_in_4bit=True, bnb_4bit_compute_dtype="bfloat16").save_pretrained(tmp_path)
    for asked, expected in ((None, torch.bfloat16), (torch.float16, torch.float16)):
        model = AutoModelForCausalLM.from_pretrained(tmp_path, quantization_config=(
            BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=asked)))
        assert model.model.layers[0].mlp.up_proj.compute == expected


@pytest.mark.parametrize("config", [
    BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_storage="bfloat16"),
    BitsAndBytesConfig(load_in_8bit=True), TorchAoConfig("int4_weight_only", group_size=32),
    TorchAoConfig("int8_dynamic_activation_int8_weight"), TorchAoConfig("float8_weight_only"),
    FineGrainedFP8Config(weight_block_size=(32, 32))], ids=lambda config: type(config).__name__)
def test_numbers_are_counted_as_those_of_the_plain_model(config, llama):
    count = AutoModelForCausalLM.from_pretrained(llama).num_parameters()
    model = AutoModelForCausalLM.from_pretrained(llama, quantization_config=config)
    assert model.num_parameters() == count
    assert model.num_parameters(only_trainable=True) < count
    tuned = get_peft_model(model, LoraConfig(r=4, target_modules=["up_proj"]))
    trained, held = tuned.get_nb_trainable_parameters()
    assert trained == 2 * 4 * (64 + 128) and held == count + trained


def test_inputs_with_scales_that_nobody_measured(llama):
    """Saved without them, others would multiply by whatever is in memory."""
    with pytest.raises(ConfigError, match=r"q_proj: its group wants inputs with scales measured "
                                          r"beforehand .*FP8_DYNAMIC"):
        AutoModelForCausalLM.from_pretrained(
            llama, quantization_config=CompressedTensorsConfig({"FP8": ["Linear"]}))


HEADS = [BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=[]),
         BitsAndBytesConfig(load_in_4bit=True, llm_int8_skip_modules=[]),
         TorchAoConfig("int8_dynamic_activation_int8_weight", modules_to_not_convert=[]),
         TorchAoConfig("int4_weight_only", group_size=16, modules_to_not_convert=[]),
         FineGrainedFP8Config(modules_to_not_convert=[], weight_block_size=(16, 16))]


@pytest.mark.parametrize("config", HEADS)
def test_nothing_is_left_out(config, llama, tmp_path):
    """An empty list of exceptions has the head quantized too, saved, and read back."""
    usual = AutoModelForCausalLM.from_pretrained(llama)
    model = AutoModelForCausalLM.from_pretrained(llama, quantization_config=config)
    assert isinstance(model.get_output_embeddings(), QuantizedLinear)
    assert not isinstance(model.get_input_embeddings(), QuantizedLinear)
    ids = torch.arange(10)[None]
    head, plain = model.get_output_embeddings().dequantize(), usual.get_output_embeddings().weight
    assert 0 < (head - plain).norm() < 0.2 * plain.norm()
    found = model(ids).logits
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert isinstance(again.get_output_embeddings(), QuantizedLinear)
    assert torch.equal(again(ids).logits, found)
    assert torch.equal(again.generate(ids, max_new_tokens=4, do_sample=False),
                       model.generate(ids, max_new_tokens=4, do_sample=False))


@pytest.mark.parametrize("config", HEADS)
def test_a_tied_head_is_the_embedding(config, tmp_path):
    tied = save_llama(tmp_path, tied=True)
    with pytest.raises(ConfigError, match="'lm_head' is tied to the embedding.*'lm_head' into"):
        AutoModelForCausalLM.from_pretrained(tied, quantization_config=config)
