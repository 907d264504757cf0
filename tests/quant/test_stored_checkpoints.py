"""Quantized checkpoints: read, computed with, and saved again bit for bit."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from enfold import AutoModelForCausalLM
from enfold.errors import CheckpointError
from enfold.quant import layouts
from enfold.quant.groups import Groups, quantize
from enfold.quant.layouts import run_group
from enfold.quant.stored import Stored
from tests.quant.checkpoints import plain_logits, save_llama, save_quantized

IDS = torch.tensor([[1, 5, 9, 30, 2, 77]])


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return save_llama(tmp_path_factory.mktemp("llama"))


def gptq(bits=4, *, version=1, ordered=False, symmetric=True, bias=False):
    def convert(name, weight):
        held = quantize(weight, bits, 32, symmetric, torch.float16)
        if ordered:  # the same integers, with another group for each input
            torch.manual_seed(len(name))
            order = run_group(held.inputs, 32)[torch.randperm(held.inputs)]
            held = Groups(bits, held.inputs, held.packed, held.scales, held.zeros, order)
        leaves = layouts.to_gptq(held, 32, version=version)
        extra = {"bias": torch.zeros(weight.shape[0]).half()} if bias else {}
        return leaves | extra, held.dequantize(torch.float16)

    format = "gptq" if version == 1 else "gptq_v2"
    return {"quant_method": "gptq", "bits": bits, "group_size": 32, "desc_act": ordered,
            "sym": symmetric, "checkpoint_format": format, "static_groups": False}, convert


def awq(version="gemm"):
    def convert(name, weight):
        held = quantize(weight, 4, 32, False, torch.float16)
        leaves = layouts.to_awq(held) if version == "gemm" else layouts.to_gemv(held, 32)
        return leaves, held.dequantize(torch.float16)

    return {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True,
            "version": version}, convert


def compressed(form, weights, inputs=None):
    config = {"quant_method": "compressed-tensors", "format": form, "ignore": ["lm_head"],
              "quantization_status": "compressed", "kv_cache_scheme": None,
              "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights,
                                            "input_activations": inputs}}}
    over = Stored(weights["strategy"], weights.get("group_size") or -1,
                  symmetric=weights.get("symmetric", True))

    def packed(name, weight):
        held = quantize(weight, weights["num_bits"], weights.get("group_size") or -1,
                        weights["symmetric"], torch.float16)
        return layouts.to_packed(held), held.dequantize(torch.float16)

    def whole(name, weight):
        q, scale, zero = over.to_int8(weight)
        leaves = {"weight": q, "weight_scale": scale}
        leaves |= {} if zero is None else {"weight_zero_point": zero}
        leaves |= {"input_scale": torch.ones(1).half()} if inputs and not inputs["dynamic"] else {}
        return leaves, over.from_int8(q, scale, zero)

    def floats(name, weight):
        q, scale = over.to_float8(weight, torch.float8_e4m3fn)
        return {"weight": q, "weight_scale": scale}, q.float() * scale.float()

    return config, {"pack-quantized": packed, "float-quantized": floats}.get(form, whole)


def fine(name, weight):
    over = Stored("block", 32, 32)
    q, scale = over.to_float8(weight, torch.float8_e4m3fn, torch.float32)
    wide = scale.repeat_interleave(32, 0).repeat_interleave(32, 1)
    return {"weight": q, "weight_scale_inv": scale}, q.float() * wide


GROUP = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32}
TOKEN = {"num_bits": 8, "type": "int", "strategy": "token", "dynamic": True}
CHANNEL = {"num_bits": 8, "type": "int", "strategy": "channel"}
CASES = {
    **{f"gptq-{bits}": gptq(bits) for bits in (2, 3, 4, 8)},
    "gptq-v2": gptq(version=2), "gptq-zeros": gptq(symmetric=False),
    "gptq-ordered": gptq(ordered=True), "gptq-bias": gptq(bias=True),
    "awq-gemm": awq(), "awq-gemv": awq("gemv"),
    "packed": compressed("pack-quantized", GROUP | {"symmetric": True}),
    "packed-zeros": compressed("pack-quantized", GROUP | {"symmetric": False}),
    "packed-8-channel": compressed("pack-quantized", CHANNEL | {"symmetric": True}),
    "naive-zeros": compressed("naive-quantized", CHANNEL | {"symmetric": False}),
    "naive-tensor": compressed("naive-quantized", CHANNEL | {"strategy": "tensor"}),
    "float8-channel": compressed("float-quantized", CHANNEL | {"type": "float"}),
    "float8-tensor": compressed("float-quantized",
                                {"num_bits": 8, "type": "float", "strategy": "tensor"}),
    "float8-fine": ({"quant_method": "fp8", "weight_block_size": [32, 32],
                     "modules_to_not_convert": ["lm_head"]}, fine),
}


@pytest.mark.parametrize("case", CASES)
def test_reads_and_saves_again(case, llama, tmp_path):
    config, convert = CASES[case]
    plain = save_quantized(llama, tmp_path / "stored", config, convert)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "stored", dtype=torch.float32)
    layer = model.model.layers[1].mlp.down_proj
    key = "model.layers.1.mlp.down_proj.weight"
    assert torch.equal(layer.dequantize(torch.float32).to(plain[key].dtype), plain[key])
    found, expected = model(IDS).logits, plain_logits(llama, plain, IDS)
    assert (found - expected).norm() < 2e-3 * expected.norm()

    model.save_pretrained(tmp_path / "again")
    before = load_file(tmp_path / "stored" / "model.safetensors")
    after = load_file(tmp_path / "again" / "model.safetensors")
    assert set(after) == set(before)
    quantized = [key for key in before if "_proj" in key and not key.endswith("bias")]
    assert all(after[key].dtype == before[key].dtype for key in quantized)
    assert all(torch.equal(after[key].view(torch.uint8), before[key].view(torch.uint8))
               for key in quantized)
    saved = json.loads((tmp_path / "again" / "config.json").read_text())["quantization_config"]
    assert saved["quant_method"] == config["quant_method"]
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "again", dtype=torch.float32)
    assert torch.equal(again(IDS).logits, found)


@pytest.mark.parametrize("inputs", [TOKEN, TOKEN | {"strategy": "tensor", "dynamic": False}])
def test_int8_products_stay_near(inputs, llama, tmp_path):
    plain = save_quantized(llama, tmp_path / "stored",
                           *compressed("int-quantized", CHANNEL | {"symmetric": True}, inputs))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "stored", dtype=torch.float32)
    expected = plain_logits(llama, plain, IDS)
    with torch.no_grad():
        found = model(IDS).logits
    assert 0 < (found - expected).norm() < 0.05 * expected.norm()
    model.save_pretrained(tmp_path / "again")
    before = load_file(tmp_path / "stored" / "model.safetensors")
    after = load_file(tmp_path / "again" / "model.safetensors")
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items() if "_proj" in key)


def test_four_bits_in_bytes_beside_int8_inputs(llama, tmp_path):
    """As compressed-tensors stores W4A8: numbers of 4 bits, a byte each."""
    def convert(name, weight):
        groups = weight.float().view(len(weight), -1, 32)
        scale = (groups.abs().amax(-1, keepdim=True) / 7.5).half().float()
        numbers = (groups / scale).round().clamp(-8, 7)
        return {"weight": numbers.view_as(weight).to(torch.int8), "weight_scale":
                scale[..., 0].half()}, (numbers * scale).view_as(weight)

    config, _ = compressed("int-quantized", GROUP | {"symmetric": True}, TOKEN)
    plain = save_quantized(llama, tmp_path / "stored", config, convert)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "stored", dtype=torch.float32)
    expected = plain_logits(llama, plain, IDS)
    with torch.no_grad():
        assert 0 < (model(IDS).logits - expected).norm() < 0.05 * expected.norm()
    model.save_pretrained(tmp_path / "again")
    before = load_file(tmp_path / "stored" / "model.safetensors")
    after = load_file(tmp_path / "again" / "model.safetensors")
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items() if "_proj" in key)
    saved = json.loads((tmp_path / "again" / "config.json").read_text())["quantization_config"]
    assert saved["config_groups"]["group_0"]["input_activations"]["num_bits"] == 8


def test_gradients_are_those_of_the_dequantized_weight(llama, tmp_path):
    save_quantized(llama, tmp_path / "stored", *gptq(ordered=True))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "stored", dtype=torch.float32)
    layer = model.model.layers[0].self_attn.q_proj
    x = torch.randn(3, 64, requires_grad=True)
    layer(x).square().sum().backward()
    y = torch.nn.functional.linear(x, layer.dequantize(torch.float32)).detach()
    assert torch.allclose(x.grad, 2 * y @ layer.dequantize(torch.float32), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("leaf", "change", "message"), [
    ("scales", None, r"has no 'scales' for gptq layer 'model\.layers\.0\.self_attn\.q_proj'"),
    ("qzeros", lambda t: t[:1], r"q_proj\.qzeros has shape \(1, 8\) and type torch\.int32, "
                                r"expected \(2, 8\)"),
    ("qweight", lambda t: t.float(), r"q_proj\.qweight has shape .* type torch\.float32"),
])
def test_bad_tensors_are_named(leaf, change, message, llama, tmp_path):
    save_quantized(llama, tmp_path / "stored", *gptq())
    file = tmp_path / "stored" / "model.safetensors"
    tensors, key = load_file(file), f"model.layers.0.self_attn.q_proj.{leaf}"
    value = tensors.pop(key)
    if change is not None:
        tensors[key] = change(value).contiguous()
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=message):
        AutoModelForCausalLM.from_pretrained(tmp_path / "stored")
