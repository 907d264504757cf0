"""Adapters on quantized layers."""

from __future__ import annotations

import pytest
import torch

from enfold import AutoModelForCausalLM
from enfold.adapt import (
    LoftQConfig,
    LoraConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    prepare_model_for_kbit_training,
    set_peft_model_state_dict,
)
from enfold.errors import InputError
from enfold.nn import blocks4
from enfold.quant.config import BitsAndBytesConfig

transformers = pytest.importorskip("transformers")
FORMATS = [{"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True},
           {"load_in_8bit": True}]
IDS = torch.randint(0, 96, (2, 9), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(vocab_size=96, hidden_size=64, intermediate_size=128,
                                      num_hidden_layers=2, num_attention_heads=4,
                                      num_key_value_heads=2, initializer_range=0.1)
    transformers.LlamaForCausalLM(config).half().save_pretrained(folder)
    return folder


def loaded(folder, options):
    return AutoModelForCausalLM.from_pretrained(
        folder, quantization_config=BitsAndBytesConfig(**options))


def adapted(model, **options):
    options = {"target_modules": "all-linear", "init_lora_weights": False} | options
    torch.manual_seed(1)
    return get_peft_model(model, LoraConfig(r=4, task_type="CAUSAL_LM", **options)).train()


def gradients(model):
    model(input_ids=IDS, labels=IDS).loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("checkpointing", [True, False])
@pytest.mark.parametrize("options", FORMATS)
def test_gradients_are_those_through_the_dequantized_weights(plain, options, checkpointing):
    ready = {"use_gradient_checkpointing": checkpointing}
    model = adapted(prepare_model_for_kbit_training(loaded(plain, options), **ready))
    other = loaded(plain, options).dequantize(torch.float32).float()
    other = adapted(prepare_model_for_kbit_training(other, **ready))
    set_peft_model_state_dict(other, get_peft_model_state_dict(model))
    found, wanted = gradients(model), gradients(other)
    assert len(found) == 28 and found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("options", FORMATS)
def test_prepared_models(plain, options):
    model = prepare_model_for_kbit_training(loaded(plain, options))
    assert model.is_gradient_checkpointing and not any(p.requires_grad for p in model.parameters())
    assert model.model.norm.weight.dtype == torch.float32
    assert model.lm_head.weight.dtype == torch.float32
    assert model.model.layers[0].mlp.up_proj.weight.dtype in (torch.uint8, torch.int8)
    with pytest.raises(InputError, match="only matter with use_gradient_checkpointing=True"):
        prepare_model_for_kbit_training(model, False, {"use_reentrant": False})


def test_merging_dequantizes_and_says_so(plain, tmp_path, caplog):
    model = adapted(prepare_model_for_kbit_training(loaded(plain, FORMATS[0]))).eval()
    with torch.no_grad():
        wanted = model(input_ids=IDS).logits
        merged = model.merge_and_unload()
        torch.testing.assert_close(merged(input_ids=IDS).logits, wanted, rtol=1e-4, atol=1e-5)
    assert "14 quantized layers (nf4, blocks of 64, nested): they are dequantized" in caplog.text
    assert not merged.is_quantized
    merged.save_pretrained(tmp_path)
    assert not AutoModelForCausalLM.from_pretrained(tmp_path).is_quantized


def test_a_model_with_some_layers_merged_is_saved(plain, tmp_path):
    model = adapted(loaded(plain, FORMATS[0]), target_modules=["q_proj"]).merge_and_unload()
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    theirs = transformers.LlamaForCausalLM.from_pretrained(tmp_path)
    kinds = {name: type(m).__name__ for name, m in again.named_modules()}
    assert kinds["model.layers.1.self_attn.q_proj"] == "Linear"
    assert kinds["model.layers.1.self_attn.k_proj"] == "Linear4bit"
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)


@pytest.mark.parametrize("options", FORMATS)
def test_adapters_go_to_peft_and_back(plain, options, tmp_path):
    peft = pytest.importorskip("peft")
    model = adapted(loaded(plain, options))
    model.save_pretrained(tmp_path / "ours")
    base = transformers.LlamaForCausalLM.from_pretrained(
        plain, quantization_config=transformers.BitsAndBytesConfig(**options))
    theirs = peft.PeftModel.from_pretrained(base, tmp_path / "ours").train()
    logits = theirs(input_ids=IDS).logits.detach()  # training takes the dequantized weights
    torch.testing.assert_close(model(input_ids=IDS).logits.detach(), logits, rtol=3e-2, atol=3e-2)
    theirs.save_pretrained(tmp_path / "theirs")
    again = PeftModel.from_pretrained(loaded(plain, options), tmp_path / "theirs")
    ours = get_peft_model_state_dict(model)
    for name, tensor in get_peft_model_state_dict(again).items():
        assert torch.equal(tensor, ours[name])


def test_the_trainer_trains_adapters_alone(plain, tmp_path):
    from enfold import Trainer, TrainingArguments

    model = adapted(prepare_model_for_kbit_training(loaded(plain, FORMATS[0])),
                    init_lora_weights=True)
    before = {name: tensor.clone() for name, tensor in model.base_model.model.state_dict().items()
              if "lora" not in name}
    rows = [{"input_ids": row.tolist(), "labels": row.tolist()} for row in IDS] * 8
    args = TrainingArguments(output_dir=str(tmp_path), max_steps=12, learning_rate=2e-2,
                             per_device_train_batch_size=4, report_to="none", save_strategy="no",
                             logging_steps=1, use_cpu=True)
    trainer = Trainer(model=model, args=args, train_dataset=rows)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert losses[-1] < losses[0] - 0.5
    for name, tensor in model.base_model.model.state_dict().items():
        if "lora" not in name:
            assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("extra", [{"use_dora": True},
                                   {"init_lora_weights": "loftq",
                                    "loftq_config": LoftQConfig(loftq_bits=4)}])
def test_kinds_of_lora_on_a_quantized_base(plain, extra):
    model = adapted(loaded(plain, FORMATS[0]), target_modules=["q_proj", "up_proj"], **extra)
    assert len(gradients(model)) in (8, 12)
    assert model.base_model.model.model.layers[0].mlp.up_proj.base_layer.method == "nf4"


def test_loftq_rounds_as_the_blocks_do():
    from enfold.adapt.lora.init import loftq

    weight = torch.randn(64, 96)
    _, _, rest = loftq(weight, 4)
    packed, absmax = blocks4.quantize(weight, "nf4")
    assert torch.equal(rest, blocks4.dequantize(packed, absmax, "nf4", 64, weight.numel()).view(
        weight.shape))
