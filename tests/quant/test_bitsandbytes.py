"""Models in the formats of bitsandbytes: they go to transformers and back with every bit."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from enfold import AutoModelForCausalLM, AutoModelForSequenceClassification
from enfold.errors import ArgumentError, CheckpointError, ConfigError, InputError
from enfold.nn.native.library import using
from enfold.quant.bnb.linear4 import Linear4bit
from enfold.quant.bnb.linear8 import Linear8bitLt
from enfold.quant.config import BitsAndBytesConfig

transformers = pytest.importorskip("transformers")
pytest.importorskip("bitsandbytes")
FORMATS = {
    "nf4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "fp4 nested": {"load_in_4bit": True, "bnb_4bit_use_double_quant": True},
    "nf4 stored as bf16": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4",
                           "bnb_4bit_quant_storage": "bfloat16"},
    "int8": {"load_in_8bit": True},
}
IDS = torch.tensor([[1, 5, 9, 70, 7]])


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A tiny Llama in fp16."""
    folder = tmp_path_factory.mktemp("plain")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(vocab_size=96, hidden_size=128, intermediate_size=192,
                                      num_hidden_layers=2, num_attention_heads=4,
                                      num_key_value_heads=2, initializer_range=0.1)
    transformers.LlamaForCausalLM(config).half().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=list(FORMATS))
def quantized(request, plain, tmp_path_factory):
    """(options, state of transformers' model, the folder it saved)."""
    options, folder = FORMATS[request.param], tmp_path_factory.mktemp("theirs")
    model = transformers.LlamaForCausalLM.from_pretrained(
        plain, quantization_config=transformers.BitsAndBytesConfig(**options))
    model.save_pretrained(folder)
    return options, {k: v.clone() for k, v in model.state_dict().items()}, folder


def same_bits(ours, theirs):
    assert set(ours) == set(theirs)
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype and ours[name].shape == tensor.shape, name
        assert ours[name].contiguous().view(-1).view(torch.uint8).equal(
            tensor.contiguous().view(-1).view(torch.uint8)), name


def test_quantizing_gives_the_same_bits(plain, quantized):
    options, state, _ = quantized
    model = AutoModelForCausalLM.from_pretrained(
        plain, quantization_config=BitsAndBytesConfig(**options))
    same_bits(model.state_dict(), state)


def test_their_checkpoint_loads(quantized):
    _, state, folder = quantized
    model = AutoModelForCausalLM.from_pretrained(folder)
    same_bits(model.state_dict(), state)
    assert model.is_quantized and model.quantization_method == "bitsandbytes"


def test_ours_loads_there(plain, quantized, tmp_path):
    options, state, _ = quantized
    AutoModelForCausalLM.from_pretrained(
        plain, quantization_config=BitsAndBytesConfig(**options)).save_pretrained(tmp_path)
    same_bits(transformers.LlamaForCausalLM.from_pretrained(tmp_path).state_dict(), state)
    same_bits(AutoModelForCausalLM.from_pretrained(tmp_path).state_dict(), state)
    saved = json.loads((tmp_path / "config.json").read_text())["quantization_config"]
    assert saved["llm_int8_skip_modules"] == ["lm_head"]


def test_layout_of_transformers_4(plain, tmp_path, oracle457):
    """4.57 writes what we read and reads what we write; it can't read floats as storage itself."""
    formats = {k: v for k, v in FORMATS.items() if "bnb_4bit_quant_storage" not in v}
    for name, options in formats.items():
        AutoModelForCausalLM.from_pretrained(
            plain, quantization_config=BitsAndBytesConfig(**options),
        ).save_pretrained(tmp_path / "ours" / name)
    code = ("import json, sys, torch\n"
            "from transformers import LlamaForCausalLM as M, BitsAndBytesConfig as C\n"
            "plain, folder, formats = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])\n"
            "bad, half = [], {'torch_dtype': torch.float16}\n"
            "for name, options in formats.items():\n"
            "    m = M.from_pretrained(plain, quantization_config=C(**options), **half)\n"
            "    m.save_pretrained(f'{folder}/old/{name}')\n"
            "    n = M.from_pretrained(f'{folder}/ours/{name}', **half).state_dict()\n"
            "    m = m.state_dict()\n"
            "    bad += [k for k in {*m, *n} if k not in m or k not in n or not m[k].equal(n[k])]\n"
            "print(json.dumps(bad))")
    assert oracle457(code, plain, tmp_path, json.dumps(formats)) == []
    for name in formats:
        theirs, ours = (AutoModelForCausalLM.from_pretrained(tmp_path / which / name).state_dict()
                        for which in ("old", "ours"))
        same_bits(ours, theirs)


def test_logits_are_those_of_the_dequantized_model(quantized):
    options, _, folder = quantized
    for level in ("native", None):
        with using(None) if level is None else using("base"):
            model = AutoModelForCausalLM.from_pretrained(folder)
            with torch.no_grad():
                found = model(IDS).logits.float()
                wanted = model.dequantize(torch.float32).float()(IDS).logits
        assert not model.is_quantized
        error = (found - wanted).norm() / wanted.norm()
        assert error < (0.03 if "load_in_8bit" in options else 2e-3)


