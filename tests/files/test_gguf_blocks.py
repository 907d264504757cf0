"""Block formats, bit for bit those of the gguf package."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from enfold.errors import CheckpointError
from enfold.files.gguf import BY_NAME
from enfold.files.gguf.blocks import AT_ONCE, FORMATS, dequantize
from enfold.files.gguf.quantize import quantize

gguf = pytest.importorskip("gguf")


def blocks(name: str, count: int = 300) -> np.ndarray:
    """Random bytes with scales that are finite."""
    kind, random = BY_NAME[name], np.random.default_rng(len(name))
    raw = random.integers(0, 256, (count, kind.size), dtype=np.uint8)
    for at in kind.halves if name != "IQ4_XS" else (0,):
        scales = random.standard_normal(count).astype(np.float16)
        raw[:, at:at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return raw


def test_sizes_are_those_of_the_gguf_package() -> None:
    for kind, (block, size) in gguf.GGML_QUANT_SIZES.items():
        ours = BY_NAME[kind.name]
        assert (ours.number, ours.block, ours.size) == (int(kind), block, size)


@pytest.mark.parametrize("name", FORMATS)
def test_numbers_are_equal_bit_for_bit(name: str) -> None:
    raw = blocks(name)
    expected = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[name])
    got = dequantize(torch.from_numpy(raw).flatten(), BY_NAME[name], torch.float32)
    assert np.array_equal(got.numpy().view(np.uint32), expected.view(np.uint32).ravel())
    half = dequantize(torch.from_numpy(raw).flatten(), BY_NAME[name], torch.bfloat16)
    assert torch.equal(half, torch.from_numpy(expected).flatten().bfloat16())


def test_long_tensors_are_taken_apart_in_pieces() -> None:
    raw = torch.from_numpy(blocks("Q8_0", AT_ONCE // 32 + 5))
    got = dequantize(raw.flatten(), BY_NAME["Q8_0"], torch.float32).view(-1, 32)
    last = dequantize(raw[-5:].flatten(), BY_NAME["Q8_0"], torch.float32).view(-1, 32)
    assert torch.equal(got[-5:], last)


@pytest.mark.parametrize("name", [kind.name for kind in BY_NAME.values()
                                  if not kind.torch and kind.name not in FORMATS])
def test_other_formats_raise_by_name(name: str) -> None:
    raw = torch.zeros(BY_NAME[name].size, dtype=torch.uint8)
    with pytest.raises(NotImplementedError, match=f"type {name} are not read.*llama-quantize"):
        dequantize(raw, BY_NAME[name], torch.float32)


@pytest.mark.parametrize("name", ["Q8_0", "Q4_0"])
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 500.0])
def test_blocks_are_equal_bit_for_bit(name: str, scale: float) -> None:
    values = (np.random.default_rng(1).standard_normal((65, 256)) * scale).astype(np.float32)
    values[0] = 0
    values[1, :32] = np.arange(32) / 2 - 8  # halves, and the largest magnitude is negative
    values[2, :32] = np.where(np.arange(32) % 2, 3, -3)  # it is there with both signs
    values[3, 7] = -0.0
    expected = gguf.quants.quantize(values, gguf.GGMLQuantizationType[name])
    got = quantize(torch.from_numpy(values), BY_NAME[name])
    assert np.array_equal(got.numpy(), expected)


@pytest.mark.parametrize("name", ["Q8_0", "Q4_0"])
def test_bfloat16_is_quantized_as_its_values(name: str) -> None:
    values = torch.randn(3, 64, generator=torch.manual_seed(0)).bfloat16()
    assert torch.equal(quantize(values, BY_NAME[name]), quantize(values.float(), BY_NAME[name]))


def test_what_can_not_be_quantized() -> None:
    with pytest.raises(NotImplementedError, match="can't be quantized to Q4_K"):
        quantize(torch.ones(256), BY_NAME["Q4_K"])
    with pytest.raises(CheckpointError, match=r"shape \[2, 33\] can't be Q8_0"):
        quantize(torch.ones(2, 33), BY_NAME["Q8_0"])
    with pytest.raises(CheckpointError, match="not finite"):
        quantize(torch.full((32,), float("inf")), BY_NAME["Q4_0"])
