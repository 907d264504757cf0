"""Quantized products and their gradients on a GPU, beside those of the CPU."""

from __future__ import annotations

import copy

import pytest
import torch

from enfold import AutoModelForCausalLM
from enfold.adapt import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from enfold.nn import blocks4
from enfold.nn.cuda import four
from enfold.nn.linear import Linear
from enfold.nn.quantized import QuantizedLinear
from enfold.quant.bnb.linear4 import Linear4bit
from enfold.quant.bnb.linear8 import Linear8bitLt
from enfold.quant.group_linear import PackedLinear, Scheme
from tests.quant.checkpoints import save_llama
from tests.quant.test_adapters_on_formats import (  # noqa: F401
    FORMATS,
    ON_LOAD,
    llama,
    load,
)

IDS = torch.randint(1, 96, (2, 9), generator=torch.Generator().manual_seed(0))
ERROR = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 2e-2}


def layers():
    with torch.device("meta"):
        plain = Linear(512, 192)
    return [Linear4bit(plain, "nf4"), Linear4bit(plain, "nf4", nested=True, block=128),
            Linear4bit(plain, "fp4"), PackedLinear(plain, Scheme(4, 32), "layer"),
            PackedLinear(plain, Scheme(4, 128, symmetric=False), "layer"), Linear8bitLt(plain)]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 300])
@pytest.mark.parametrize("dtype", list(ERROR))
@pytest.mark.parametrize("layer", layers(), ids=QuantizedLinear.describe)
@torch.no_grad()
def test_products(layer, dtype, rows, device, monkeypatch) -> None:
    layer = copy.deepcopy(layer)
    layer.bias = torch.nn.Parameter(torch.randn(192, generator=torch.Generator().manual_seed(1)))
    layer.requantize(torch.randn(192, 512, generator=torch.Generator().manual_seed(0)))
    layer.compute = dtype if isinstance(layer, Linear4bit) else None
    x = torch.randn(rows, 512, generator=torch.Generator().manual_seed(2)).to(dtype)
    exact = torch.nn.functional.linear(x.double(), layer.dequantize(torch.float32).double(),
                                       layer.bias.double())
    used, real = [], four._programs
    monkeypatch.setattr(four, "_programs", lambda: used.append(None) or real())
    found = layer.to(device)(x.to(device))
    assert found.dtype == dtype and found.device.type == device.type
    rounded = isinstance(layer, Linear8bitLt) or device.type == "cpu"  # inputs become int8
    error = 2e-2 if rounded else ERROR[dtype]
    assert (found.cpu().double() - exact).norm() <= error * exact.norm()
    if device.type == "cuda" and four.installed():
        assert bool(used) != isinstance(layer, Linear8bitLt)


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("count", [64 * 999, 4097, 1])
def test_blocks_are_the_bits_of_a_cpu(kind, count, device) -> None:
    weight = torch.randn(count, generator=torch.Generator().manual_seed(0))
    packed, absmax = blocks4.quantize(weight, kind)
    there = blocks4.quantize(weight.to(device), kind)
    assert torch.equal(there[0].cpu(), packed) and torch.equal(there[1].cpu(), absmax)
    for dtype in ERROR:
        wanted = blocks4.dequantize(packed, absmax, kind, 64, count, dtype)
        assert torch.equal(blocks4.dequantize(*there, kind, 64, count, dtype).cpu(), wanted)


@pytest.mark.parametrize("name", FORMATS)
@torch.no_grad()
def test_every_format_gives_its_logits(name, load, device) -> None:  # noqa: F811
    model = load(name)
    wanted = model(IDS).logits
    found = model.to(device)(IDS.to(device)).logits.cpu()
    assert (found - wanted).norm() <= 2e-2 * wanted.norm()


@pytest.mark.parametrize("name", ["nf4", "nf4-nested", "llm_int8", "int4_weight_only"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_of_qlora(name, checkpointing, device, tmp_path) -> None:
    save_llama(tmp_path)

    def gradients(where):
        model = AutoModelForCausalLM.from_pretrained(
            tmp_path, quantization_config=ON_LOAD[name], dtype=torch.float32, device_map=where)
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=checkpointing)
        torch.manual_seed(1)
        model = get_peft_model(model, LoraConfig(r=4, task_type="CAUSAL_LM",
                                                 target_modules="all-linear")).train()
        given = IDS.to(model.device)
        model(input_ids=given, labels=given).loss.backward()
        return {name: p.grad.cpu() for name, p in model.named_parameters() if p.grad is not None}

    found, wanted = gradients(device), gradients("cpu")
    assert found.keys() == wanted.keys() and any(grad.any() for grad in found.values())
    for key, grad in found.items():
        torch.testing.assert_close(grad, wanted[key], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["nf4", "int4_weight_only"])
@torch.no_grad()
def test_compiled(name, device, tmp_path) -> None:
    model = AutoModelForCausalLM.from_pretrained(
        save_llama(tmp_path), quantization_config=ON_LOAD[name], dtype=torch.float32,
        device_map=device)
    given = IDS.to(device)
    found = torch.compile(model)(given).logits
    torch.testing.assert_close(found, model(given).logits, rtol=1e-4, atol=1e-4)
