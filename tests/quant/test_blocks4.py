"""Blocks of four and eight bits: the bits of bitsandbytes, natively and through torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.errors import ConfigError, InputError
from enfold.nn import blocks4
from enfold.nn.native.library import levels, using
from enfold.quant import blocks8, rows8

F = pytest.importorskip("bitsandbytes.functional")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
LEVELS = [None, *levels()]


def numbers(count: int, dtype: torch.dtype, content: str, seed: int) -> torch.Tensor:
    x = torch.randn(count, generator=torch.Generator().manual_seed(seed))
    x = {"normal": x, "zeros": x * 0, "constant": x * 0 + 0.37, "tiny": x * 1e-7,
         "holes": x * (x > 0.5), "steps": (x * 4).round() / 4}[content]
    return x.to(dtype)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(1, 9000), dtype=st.sampled_from(DTYPES), level=st.sampled_from(LEVELS),
       kind=st.sampled_from(("nf4", "fp4")), block=st.sampled_from((32, 64, 128, 1024, 4096)),
       content=st.sampled_from(("normal", "zeros", "constant", "tiny", "holes", "steps")),
       out=st.sampled_from(DTYPES), seed=st.integers(0, 99))
def test_four_bits_are_those_of_bitsandbytes(count, dtype, level, kind, block, content, out, seed):
    x = numbers(count, dtype, content, seed)
    theirs, state = F.quantize_4bit(x, blocksize=block, quant_type=kind)
    with using(level):
        packed, absmax = blocks4.quantize(x, kind, block)
        back = blocks4.dequantize(packed, absmax, kind, block, count, out)
    assert torch.equal(packed, theirs.flatten())
    assert torch.equal(absmax, state.absmax)
    pairs = torch.stack((packed >> 4, packed & 15), 1).flatten()[:count].int()
    scales = absmax.repeat_interleave(block)[:count]
    assert torch.equal(back, (F.get_4bit_type(kind, device="cpu")[pairs] * scales).to(out))


@pytest.mark.parametrize("out", DTYPES)
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_dequantized_numbers_are_those_of_bitsandbytes(kind, out):
    x = torch.randn(300, 128)
    theirs, state = F.quantize_4bit(x, quant_type=kind)
    state.dtype = out
    packed, absmax = blocks4.quantize(x, kind)
    assert torch.equal(blocks4.dequantize(packed, absmax, kind, 64, x.numel(), out).view(x.shape),
                       F.dequantize_4bit(theirs, state))


def test_a_part_is_dequantized_by_itself():
    packed, absmax = blocks4.quantize(torch.randn(4096), "nf4")
    whole = blocks4.dequantize(packed, absmax, "nf4", 64, 4096)
    for level in LEVELS:
        with using(level):
            part = blocks4.dequantize(packed, absmax, "nf4", 64, 640, start=1280)
        assert torch.equal(part, whole[1280:1920])


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 5000), seed=st.integers(0, 99), spread=st.sampled_from((1.0, 1e-4, 0)))
def test_scales_in_eight_bits_are_those_of_bitsandbytes(count, seed, spread):
    x = torch.randn(count, generator=torch.Generator().manual_seed(seed)) * spread
    theirs, state = F.quantize_blockwise(x, blocksize=256)
    indices, scales = blocks8.quantize_blocks(x, 256)
    assert torch.equal(indices, theirs) and torch.equal(scales, state.absmax)
    assert torch.equal(blocks8.dequantize_blocks(indices, scales, 256, blocks8.dynamic_map()),
                       F.dequantize_blockwise(theirs, state))
    assert torch.equal(blocks8.dynamic_map(), F.create_dynamic_map())


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 40), inputs=st.integers(1, 90), dtype=st.sampled_from(DTYPES),
       seed=st.integers(0, 99))
def test_rows_of_int8_are_those_of_bitsandbytes(rows, inputs, dtype, seed):
    x = torch.randn(rows, inputs, generator=torch.Generator().manual_seed(seed)).to(dtype)
    theirs, scales, _ = F.int8_vectorwise_quant(x.half())
    ours = rows8.quantize(x)
    assert torch.equal(ours[0], theirs) and torch.equal(ours[1], scales)
    assert torch.equal(rows8.dequantize(*ours, torch.float32),
                       F.int8_vectorwise_dequant(theirs, scales))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("bad", [float("inf"), float("nan"), -float("inf")])
def test_what_is_not_finite_raises(level, bad):
    x = torch.randn(200)
    x[130] = bad
    with using(level), pytest.raises(InputError, match=r"inf or nan can't be quantized"):
        blocks4.quantize(x, "nf4")


def test_int8_beyond_float16_raises():
    with pytest.raises(InputError, match=r"above 65,504"):
        rows8.quantize(torch.full((2, 3), 1e6))


@pytest.mark.parametrize(("kind", "block", "said"), [("nf5", 64, "'nf5', expected 'nf4' or 'fp4'"),
                                                     ("nf4", 48, "blocks of 48 numbers")])
def test_formats_that_there_are_not(kind, block, said):
    with pytest.raises(ConfigError, match=said):
        blocks4.quantize(torch.ones(4), kind, block)
