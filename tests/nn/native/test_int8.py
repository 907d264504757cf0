"""int8 products against exact sums of the quantized numbers."""

from __future__ import annotations

import pytest
import torch

from enfold.nn.native.int8 import int8_linear, quantize_rows


def exact(x, weight, scales, bias):
    """The definition in fp64."""
    q, sx = quantize_rows(x.reshape(-1, x.shape[-1]))
    y = q.double() @ weight.double().t() * sx.double() * scales.double()
    y = y if bias is None else y + bias.double()
    return y.reshape(*x.shape[:-1], weight.shape[0])


@pytest.mark.parametrize("shape", [(64,), (1, 64), (3, 40), (2, 5, 7), (17, 200), (0, 16)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("biased", [False, True])
def test_products(shape, dtype, biased):
    torch.manual_seed(0)
    x = torch.randn(shape).to(dtype)
    weight = torch.randint(-128, 128, (33, shape[-1]), dtype=torch.int8)
    scales, bias = torch.rand(33) / 100, torch.randn(33) if biased else None
    found = int8_linear(x, weight, scales, bias)
    assert found.dtype == dtype
    close = {torch.float32: 1e-5, torch.bfloat16: 8e-3, torch.float16: 1e-3}[dtype]
    torch.testing.assert_close(found.double(), exact(x, weight, scales, bias), rtol=close,
                               atol=close)