def test_int8_outputs_are_theirs(plain):
    options = {"load_in_8bit": True, "llm_int8_threshold": 0.5}
    theirs = transformers.LlamaForCausalLM.from_pretrained(
        plain, quantization_config=transformers.BitsAndBytesConfig(**options))
    ours = AutoModelForCausalLM.from_pretrained(
        plain, quantization_config=BitsAndBytesConfig(**options))
    with torch.no_grad():
        torch.testing.assert_close(ours(IDS).logits, theirs(IDS).logits, rtol=2e-2, atol=2e-2)


def test_questions_to_a_model(plain):
    model = AutoModelForCausalLM.from_pretrained(plain, load_in_4bit=True)
    assert (model.is_loaded_in_4bit, model.is_loaded_in_8bit) == (True, False)
    assert AutoModelForCausalLM.from_pretrained(plain, load_in_8bit=True).is_loaded_in_8bit
    assert "Linear4bit(in_features=128, out_features=192, bias=False, fp4, blocks of 64)" in str(
        model)
    layers = [m for m in model.modules() if isinstance(m, Linear4bit)]
    held = sum(m.weight.nbytes + m.absmax.nbytes for m in layers)
    assert len(layers) == 14 and isinstance(layers[0], torch.nn.Linear)
    rest = sum(p.nbytes for p in model.parameters() if p.is_floating_point())
    assert held + rest <= model.get_memory_footprint() <= held + rest + 4096
    assert model.generate(IDS, max_new_tokens=4, min_new_tokens=4,
                          do_sample=False).shape == (1, 9)


def test_errors_of_layers_are_reported(plain):
    _, info = AutoModelForCausalLM.from_pretrained(
        plain, output_loading_info=True,
        quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"))
    errors = info["quantization_errors"]
    assert len(errors) == 14 and "model.layers.0.mlp.up_proj" in errors
    assert all(0.05 < error < 0.12 for error in errors.values())


def test_state_dicts_load(plain):
    options = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_use_double_quant=True)
    model = AutoModelForCausalLM.from_pretrained(plain, quantization_config=options)
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other = AutoModelForCausalLM.from_pretrained(plain, load_in_4bit=True)
    other.load_state_dict(state)
    same_bits(other.state_dict(), state)
    original = AutoModelForCausalLM.from_pretrained(plain)
    other.load_state_dict(original.state_dict())  # plain weights are quantized
    same_bits(other.state_dict(), state)
    name = "model.layers.0.mlp.up_proj.weight.absmax"
    del state[name]
    with pytest.raises(CheckpointError, match=r"the state has no 'weight.absmax'"):
        other.load_state_dict(state)


def test_casts_raise_and_moves_do_not(plain):
    model = AutoModelForCausalLM.from_pretrained(plain, load_in_8bit=True)
    for call in (model.half, model.float, model.bfloat16, lambda: model.to(torch.bfloat16)):
        with pytest.raises(InputError, match=r"a quantized model keeps the types it has"):
            call()
    assert model.to("cpu") is model
    model.body.to(torch.float64)  # statistics stay as they are stored
    layer = next(m for m in model.modules() if isinstance(m, Linear8bitLt))
    assert layer.SCB.dtype == torch.float32 and layer.weight.dtype == torch.int8


@pytest.mark.parametrize("leaf", ["absmax", "quant_map", "nested_absmax", "nested_quant_map",
                                  "quant_state.bitsandbytes__nf4"])
def test_a_missing_statistic_is_named(plain, tmp_path, leaf):
    AutoModelForCausalLM.from_pretrained(plain, quantization_config=BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True),
    ).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    del tensors[f"model.layers.1.self_attn.o_proj.weight.{leaf}"]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match=rf"no 'weight.{leaf}' for .*layers.1.*o_proj"):
        AutoModelForCausalLM.from_pretrained(tmp_path)


@pytest.mark.parametrize(("leaf", "change", "said"), [
    ("absmax", lambda t: t[:-1], "has 255 in weight.absmax, expected 256"),
    ("quant_map", lambda t: t + 1, "other values than those of nf4"),
    ("quant_state.bitsandbytes__nf4", lambda t: t[:-4], "quant_state .* can't be read"),
])
def test_damaged_statistics(plain, tmp_path, leaf, change, said):
    AutoModelForCausalLM.from_pretrained(plain, quantization_config=BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4")).save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    key = f"model.layers.0.self_attn.q_proj.weight.{leaf}"
    tensors[key] = change(tensors[key]).contiguous()
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match=said):
        AutoModelForCausalLM.from_pretrained(tmp_path)


