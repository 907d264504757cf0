"""Formats against dequantization written from their descriptions, one number at a time."""

from __future__ import annotations

import pytest
import torch

from enfold.errors import CheckpointError
from enfold.quant import layouts
from enfold.quant.groups import quantize
from enfold.quant.layouts import run_group


def words_to_values(column: list[int], bits: int, count: int) -> list[int]:
    number = sum((word & 0xFFFFFFFF) << (32 * place) for place, word in enumerate(column))
    return [(number >> (bits * place)) & (2**bits - 1) for place in range(count)]


def gptq_weight(leaves, bits, version):
    """AutoGPTQ: values along the rows of qweight, zeros along the columns of qzeros."""
    inputs, outputs = len(leaves["g_idx"]), leaves["scales"].shape[1]
    weight = torch.empty(outputs, inputs, dtype=torch.float16)
    zeros = [words_to_values(row, bits, outputs) for row in leaves["qzeros"].tolist()]
    for o in range(outputs):
        values = words_to_values(leaves["qweight"][:, o].tolist(), bits, inputs)
        for i, g in enumerate(leaves["g_idx"].tolist()):
            zero = (zeros[g][o] + (version == 1)) % 2**bits
            weight[o, i] = (values[i] - zero) * leaves["scales"][g, o]
    return weight


def random_gptq(bits, outputs, inputs, group, ordered):
    torch.manual_seed(bits)
    groups = inputs // group
    g_idx = run_group(inputs, group)
    if ordered:
        g_idx = g_idx[torch.randperm(inputs)]
    words = lambda *shape: torch.randint(-2**31, 2**31, shape).to(torch.int32)  # noqa: E731
    return {"qweight": words(inputs * bits // 32, outputs),
            "qzeros": words(groups, outputs * bits // 32),
            "scales": torch.rand(groups, outputs).half() * 0.01, "g_idx": g_idx}


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_gptq(bits, version, ordered):
    leaves = random_gptq(bits, 32, 64, 16, ordered)
    groups = layouts.from_gptq(leaves, bits, 16, version=version)
    assert torch.equal(groups.dequantize(torch.float16), gptq_weight(leaves, bits, version))
    again = layouts.to_gptq(groups, 16, version=version)
    assert all(torch.equal(again[leaf], tensor) for leaf, tensor in leaves.items())


def awq_weight(leaves, group):
    """AutoAWQ: eight outputs in a word, the place p holds output (0 2 4 6 1 3 5 7)[p]."""
    inputs, outputs = leaves["qweight"].shape[0], leaves["scales"].shape[1]
    place = {output: p for p, output in enumerate((0, 2, 4, 6, 1, 3, 5, 7))}
    nibble = lambda table, row, o: (  # noqa: E731
        int(table[row, o // 8]) >> (4 * place[o % 8])) & 15
    weight = torch.empty(outputs, inputs, dtype=torch.float16)
    for o in range(outputs):
        for i in range(inputs):
            q, zero = nibble(leaves["qweight"], i, o), nibble(leaves["qzeros"], i // group, o)
            weight[o, i] = (q - zero) * leaves["scales"][i // group, o]
    return weight


def test_awq():
    torch.manual_seed(0)
    words = lambda *shape: torch.randint(-2**31, 2**31, shape).to(torch.int32)  # noqa: E731
    leaves = {"qweight": words(64, 3), "qzeros": words(4, 3),
              "scales": torch.rand(4, 24).half() * 0.01}
    layouts.check(leaves, layouts.awq_shapes(24, 64, 16), "q_proj")
    groups = layouts.from_awq(leaves)
    assert torch.equal(groups.dequantize(torch.float16), awq_weight(leaves, 16))
    again = layouts.to_awq(groups)
    assert all(torch.equal(again[leaf], tensor) for leaf, tensor in leaves.items())


@pytest.mark.parametrize("group", [32, 64, 128])
def test_awq_gemv(group):
    torch.manual_seed(0)
    held = quantize(torch.randn(8, 256), 4, group, symmetric=False, scale_dtype=torch.float16)
    leaves = layouts.to_gemv(held, group)
    layouts.check(leaves, layouts.gemv_shapes(8, 256, group), "q_proj")
    q = torch.tensor([words_to_values(row, 4, 256) for row in leaves["qweight"].tolist()])
    zeros = torch.tensor([words_to_values(row, 4, 256 // group)
                          for row in leaves["qzeros"].tolist()])
    g = torch.arange(256) // group
    expected = (q - zeros[:, g]) * leaves["scales"][:, g]
    read = layouts.from_gemv(leaves, group)
    assert torch.equal(read.dequantize(torch.float16), expected)
    again = layouts.to_gemv(read, group)
    assert all(torch.equal(again[leaf], tensor) for leaf, tensor in leaves.items())


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_packed(bits, symmetric):
    torch.manual_seed(0)
    weight = torch.randn(20, 96)
    held = quantize(weight, bits, 32, symmetric, torch.bfloat16)
    leaves = layouts.to_packed(held)
    layouts.check(leaves, layouts.packed_shapes(20, 96, bits, 32, symmetric), "q_proj")
    q = torch.tensor([words_to_values(row, bits, 96) for row in leaves["weight_packed"].tolist()])
    zero = torch.full((20, 3), 2 ** (bits - 1))
    if not symmetric:
        zero = torch.tensor([words_to_values(column, bits, 20)
                             for column in leaves["weight_zero_point"].t().tolist()]).t()
    scale = leaves["weight_scale"].float().repeat_interleave(32, 1)
    expected = ((q - zero.repeat_interleave(32, 1)) * scale).bfloat16()
    read = layouts.from_packed(leaves, bits, 96)
    assert torch.equal(read.dequantize(torch.bfloat16), expected)
    again = layouts.to_packed(read)
    assert all(torch.equal(again[leaf], tensor) for leaf, tensor in leaves.items())


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_packed_as_compressed_tensors_reads_it(bits, symmetric):
    helpers = pytest.importorskip("compressed_tensors.compressors.pack_quantized.helpers")
    torch.manual_seed(0)
    held = quantize(torch.randn(20, 96), bits, 32, symmetric)
    leaves, offset = layouts.to_packed(held), 2 ** (bits - 1)
    values = helpers.unpack_from_int32(leaves["weight_packed"], bits, torch.Size((20, 96)))
    assert torch.equal(values.int() + offset, held.values().int())
    if not symmetric:
        zeros = helpers.unpack_from_int32(leaves["weight_zero_point"], bits, torch.Size((20, 3)), 0)
        assert torch.equal(zeros.int() + offset, held.zeros.int())


def test_a_missing_tensor_is_named():
    leaves = random_gptq(4, 32, 64, 16, False)
    del leaves["scales"]
    with pytest.raises(CheckpointError, match=r"lacks 'h\.0\.q\.scales', expected qweight, qzeros"):
        layouts.check(leaves, layouts.gptq_shapes(32, 64, 4, 16), "h.0.q")


@pytest.mark.parametrize(("leaf", "value", "message"), [
    ("scales", torch.ones(8, 32).half(), r"h\.0\.q\.scales has shape \(8, 32\) .* expected \(4, "),
    ("qweight", torch.ones(8, 32), r"type torch\.float32, expected \(8, 32\) and torch\.int32"),
])
def test_a_misshapen_tensor_is_named(leaf, value, message):
    leaves = random_gptq(4, 32, 64, 16, False) | {leaf: value}
    with pytest.raises(CheckpointError, match=message):
        layouts.check(leaves, layouts.gptq_shapes(32, 64, 4, 16), "h.0.q")
