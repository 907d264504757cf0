"""Products of few rows with packed four-bit weights, against fp64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.nn import blocks4
from enfold.nn.native import blocks4 as native
from enfold.nn.native.library import levels, using

ERRORS = {torch.float32: 2e-6, torch.bfloat16: 4e-3, torch.float16: 5e-4}


def exact(x, packed, absmax, kind, block, shape, bias):
    weight = blocks4.dequantize(packed, absmax, kind, block, shape[0] * shape[1]).view(shape)
    y = x.double() @ weight.double().t()
    return y if bias is None else y + bias.double()


@pytest.mark.parametrize("level", levels())
@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 8), inputs=st.integers(1, 9), outputs=st.integers(1, 40),
       kind=st.sampled_from(("nf4", "fp4")), block=st.sampled_from((64, 128, 256)),
       dtype=st.sampled_from(tuple(ERRORS)), narrow=st.booleans(), biased=st.booleans(),
       seed=st.integers(0, 99))
def test_products(level, rows, inputs, outputs, kind, block, dtype, narrow, biased, seed):
    torch.manual_seed(seed)
    shape = (outputs, inputs * block)
    packed, absmax = blocks4.quantize(torch.randn(shape), kind, block)
    x, bias = torch.randn(rows, shape[1]).to(dtype), torch.randn(outputs) if biased else None
    with using(level):
        y = native.multiply(x, packed, absmax, blocks4.VALUES[kind], outputs, block, bias,
                            narrow=narrow)
    wanted = exact(x, packed, absmax, kind, block, shape, bias)
    size = (x.double().norm(dim=1, keepdim=True) * absmax.max() * shape[1] ** 0.5).clamp_min(1e-9)
    assert y.dtype == dtype
    limit = max(ERRORS[dtype], 2e-4 if narrow else 0)
    assert ((y.double() - wanted).abs() <= limit * (size + wanted.abs())).all()


@pytest.mark.parametrize("level", levels())
@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_what_is_not_finite_stays_so(level, bad):
    packed, absmax = blocks4.quantize(torch.randn(5, 192), "nf4")
    x = torch.randn(2, 192)
    x[1, 70] = bad
    with using(level):
        y = native.multiply(x, packed, absmax, blocks4.VALUES["nf4"], 5, 64, None, narrow=True)
    assert torch.isfinite(y[0]).all()
    assert not torch.isfinite(y[1]).any()


@pytest.mark.parametrize("level", levels())
@settings(max_examples=12, deadline=None)
@given(rows=st.integers(1, 70), inputs=st.integers(1, 5), outputs=st.integers(1, 70),
       block=st.sampled_from((64, 128)), biased=st.booleans(), nested=st.booleans(),
       seed=st.integers(0, 99))
def test_many_rows(level, rows, inputs, outputs, block, biased, nested, seed):
    torch.manual_seed(seed)
    shape = (outputs, inputs * block)
    packed, scales = blocks4.quantize(torch.randn(shape), "nf4", block)
    held = scales
    if nested:
        indices, table = torch.randint(0, 256, (len(scales),), dtype=torch.uint8), torch.rand(256)
        outer = torch.rand(-(-len(scales) // 256))
        held = native.Nested(indices, outer, table, 0.5, 256)
        scales = table[indices.int()] * outer.repeat_interleave(256)[: len(scales)] + 0.5
    x = torch.randn(rows, shape[1]).bfloat16()
    bias = torch.randn(outputs).bfloat16() if biased else None
    with using(level):
        y = native.multiply_many(x, packed, held, blocks4.VALUES["nf4"], outputs, block, bias)
    if y is None:  # levels without products of bf16
        assert not level.startswith(("amx", "avx512bf16"))
        return
    wanted = exact(x, packed, scales, "nf4", block, shape, bias)
    size = x.double().norm(dim=1, keepdim=True) * scales.max() * shape[1] ** 0.5
    assert ((y.double() - wanted).abs() <= 6e-3 * (size + wanted.abs())).all()


@pytest.mark.parametrize("level", levels())
def test_nested_scales(level):
    torch.manual_seed(0)
    packed, _ = blocks4.quantize(torch.randn(30, 640), "nf4")
    indices = torch.randint(0, 256, (300,), dtype=torch.uint8)
    outer, table = torch.rand(2), torch.rand(256)
    scales = table[indices.int()] * outer.repeat_interleave(256)[:300] + 0.5
    x = torch.randn(3, 640)
    with using(level):
        y = native.multiply(x, packed, native.Nested(indices, outer, table, 0.5, 256),
                            blocks4.VALUES["nf4"], 30, 64, None, narrow=False)
    torch.testing.assert_close(y.double(), exact(x, packed, scales, "nf4", 64, (30, 640), None),
                               rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(("rows", "inputs", "block"), [(9, 128, 64), (1, 96, 64), (1, 64, 32),
                                                       (0, 64, 64)])
def test_shapes_that_are_left_to_torch(rows, inputs, block):
    packed, absmax = blocks4.quantize(torch.randn(4, inputs), "nf4", block)
    assert native.multiply(torch.randn(rows, inputs), packed, absmax, blocks4.VALUES["nf4"], 4,
                           block, None, narrow=False) is None