@pytest.mark.parametrize(("options", "error", "said"), [
    ({"load_in_4bit": True, "load_in_8bit": True}, ConfigError, "both True"),
    ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf5"}, ConfigError, "'nf4' or 'fp4'"),
    ({"load_in_4bit": True, "bnb_4bit_compute_dtype": "int8"}, ConfigError, "float32, bfloat16"),
    ({"load_in_4bits": True}, ArgumentError, "nearest: 'load_in_4bit'"),
    ({"load_in_4bit": 1}, ArgumentError, "expected True or False"),
    ({"load_in_8bit": True, "llm_int8_has_fp16_weight": True}, NotImplementedError, "second copy"),
])
def test_configurations_that_raise(options, error, said):
    with pytest.raises(error, match=said):
        BitsAndBytesConfig(**options)


@pytest.mark.parametrize(("options", "error", "said"), [
    ({"quantization_config": {"quant_method": "nf9"}}, ConfigError, "'nf9' is not known"),
    ({"quantization_config": {"bits": 4}}, ConfigError, "no quant_method"),
    ({"quantization_config": 4}, ConfigError, "is a int, expected"),
    ({"quantization_config": BitsAndBytesConfig()}, ConfigError, "asks for nothing"),
    ({"quantization_config": BitsAndBytesConfig(load_in_4bit=True), "load_in_8bit": True},
     ArgumentError, "both given"),
])
def test_loading_that_raises(plain, options, error, said):
    with pytest.raises(error, match=said):
        AutoModelForCausalLM.from_pretrained(plain, **options)


def test_a_plain_model_can_not_be_dequantized(plain):
    with pytest.raises(InputError, match="is not quantized"):
        AutoModelForCausalLM.from_pretrained(plain).dequantize()


def test_another_configuration_for_a_stored_model(plain, tmp_path, caplog):
    AutoModelForCausalLM.from_pretrained(plain, load_in_4bit=True).save_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path, quantization_config=BitsAndBytesConfig(
        load_in_8bit=True, bnb_4bit_compute_dtype=torch.bfloat16))
    assert model.is_loaded_in_4bit and "quantized already" in caplog.text
    assert next(m.compute for m in model.modules() if isinstance(m, Linear4bit)) == torch.bfloat16


def test_gpt2_has_its_turned_weights_quantized(tmp_path):
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=96, n_embd=64, n_layer=1, n_head=2, n_positions=32)
    transformers.GPT2LMHeadModel(config).half().save_pretrained(tmp_path)
    options = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    theirs = transformers.GPT2LMHeadModel.from_pretrained(
        tmp_path, quantization_config=transformers.BitsAndBytesConfig(**options))
    ours = AutoModelForCausalLM.from_pretrained(
        tmp_path, quantization_config=BitsAndBytesConfig(**options))
    state = {k: v for k, v in theirs.state_dict().items() if "weight." in k or "c_" in k}
    same_bits({k: v for k, v in ours.state_dict().items() if k in state}, state)
    before = AutoModelForCausalLM.from_pretrained(tmp_path)
    again = ours.dequantize()
    assert again.transformer.h[0].mlp.c_fc.weight.shape == (64, 256)
    error = again.transformer.h[0].mlp.c_fc.weight - before.transformer.h[0].mlp.c_fc.weight
    assert error.float().norm() < 0.12 * before.transformer.h[0].mlp.c_fc.weight.float().norm()


def test_t5_keeps_what_overflows(tmp_path):
    config = transformers.T5Config(vocab_size=96, d_model=64, d_kv=16, d_ff=128, num_layers=1,
                                   num_heads=4)
    transformers.T5ForConditionalGeneration(config).save_pretrained(tmp_path)
    from enfold import AutoModelForSeq2SeqLM

    model = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, load_in_4bit=True)
    layers = {name: m for name, m in model.named_modules() if isinstance(m, torch.nn.Linear)}
    plain = {name for name, m in layers.items() if not isinstance(m, Linear4bit)}
    assert plain and all(name.endswith((".wo", "lm_head")) for name in plain)
    assert len(layers) - len(plain) > 10


def test_heads_and_named_layers_stay(tmp_path):
    config = transformers.BertConfig(vocab_size=96, hidden_size=64, num_hidden_layers=2,
                                     num_attention_heads=2, intermediate_size=128)
    transformers.BertForSequenceClassification(config).save_pretrained(tmp_path / "bert")
    model = AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "bert", quantization_config=BitsAndBytesConfig(
            load_in_8bit=True, llm_int8_skip_modules=["query", "bert.encoder.layer.1"]))
    kinds = {name: type(m).__name__ for name, m in model.named_modules()}
    assert kinds["bert.encoder.layer.0.attention.self.key"] == "Linear8bitLt"
    for name in ("classifier", "bert.encoder.layer.0.attention.self.query",
                 "bert.encoder.layer.1.attention.self.key"):
        assert kinds[name] == "Linear"
    model.save_pretrained(tmp_path / "saved")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved")
    assert {name: type(m).__name__ for name, m in again.named_modules()} == kinds
    shutil.rmtree(tmp_path / "saved")


def test_compiled_logits_are_the_same(plain):
    model = AutoModelForCausalLM.from_pretrained(plain, load_in_4bit=True)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(model, backend="eager")(IDS).logits,
                                   model(IDS).logits, rtol=2e-2, atol=2e-3)
