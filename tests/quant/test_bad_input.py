"""Wrong arguments, damaged and contradictory checkpoints, and what is not for quantized models: a
clear error each.
"""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from enfold import AutoModelForCausalLM
from enfold.errors import ArgumentError, CheckpointError, ConfigError, InputError
from enfold.quant.compressed import CompressedTensorsConfig
from enfold.quant.config import BitsAndBytesConfig
from enfold.quant.fine_fp8 import FineGrainedFP8Config
from enfold.quant.gptq import GPTQConfig
from enfold.quant.torchao import TorchAoConfig
from tests.quant.checkpoints import save_llama, save_quantized
from tests.quant.test_stored_checkpoints import CASES

IDS = torch.tensor([[1, 5, 9, 30]])
Q = "model.layers.0.self_attn.q_proj."
STATE = f"{Q}weight.quant_state.bitsandbytes__nf4"
NF4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
MADE = {"nf4": NF4, "llm_int8": BitsAndBytesConfig(load_in_8bit=True),
        "int4": TorchAoConfig("int4_weight_only", group_size=32)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Checkpoints by format."""
    top = tmp_path_factory.mktemp("stored")
    plain = save_llama(tmp_path_factory.mktemp("plain"))
    for name, config in MADE.items():
        load(plain, quantization_config=config).save_pretrained(top / name)
    for name in ("gptq-4", "awq-gemm", "packed", "float8-fine"):
        save_quantized(plain, top / name, *CASES[name])
    return {"plain": plain} | {path.name: path for path in top.iterdir()}


def load(path, **options):
    return AutoModelForCausalLM.from_pretrained(path, **options)


# ---- arguments -----------------------------------------------------------------------------------
def groups(**weights):
    return {"g": {"targets": ["Linear"], "weights": {"num_bits": 4} | weights}}


ARGUMENTS = [
    (lambda: BitsAndBytesConfig, ConfigError, "is the class BitsAndBytesConfig, expected one of"),
    (lambda: "nf4", ConfigError, "is a str, expected a configuration such as"),
    (lambda: {"quant_method": "foo"}, ConfigError, "'foo' is not known, expected one of awq"),
    (lambda: {"quant_method": "hqq"}, NotImplementedError, "HqqConfig: the method 'hqq' is not"),
    (dict, ConfigError, "no quant_method, only nothing at all. Do: add"),
    (lambda: BitsAndBytesConfig(), ConfigError, "neither load_in_4bit nor load_in_8bit"),
    (lambda: BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=["("]), ConfigError,
     r"llm_int8_skip_modules has '\(', expected a name or a regular expression"),
    (lambda: BitsAndBytesConfig(load_in_4bit="True"), ArgumentError, "expected True or False"),
    (lambda: CompressedTensorsConfig(["W4A16"]), ConfigError, "is a list, expected a dictionary"),
    (lambda: CompressedTensorsConfig({"W8A8": ["re:("]}), ConfigError, "targets or ignore has '"),
    (lambda: CompressedTensorsConfig({"W3A16": ["Linear"]}), ConfigError, "no preset is called"),
    (lambda: CompressedTensorsConfig(groups(strategy="rows")), ConfigError, "strategy is 'rows'"),
    (lambda: CompressedTensorsConfig(groups(strategy="group")), ConfigError, "group_size None"),
    (lambda: CompressedTensorsConfig({"W4A16": ["Linear"]}), ConfigError,
     "q_proj: group_size is 128, expected .* divisor of its 64 inputs. Do: use 64, 32"),
    (lambda: TorchAoConfig("int3"), ConfigError, "quant_type is 'int3'"),
    *[(lambda size=size: TorchAoConfig("int4_weight_only", group_size=size), ConfigError,
       f"group_size is {size!r}, expected a positive number") for size in (0, -2, "32", 1.5)],
    (lambda: TorchAoConfig("int4_weight_only", group_size=48), ConfigError, "group_size is 48"),
    (lambda: FineGrainedFP8Config(weight_block_size=128), ConfigError, "expected two positive"),
    (lambda: GPTQConfig(bits=4, group_size="128"), ConfigError, "group_size is '128', expected"),
]


@pytest.mark.parametrize(("config", "kind", "message"), ARGUMENTS)
def test_arguments(config, kind, message, folders) -> None:
    with pytest.raises(kind, match=message):
        load(folders["plain"], quantization_config=config())


@pytest.mark.parametrize(("options", "kind", "message"), [
    ({"load_in_4bit": "yes"}, ArgumentError, "load_in_4bit is 'yes', expected True or False"),
    ({"load_in_4bit": True, "load_in_8bit": True}, ConfigError, "are both True"),
    ({"load_in_4bit": True, "quantization_config": NF4}, ArgumentError, "were both given"),
    ({"device_map": "mps"}, InputError, "'mps', but torch has no such device here"),
    ({"device_map": "cuda:7"}, InputError, "'cuda:7', but torch "),
    ({"device_map": "gpu"}, InputError, "is 'gpu', expected 'auto', 'cpu'"),
    ({"device_map": "auto", "max_memory": "1GB"}, InputError, "max_memory is '1GB', expected a"),
    ({"device_map": "auto", "max_memory": {"cpu": "x"}}, InputError, r"\['cpu'\] is 'x', expected"),
    ({"device_map": "auto", "max_memory": {"cpu": 3000}, "load_in_4bit": True}, InputError,
     "too small for 'model.embed_tokens', which is never split: it takes 12.0 KiB"),
    ({"device_map": {"": "disk"}, "load_in_4bit": True, "offload_folder": "/proc/none"},
     InputError, "offload_folder is '/proc/none', where no folder can be made"),
    ({"device_map": {"": "disk"}, "load_in_4bit": True}, InputError, "Do: give offload_folder"),
])
def test_options(options, kind, message, folders) -> None:
    if str(options.get("device_map")).startswith(("mps", "cuda")) and _has(options["device_map"]):
        pytest.skip("this machine has the device")
    with pytest.raises(kind, match=message):
        load(folders["plain"], **options)


def _has(device) -> bool:
    return torch.cuda.device_count() > 7 if "cuda" in device else torch.backends.mps.is_available()


# ---- checkpoints ---------------------------------------------------------------------------------
def without(*leaves):
    return lambda tensors: [tensors.pop(Q + leaf) for leaf in leaves]


def everywhere_without(*ends):
    return lambda tensors: [tensors.pop(key) for key in list(tensors) if key.endswith(ends)]


def other(leaf, change):
    return lambda tensors: tensors.update({Q + leaf: change(tensors[Q + leaf])})


def state(**values):
    def change(tensors):
        held = json.loads(bytes(tensors[STATE].tolist())) | values
        tensors[STATE] = torch.tensor(list(json.dumps(held).encode()), dtype=torch.uint8)

    return change


def says(**values):
    return lambda config: config["quantization_config"].update(values)


def forgets(config):
    del config["quantization_config"]


def shorter(x):
    return x.flatten()[:-1]


MISSING = {"nf4": ("weight.absmax", "weight.quant_map", "weight"), "llm_int8": ("SCB", "weight"),
           "gptq-4": ("scales", "qzeros", "qweight"), "awq-gemm": ("scales", "qzeros", "qweight"),
           "float8-fine": ("weight_scale_inv",), "packed": ("weight_scale", "weight_packed")}
DAMAGES = [
    *[(name, without(leaf), None, f"has no '{leaf}' for .* layer '{Q[:-1]}', only")
      for name, leaves in MISSING.items() for leaf in leaves],
    ("nf4", without("weight.quant_state.bitsandbytes__nf4"), None, "no 'weight.quant_state"),
    ("nf4", other("weight.absmax", shorter), None, "has 63 in weight.absmax, expected 64"),
    ("nf4", other("weight.absmax", torch.Tensor.short), None, "int16 in weight.absmax, expected"),
    ("nf4", other("weight.quant_map", torch.neg), None, "other values than those of nf4"),
    ("nf4", other("weight.quant_state.bitsandbytes__nf4", shorter), None, "can't be read"),
    *[("nf4", state(**values), None, r"quant_state in the checkpoint can't be read \(")
      for values in ({"blocksize": "x"}, {"dtype": "float99"}, {"shape": None})],
    ("nf4", state(shape=[64, 63]), None, r"was \[64, 63\] before it was quantized, expected \[64"),
    ("llm_int8", other("SCB", shorter), None, r"and 63 scales of torch.float32, expected int8"),
    ("llm_int8", other("SCB", torch.Tensor.short), None, "scales of torch.int16"),
    ("llm_int8", everywhere_without("SCB", "weight_format"), forgets,
     "q_proj.weight' is of torch.int8, expected .* part of a quantized weight"),
    ("float8-fine", everywhere_without("weight_scale_inv"), forgets, "is of torch.float8_e4m3fn"),
    ("gptq-4", other("g_idx", lambda x: x + 1), None, "g_idx of a GPTQ layer is 1 to 2, expected"),
    ("gptq-4", None, says(group_size=64), r"qzeros has shape \(2, 8\) .*expected \(1, 8\)"),
    ("gptq-4", None, says(bits=8), r"qweight has shape \(8, 64\) .* expected \(16, 64\)"),
    ("gptq-4", None, says(quant_method="awq"), "no place for: .*g_idx"),
    ("awq-gemm", None, says(version="gemv"), r"qzeros has shape .* expected \(64, 4\)"),
    ("float8-fine", None, says(weight_block_size=[64, 64]), r"expected \(1, 1\)"),
    ("nf4", None, says(load_in_4bit=False, load_in_8bit=True), "no place for: .*absmax"),
    ("nf4", None, forgets, "no place for: .*absmax"), ("gptq-4", None, forgets, "no place for"),
    ("nf4", None, lambda config: config.update(intermediate_size=256), r"\[128, 64\] before it"),
]


@pytest.mark.parametrize(("name", "tensors", "config", "message"), DAMAGES)
def test_checkpoints(name, tensors, config, message, folders, tmp_path) -> None:
    shutil.copytree(folders[name], tmp_path, dirs_exist_ok=True)
    if tensors:
        held = load_file(folders[name] / "model.safetensors")
        tensors(held)
        save_file(held, tmp_path / "model.safetensors", metadata={"format": "pt"})
    if config:
        values = json.loads((tmp_path / "config.json").read_text())
        config(values)
        (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path)


@pytest.mark.parametrize(("name", "options", "message"), [
    ("gptq-4", {"load_in_4bit": True}, "asks for 'bitsandbytes', but .* stored as 'gptq'"),
    ("nf4", {"quantization_config": GPTQConfig(bits=4)}, "asks for 'gptq', but .*'bitsandbytes'"),
    ("int4", {"load_in_8bit": True}, "'bitsandbytes', but .* stored as 'compressed-tensors'"),
])
def test_another_method_than_the_stored_one(name, options, message, folders) -> None:
    with pytest.raises(ConfigError, match=message):
        load(folders[name], **options)


def test_what_does_not_apply_to_a_stored_checkpoint_is_said(folders, caplog) -> None:
    load(folders["nf4"], load_in_4bit=True)  # fp4 by default, which nobody asked for
    load(folders["nf4"], quantization_config=BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16))
    load(folders["int4"], quantization_config=MADE["int4"])
    assert "don't apply" not in caplog.text
    load(folders["nf4"], quantization_config=BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_use_double_quant=True))
    assert caplog.text.strip().endswith("don't apply: bnb_4bit_use_double_quant")
    assert load(folders["nf4"], load_in_8bit=True).is_loaded_in_4bit  # as transformers does
    assert caplog.text.strip().endswith("don't apply: load_in_8bit")


# ---- models --------------------------------------------------------------------------------------
CALLS = {
    "half()": lambda m: m.half(), "float()": lambda m: m.float(), "double()": lambda m: m.double(),
    "bfloat16()": lambda m: m.bfloat16(), "to(torch.float16)": lambda m: m.to(torch.float16),
    "type(torch.float16)": lambda m: m.type(torch.float16),
}


@pytest.mark.parametrize("call", CALLS)
def test_casts_are_refused(call, folders) -> None:
    model = load(folders["int4"])
    with pytest.raises(InputError) as raised:
        CALLS[call](model)
    assert str(raised.value) == (f"LlamaForCausalLM.{call}: a quantized model keeps the types it "
                                 "has. Do: load it with dtype=..., or model.dequantize() first")


@pytest.mark.parametrize("name", MADE)
def test_what_may_be_done(name, folders) -> None:
    """Train what is not quantized, resize, tie, and go back."""
    model = load(folders[name]).requires_grad_(True).train()
    assert model.cpu() is model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model(input_ids=IDS, labels=IDS).loss.backward()
    torch.optim.AdamW(model.parameters(), lr=0.1).step()
    after = model.state_dict()
    changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"} < changed
    assert not any("proj" in key for key in changed)
    model.eval().resize_token_embeddings(120)
    model.tie_weights()
    assert model(torch.tensor([[110]])).logits.shape == (1, 1, 120)
    layer = model.model.layers[0].self_attn.q_proj
    with pytest.raises(InputError, match="holds no plain weight, got one of torch.float32. Do: la"):
        layer.weight = nn.Parameter(torch.zeros(64, 64))
    with pytest.raises(InputError, match=r"dequantize\(torch.int8\): expected a floating type"):
        model.dequantize(torch.int8)
    assert {p.dtype for p in model.dequantize(torch.bfloat16).to(torch.float32).parameters()} == {
        torch.float32}
