"""Products straight from plain weights, at every level of the machine, against fp64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from enfold.nn.native.library import levels, using
from enfold.nn.native.linear import fits, joined, kernel, linear

ERRORS = {torch.float32: 1e-6, torch.bfloat16: 4e-3, torch.float16: 6e-4}  # of sizes' products
dtypes = pytest.mark.parametrize("dtype", ERRORS)
every_level = pytest.mark.parametrize("level", levels())


def checked(x, weight, bias):
    """The product with one weight, after a look at dtype, shape and error."""
    found = linear(x, weight, bias)
    x64, weight64, bias64 = x.double(), weight.double(), None if bias is None else bias.double()
    exact = F.linear(x64, weight64, bias64)
    sizes = F.linear(x64.abs(), weight64.abs(), None if bias is None else bias64.abs())
    assert (found.dtype, found.shape) == (x.dtype, exact.shape)
    smallest = 2.0**-25  # half a step of the smallest fp16 numbers
    assert ((found.double() - exact).abs() <= ERRORS[x.dtype] * sizes + smallest).all()


@every_level
@dtypes
@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 80), out=st.integers(1, 90), width=st.integers(1, 300),
       gap=st.integers(0, 3), biased=st.booleans(), threads=st.sampled_from([1, 3]),
       seed=st.integers(0, 99))
def test_any_shape(level, dtype, rows, out, width, gap, biased, threads, seed):
    torch.manual_seed(seed)
    x = torch.randn(rows, width).to(dtype)
    weight = torch.randn(out, width + gap).to(dtype)[:, :width]
    bias = torch.randn(out).to(dtype) if biased else None
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with using(level):
            checked(x, weight, bias)
    finally:
        torch.set_num_threads(before)


@every_level
@dtypes
@pytest.mark.parametrize(("rows", "out", "width"), [
    (1, 64, 5632), (4, 33, 2048), (5, 40, 2048), (12, 32, 1024), (13, 37, 2080), (130, 64, 1100),
    (300, 30, 2048), (1100, 3, 64), (32, 96, 2112), (70, 150, 1056), (129, 200, 352)])
def test_many_steps_and_chunks(level, dtype, rows, out, width):
    torch.manual_seed(0)
    with using(level):
        checked(torch.randn(rows, width).to(dtype), torch.randn(out, width).to(dtype), None)


@every_level
@dtypes
@settings(max_examples=10, deadline=None)
@given(rows=st.integers(33, 200), out=st.integers(33, 300), width=st.integers(500, 1100),
       gap=st.integers(0, 40), threads=st.sampled_from([1, 3]), seed=st.integers(0, 99))
def test_blocks_of_rows_and_parts_of_them(level, dtype, rows, out, width, gap, threads, seed):
    torch.manual_seed(seed)
    weight = torch.randn(out, width + gap).to(dtype)[:, :width]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with using(level):
            checked(torch.randn(rows, width).to(dtype), weight, torch.randn(out).to(dtype))
    finally:
        torch.set_num_threads(before)


def at(place: int, weight: torch.Tensor, around: float) -> torch.Tensor:
    """The weight, `place` bytes behind the start of a line of memory, between other numbers."""
    size, count = weight.element_size(), weight.numel()
    whole = torch.full((count + 256,), around, dtype=weight.dtype)
    start = (-whole.data_ptr() % 64 + 64 + place) // size
    return whole[start : start + count].view(weight.shape).copy_(weight)


@every_level
@dtypes
@pytest.mark.parametrize("place", [4, 8, 56, 2])
@pytest.mark.parametrize(("rows", "out", "width"), [
    (33, 64, 32), (40, 33, 64), (128, 96, 2048), (70, 130, 544), (300, 70, 608), (129, 40, 100)])
def test_weights_that_begin_anywhere(level, dtype, place, rows, out, width):
    torch.manual_seed(0)
    if place % dtype.itemsize:
        place += 2
    weight = at(place, torch.randn(out, width).to(dtype), float("nan"))
    with using(level):
        checked(torch.randn(rows, width).to(dtype), weight, torch.randn(out).to(dtype))
        other = at(24, torch.randn(50, width).to(dtype), float("inf"))
        x = torch.randn(rows, width).to(dtype)
        for y, each in zip(joined([weight, other], [None, None])(x), (weight, other), strict=True):
            torch.testing.assert_close(y, F.linear(x, each), rtol=2e-2, atol=2e-2 * width**0.5)


@every_level
@dtypes
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_several_weights_at_once(level, dtype, rows):
    torch.manual_seed(0)
    x = torch.randn(2, rows, 96).to(dtype)
    weights = [torch.randn(out, 96).to(dtype) for out in (70, 1, 33)]
    biases = [torch.randn(70).to(dtype), None, torch.randn(33).to(dtype)]
    with using(level):
        found = joined(weights, biases)(x)
        for y, weight, bias in zip(found, weights, biases, strict=True):
            assert torch.equal(y, linear(x, weight, bias))
            assert torch.equal(y, kernel(weight, bias)(x))
            assert y.is_contiguous()


@every_level
@dtypes
@pytest.mark.parametrize("place", [0, 40])
@pytest.mark.parametrize(("rows", "width"), [(1, 70), (20, 70), (40, 96)])
def test_what_is_not_finite_stays_in_its_place(level, dtype, rows, width, place):
    x, weight = torch.randn(rows, width).to(dtype), torch.randn(40, width).to(dtype)
    weight = at(place, weight, 1.0)
    weight[7, 0] = weight[7, width - 1] = float("nan")
    x[rows - 1, 3] = float("inf")
    with using(level):
        found = linear(x, weight, None)
    wrong = ~found.isfinite()
    assert wrong[:, 7].all()
    assert wrong[rows - 1].all()
    assert not wrong[: rows - 1, :7].any()
    assert not wrong[: rows - 1, 8:].any()


@every_level
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_every_number_survives_the_way_through(level, dtype):
    """Times one, each finite number is itself: conversions there and back, small numbers too."""
    numbers = torch.arange(-2**15, 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    numbers = numbers[numbers.isfinite()]
    if dtype == torch.bfloat16:  # products of bf16 pairs flush what is below fp32's normal numbers
        numbers = numbers[(numbers.float().abs() >= 2.0**-126) | (numbers == 0)]
    with using(level):
        found = linear(torch.ones(1, 1, dtype=dtype), numbers[:, None], None)[0]
        many = linear(numbers[:, None], torch.ones(1, 1, dtype=dtype), None)[:, 0]
    assert torch.equal(found, numbers)
    assert torch.equal(many, numbers)


@every_level
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_results_are_rounded_to_nearest_even(level, dtype):
    """Sums of two numbers hit ties, overflow and numbers below the normal ones."""
    torch.manual_seed(0)
    scale = torch.exp2(torch.randint(-24, 15, (500, 1)).float())
    weight = (torch.randint(-512, 512, (500, 2)).float() * scale / 256).to(dtype)
    x = torch.ones(1, 2, dtype=dtype)
    with using(level):
        found = linear(x, weight, None)[0]
    assert torch.equal(found, weight.float().sum(1).to(dtype))


@every_level
@dtypes
def test_nothing_is_nothing(level, dtype):
    with using(level):
        assert linear(torch.ones(0, 8, dtype=dtype), torch.ones(4, 8, dtype=dtype), None).shape == (
            0, 4)


@pytest.mark.parametrize(("weight", "bias"), [
    (torch.ones(4, 4).double(), None), (torch.ones(4), None), (torch.ones(4, 4, 1), None),
    (torch.ones(4, 8)[:, ::2], None), (torch.ones(1, 4).expand(4, 4), None),
    (torch.ones(4, 4, device="meta"), None), (torch.ones(4, 4), torch.ones(4).double()),
    (torch.ones(4, 4), torch.ones(8)[::2])])
def test_what_does_not_fit(weight, bias):
    assert not fits(weight, bias)
    assert fits(torch.ones(4, 4), torch.ones(4))
