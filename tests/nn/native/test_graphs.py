"""Kernels as operations of graphs: torch.library's checks, and models compiled without a break."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from enfold import AutoModel, AutoModelForCausalLM
from enfold.adapt import LoraConfig, get_peft_model
from enfold.nn import blocks4, linear
from enfold.nn.linear import TRIED, faster
from enfold.nn.native.groups import Parts
from enfold.nn.native.library import level, using
from enfold.quant.bnb.linear4 import Linear4bit
from enfold.quant.bnb.linear8 import Linear8bitLt
from enfold.quant.compressed import CompressedTensorsConfig
from enfold.quant.config import BitsAndBytesConfig
from enfold.quant.group_linear import PackedLinear, Scheme
from enfold.quant.stored import Stored
from enfold.quant.torchao import TorchAoConfig
from tests.quant.checkpoints import save_llama

pytestmark = pytest.mark.skipif(level() is None, reason="needs the native library")
OPS = torch.ops.enfold
IDS = torch.randint(1, 50, (2, 9), generator=torch.Generator().manual_seed(0))
PADDED = torch.ones_like(IDS).index_put((torch.tensor([1]), torch.tensor([8])), torch.tensor(0))
NF4 = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")
FORMATS = {
    "nf4": (NF4, "blocks4_linear"),
    "fp4-nested-bf16": (BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16), "blocks4_linear"),
    "llm_int8": (BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=1.0), "llm_int8_linear"),
    "int4": (TorchAoConfig("int4_weight_only", group_size=32), "groups_linear"),
    "int8": (TorchAoConfig("int8_weight_only"), "groups_linear"),
    "int8-dynamic": (TorchAoConfig("int8_dynamic_activation_int8_weight"), "int8_linear"),
    "fp8": (CompressedTensorsConfig({"FP8_DYNAMIC": ["Linear"]}), "groups_linear"),
}


@pytest.fixture(autouse=True)
def also_small_ones(monkeypatch):
    monkeypatch.setattr(linear, "SMALLEST", 0)
    torch._dynamo.reset()


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return save_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    config = BertConfig(vocab_size=50, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
                        intermediate_size=96)
    BertModel(config).save_pretrained(folder)
    return folder


def layer(size=(48, 64)):
    with torch.device("meta"):
        return linear.Linear(size[1], size[0], bias=False)


def four(nested):
    made = Linear4bit(layer(), "nf4", nested=nested)
    made.requantize(torch.randn(48, 64))
    return made.parts()


def groups() -> list[Parts]:
    made = PackedLinear(layer(), Scheme(4, 32, symmetric=False), "q")
    made.requantize(torch.randn(48, 64))
    whole = Stored("channel")
    eight, scale, zero = whole.to_int8(torch.randn(48, 64))
    floats, wide = whole.to_float8(torch.randn(48, 64), torch.float8_e4m3fn)
    found = [made.parts(), whole.parts(eight, scale, zero, "signed"),
             whole.parts(floats, wide, None, "e4m3")]
    return [parts for parts in found if parts is not None]


def attention(dtype, window=None, *, padding=None, bias=None, causal=True):
    q, k, v = (torch.randn(2, heads, length, 16, dtype=dtype)
               for heads, length in ((4, 5), (2, 7), (2, 7)))
    return q, k, v, padding, None, causal, window, 0.25, bias


def check(op, *args) -> None:
    tests = ["test_autograd_registration", "test_faketensor", "test_aot_dispatch_dynamic"]
    if not any(getattr(x, "dtype", None) == torch.float8_e4m3fn for x in args):
        tests.append("test_schema")  # it multiplies its arguments, which torch can't with float8
    torch.library.opcheck(op, args, test_utils=tests)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_linear_and_attention(dtype) -> None:
    x, weight = torch.randn(3, 5, 64, dtype=dtype), torch.randn(48, 64, dtype=dtype)
    check(OPS.linear, x, weight, torch.randn(48, dtype=dtype))
    check(OPS.linear, x.transpose(0, 1), weight, None)
    check(OPS.attention, *attention(dtype))
    seen = torch.ones(2, 7).index_fill(1, torch.tensor([0]), 0).bool()
    check(OPS.attention, *attention(dtype, 3, padding=seen, bias=torch.randn(1, 4, 5, 7)))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_blocks_of_four_bits(nested, exact) -> None:
    parts = four(nested)
    x = torch.randn(2, 3, 64, requires_grad=exact)
    bias = torch.randn(48, requires_grad=exact)
    check(OPS.blocks4_linear, x, *parts, 48, torch.float32, bias, exact)
    check(OPS.blocks4_numbers, *parts, 48, 64, torch.bfloat16)


@pytest.mark.parametrize("exact", [False, True])
def test_groups_and_rows(exact) -> None:
    x, bias = (torch.randn(*size, requires_grad=exact) for size in ((2, 3, 64), (48,)))
    for bits, inputs, packed, scales, zeros, form in groups():
        check(OPS.groups_linear, x, packed, scales, zeros, bits, inputs, form, bias, exact)
        check(OPS.groups_numbers, packed, scales, zeros, bits, inputs, form, torch.float16)
    rows = Linear8bitLt(layer())
    rows.requantize(torch.randn(48, 64))
    check(OPS.llm_int8_linear, x.detach(), rows.weight.detach(), rows.SCB, None, 0.5)


def compiled(model: nn.Module, **inputs) -> tuple[Tensor, Tensor, Counter[str]]:
    """What a model gives, what it gives compiled, and how often an operation of ours is in that."""
    used: Counter[str] = Counter()

    def backend(graph, example):
        names = (str(node.target) for node in graph.graph.nodes)
        used.update(name.removeprefix("enfold.") for name in names if name.startswith("enfold."))
        return graph

    with torch.no_grad():
        found = torch.compile(model, backend=backend, fullgraph=True)(**inputs)[0]
        return model(**inputs)[0], found, used


def near(found: Tensor, expected: Tensor, limit: float) -> None:
    assert (found - expected).norm() <= limit * expected.norm()


@pytest.mark.parametrize(("mask", "cached"), [(None, True), (PADDED, False)])
def test_llama(llama, mask, cached) -> None:
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    expected, found, used = compiled(model, input_ids=IDS, attention_mask=mask, use_cache=cached)
    near(found, expected, 1e-5)
    assert used == {"linear": 15, "attention": 2}


def test_bert(bert) -> None:
    expected, found, used = compiled(AutoModel.from_pretrained(bert), input_ids=IDS,
                                     attention_mask=PADDED, token_type_ids=torch.zeros_like(IDS))
    real = PADDED.bool()
    near(found[real], expected[real], 1e-5)
    assert used == {"linear": 13, "attention": 2}


@pytest.mark.parametrize("name", FORMATS)
def test_formats(name, llama) -> None:
    config, op = FORMATS[name]
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32,
                                                 quantization_config=config)
    expected, found, used = compiled(model, input_ids=IDS, use_cache=False)
    near(found, expected, 1e-3)
    assert used == {op: 14, "linear": 1, "attention": 2}


def test_adapters_are_trained_in_graphs(llama) -> None:
    gradients = []
    for compiles in (False, True):
        torch.manual_seed(0)
        base = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32,
                                                    quantization_config=NF4)
        model = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "down_proj"],
                                                init_lora_weights=False)).train()
        run = torch.compile(model, backend="aot_eager", fullgraph=True) if compiles else model
        run(input_ids=IDS, labels=IDS, use_cache=False).loss.backward()
        gradients.append([p.grad for p in model.parameters() if p.requires_grad])
    assert len(gradients[0]) == 8
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected)


def test_exported_programs_hold_torchs_operations_alone(llama) -> None:
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32,
                                                 quantization_config=FORMATS["int8"][0])
    with torch.no_grad():
        program = torch.export.export(model, (IDS,), {"use_cache": False, "return_dict": False},
                                      strict=True)
        assert not any("enfold" in str(node.target) for node in program.graph.nodes)
        near(program.module()(IDS, use_cache=False, return_dict=False)[0],
             model(IDS, use_cache=False).logits, 1e-5)


def test_without_a_library_graphs_are_torchs(llama) -> None:
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32,
                                                 quantization_config=FORMATS["int4"][0])
    for rows in TRIED:  # an earlier layer of the process has measured
        faster(torch.float32, rows)
    with using(None):
        expected, found, used = compiled(model, input_ids=IDS, use_cache=False)
    near(found, expected, 1e-5)
    assert not used


def test_segments_of_a_model_without_any(llama) -> None:
    model = AutoModelForCausalLM.from_pretrained(llama, dtype=torch.float32)
    run = torch.compile(model, backend="eager", fullgraph=True)
    with pytest.raises(RuntimeError, match="the model knows none"), torch.no_grad():
        run(IDS, token_type_ids=torch.ones_like(IDS))


def test_the_values_stand_in_every_part() -> None:
    weight = torch.randn(48, 64)
    packed, absmax = blocks4.quantize(weight, "nf4")
    numbers = OPS.blocks4_numbers(packed.view(-1, 1), absmax, None, None, 0.0, "nf4", 64, 48, 64,
                                  torch.float32)
    assert torch.equal(numbers.view(-1), blocks4.dequantize(packed, absmax, "nf4", 64, 48 * 64))
