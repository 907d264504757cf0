"""Weights in groups against fp64, at every level of this machine."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.nn.native.groups import GroupWeight
from enfold.nn.native.library import level, levels, using
from enfold.quant.groups import Groups, quantize

EXACT = {torch.float32: 2e-6, torch.bfloat16: 5e-3, torch.float16: 8e-4}
shapes = st.tuples(st.integers(1, 40), st.sampled_from([(32, 32), (64, 64), (96, 32), (160, -1),
                                                        (256, 128), (384, 96), (512, 256),
                                                        (1056, 32), (46, -1)]))


def made(outputs: int, inputs: int, size: int, bits: int, symmetric: bool, scale: torch.dtype,
         seed: int) -> Groups:
    torch.manual_seed(seed)
    return quantize(torch.randn(outputs, inputs), bits, size, symmetric, scale)


def native(held: Groups) -> GroupWeight:
    given = (held.bits, held.inputs, held.packed, held.scales, held.zeros)
    assert GroupWeight.fits(*given)
    return GroupWeight(*given)


def whole_numbers(rows: int, inputs: int) -> torch.Tensor:
    """Inputs that rounding to int8 leaves as they are: each block has a 127."""
    x = torch.randint(-127, 128, (rows, inputs)).float()
    x[:, ::32] = 127
    return x / 128


def reference(x: torch.Tensor, held: Groups, bias: torch.Tensor | None,
              size: bool = False) -> torch.Tensor:
    weight = held.dequantize(torch.float32).double()
    y = x.double() @ (weight.abs() if size else weight).t()
    return y if bias is None else y + bias.double()


@pytest.mark.parametrize("level", levels())
@settings(deadline=None, max_examples=25)
@given(shape=shapes, bits=st.sampled_from([4, 8]), symmetric=st.booleans(),
       scale=st.sampled_from(list(EXACT)), dtype=st.sampled_from(list(EXACT)),
       rows=st.integers(1, 6), biased=st.booleans(), seed=st.integers(0, 99))
def test_few_rows(level, shape, bits, symmetric, scale, dtype, rows, biased, seed):
    outputs, (inputs, size) = shape
    held = made(outputs, inputs, size, bits, symmetric, scale, seed)
    x = whole_numbers(rows, inputs).to(dtype)
    bias = torch.randn(outputs).to(dtype) if biased else None
    with using(level):
        found = native(held).linear(x, bias, few=rows)
    expected = reference(x, held, bias)
    assert found.dtype == dtype
    assert (found - expected).abs().max() <= EXACT[dtype] * expected.abs().max() + 1e-5


@pytest.mark.parametrize("level", levels())
@settings(deadline=None, max_examples=15)
@given(shape=shapes, bits=st.sampled_from([4, 8]), symmetric=st.booleans(),
       dtype=st.sampled_from(list(EXACT)), rows=st.integers(1, 40), seed=st.integers(0, 99))
def test_many_rows(level, shape, bits, symmetric, dtype, rows, seed):
    outputs, (inputs, size) = shape
    held = made(outputs, inputs, size, bits, symmetric, torch.bfloat16, seed)
    x, bias = torch.randn(rows, inputs).to(dtype), torch.randn(outputs).to(dtype)
    with using(level):
        found = native(held).linear(x, bias, few=0)
    limit = EXACT[dtype] * (1 + reference(x.abs(), held, None, size=True))
    assert ((found - reference(x, held, bias)).abs() <= limit).all()


@pytest.mark.parametrize("level", levels())
@pytest.mark.parametrize("dtype", list(EXACT))
@pytest.mark.parametrize(("bits", "size", "symmetric"), [(4, 32, True), (4, 128, False),
                                                         (8, 64, True), (8, -1, False)])
def test_numbers_are_those_of_torch(level, dtype, bits, size, symmetric):
    held = made(9, 256, size, bits, symmetric, torch.float16, 0)
    with using(level):
        assert torch.equal(native(held).decode(dtype), held.dequantize(dtype))


@pytest.mark.parametrize("level", levels())
def test_rounded_inputs_stay_near(level):
    held = made(64, 512, 128, 4, True, torch.bfloat16, 0)
    x = torch.randn(3, 512)
    x[:, 7] *= 50  # an outlier spoils its own block of 32 only
    with using(level):
        found = native(held).linear(x, None)
    expected = reference(x, held, None)
    assert (found - expected).norm() < 0.01 * expected.norm()


@pytest.mark.skipif(level() is None, reason="the native library is off or not built")
def test_zeros_in():
    held = made(8, 64, 32, 4, False, torch.float32, 0)
    assert not native(held).linear(torch.zeros(2, 64), None).any()


@pytest.mark.parametrize(("bits", "inputs", "size"), [(3, 96, 32), (4, 48, 16), (2, 64, 32)])
def test_what_has_no_kernel(bits, inputs, size):
    held = made(4, inputs, size, bits, True, torch.float32, 0)
    assert not GroupWeight.fits(bits, inputs, held.packed, held.scales, held.zeros)


@pytest.mark.parametrize("level", levels())
@settings(deadline=None, max_examples=30)
@given(outputs=st.integers(1, 9), shape=st.sampled_from([(32, 32), (64, 16), (92, 46), (256, -1),
                                                         (35, -1)]),
       bits=st.sampled_from([4, 8]), symmetric=st.booleans(), dtype=st.sampled_from(list(EXACT)),
       seed=st.integers(0, 99))
def test_quantizes_as_torch_does(level, outputs, shape, bits, symmetric, dtype, seed):
    torch.manual_seed(seed)
    inputs, size = shape
    weight = torch.randn(outputs, inputs).to(dtype) * 10.0 ** torch.randint(-8, 3, (outputs, 1))
    weight = weight.to(dtype)
    weight[0, :32] = 0
    with using(None):
        expected = quantize(weight, bits, size, symmetric, dtype)
    with using(level):
        found = quantize(weight, bits, size, symmetric, dtype)
    assert torch.equal(found.packed, expected.packed)
    assert torch.equal(found.scales, expected.scales)
    assert symmetric or torch.equal(found.zeros, expected.zeros)


@pytest.mark.parametrize("level", levels())
@pytest.mark.parametrize("form", ["signed", "e4m3", "e5m2"])
@pytest.mark.parametrize("inputs", [64, 70])
def test_other_bytes(level, form, inputs):
    torch.manual_seed(0)
    kind = {"signed": torch.int8, "e4m3": torch.float8_e4m3fn, "e5m2": torch.float8_e5m2}[form]
    q = torch.randint(0, 256, (9, inputs), dtype=torch.uint8).view(kind)
    numbers = q.float()
    numbers[~numbers.isfinite()] = 0
    q = numbers.to(kind)
    scales = torch.rand(9, 1) / numbers.abs().max()
    weight, x, bias = numbers * scales, torch.randn(20, inputs), torch.randn(9)
    with using(level):
        view = GroupWeight(8, inputs, q, scales, None, form)
        assert torch.equal(view.decode(torch.float32), weight)
        assert torch.equal(view.decode(torch.bfloat16), weight.bfloat16())
        for few in (0, 20):
            found = view.linear(x, bias, few=few)
            assert torch.allclose(found, x @ weight.t() + bias, atol=2e-5)


@pytest.mark.parametrize("level", levels())
@pytest.mark.parametrize(("inputs", "groups", "zeroed"), [(64, 2, False), (70, 1, False),
                                                          (1024, 1, True), (512, 16, True)])
def test_signed_bytes_times_inputs_of_16_bits(level, inputs, groups, zeroed):
    torch.manual_seed(0)
    q = torch.randint(-128, 128, (9, inputs), dtype=torch.int8)
    scales = torch.rand(9, groups) / 100
    zeros = torch.randint(0, 256, (9, groups), dtype=torch.uint8) if zeroed else None
    spread = inputs // groups
    less = 0 if zeros is None else (zeros.double() - 128).repeat_interleave(spread, 1)
    weight = (q.double() - less) * scales.double().repeat_interleave(spread, 1)
    x = torch.randn(5, inputs).half()
    with using(level):
        found = GroupWeight(8, inputs, q, scales, zeros, "signed").linear(x, None, few=20)
    torch.testing.assert_close(found.double(), x.double() @ weight.t(), rtol=2e-3, atol=2e-3)
