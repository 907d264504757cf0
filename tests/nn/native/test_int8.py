"""int8 products against exact sums of the quantized numbers, at every level of the machine."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.nn.native.int8 import int8_linear, quantize_rows
from enfold.nn.native.library import levels, using

CLOSE = {torch.float32: 1e-6, torch.bfloat16: 4e-3, torch.float16: 6e-4}
dtypes = pytest.mark.parametrize("dtype", CLOSE)
every_level = pytest.mark.parametrize("level", [None, *levels()])


def exact(x, weight, scales, bias):
    """The definition in fp64."""
    q, sx = quantize_rows(x.reshape(-1, x.shape[-1]))
    y = q.double() @ weight.double().t() * sx.double() * scales.double()
    y = y if bias is None else y + bias.double()
    return y.reshape(*x.shape[:-1], weight.shape[0])


def check(level, x, out, biased=False):
    weight = torch.randint(-128, 128, (out, x.shape[-1]), dtype=torch.int8)
    scales, bias = torch.rand(out) / 100, torch.randn(out) if biased else None
    with using(level):
        found = int8_linear(x, weight, scales, bias)
    wanted = exact(x, weight, scales, bias)
    assert (found.dtype, found.shape) == (x.dtype, wanted.shape)
    close = CLOSE[x.dtype]
    torch.testing.assert_close(found.double(), wanted, rtol=close, atol=close)


@every_level
@dtypes
@settings(max_examples=20, deadline=None)
@given(rows=st.integers(0, 70), out=st.integers(1, 80), width=st.integers(1, 300),
       biased=st.booleans(), threads=st.sampled_from([1, 3]), seed=st.integers(0, 99))
def test_any_shape(level, dtype, rows, out, width, biased, threads, seed):
    torch.manual_seed(seed)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        check(level, torch.randn(rows, width).to(dtype), out, biased)
    finally:
        torch.set_num_threads(before)


@every_level
@pytest.mark.parametrize("shape", [(64,), (2, 5, 7), (1, 5632), (4, 2048), (300, 4100)])
def test_more_dimensions_and_steps(level, shape):
    check(level, torch.randn(shape), 37)


@every_level
@pytest.mark.parametrize("rows", [1, 20])
def test_extremes(level, rows):
    """The largest sums, rows of zeros, and what is not finite: only its own row suffers."""
    weight, scales = torch.full((33, 4096), -128, dtype=torch.int8), torch.ones(33)
    with using(level):
        found = int8_linear(torch.full((rows, 4096), 127.0), weight, scales)
        assert torch.equal(found, torch.full((rows, 33), 127.0 * -128 * 4096))
        assert torch.equal(int8_linear(torch.zeros(rows, 4096), weight, scales),
                           torch.zeros(rows, 33))
        for value in (float("nan"), float("inf")):
            x = torch.ones(rows, 4096)
            x[rows - 1, 77] = value
            found = int8_linear(x, weight, scales).isfinite()
            assert not found[rows - 1].any()
            assert found[: rows - 1].all()


@every_level
def test_layouts_that_are_not_plain(level):
    torch.manual_seed(0)
    weight, scales = torch.randint(-9, 9, (48, 32), dtype=torch.int8), torch.rand(64)[::2][:16]
    x = torch.randn(32, 6).t()
    with using(level):
        found = int8_linear(x, weight[::3], scales, torch.ones(32)[::2])
    wanted = exact(x, weight[::3], scales, torch.ones(16))
    torch.testing.assert_close(found.double(), wanted, rtol=1e-6, atol=1e-6)


def test_graphs_see_one_operation():
    weight, scales = torch.randint(-9, 9, (16, 32), dtype=torch.int8), torch.rand(16)
    x = torch.randn(6, 32)
    compiled = torch.compile(int8_linear, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x, weight, scales, None), int8_linear(x, weight, scales))
    torch.library.opcheck(torch.ops.enfold.int8_linear, (x, weight, scales, torch.ones(16)),
                          test_utils=("test_schema", "test_faketensor"))
