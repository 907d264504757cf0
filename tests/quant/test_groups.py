from __future__ import annotations

import pytest
import torch

from enfold.errors import ConfigError
from enfold.quant.groups import check_group_size, quantize


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("bits", "group"), [(4, 32), (4, 64), (4, 128), (4, -1), (8, -1), (3, 32),
                                             (2, 16)])
def test_rounds_to_the_nearest_of_each_group(bits, group, symmetric):
    torch.manual_seed(0)
    weight = torch.randn(6, 256)
    held = quantize(weight, bits, group, symmetric)
    found = held.dequantize(torch.float32)
    step = held.scales.repeat_interleave(256 // held.scales.shape[1], 1)
    clipped = 1.0 if symmetric else 0.5  # the largest of a symmetric group is half a step out
    assert ((found - weight).abs() <= (clipped + 1e-4) * step).all()
    assert ((found - weight).abs() <= (0.5 + 1e-4) * step).float().mean() > 0.9
    assert (held.zeros is None) == symmetric


def test_a_group_of_zeros_stays_zero():
    held = quantize(torch.zeros(2, 64), 4, 32, symmetric=False)
    assert not held.dequantize(torch.float32).any() and (held.scales == 1).all()


def test_a_positive_group_keeps_zero():
    held = quantize(torch.rand(4, 32) + 5, 4, 32, symmetric=False)
    assert (held.zeros == 0).all()
    assert (held.dequantize(torch.float32) - 5.5).abs().max() < 0.75


@pytest.mark.parametrize("size", [0, 48, -2])
def test_a_group_size_that_does_not_fit(size):
    with pytest.raises(ConfigError, match=rf"q_proj: group_size is {size}, expected -1 .* divisor "
                                          r"of its 64 inputs\. Do: use 64, 32, 16, 8, -1"):
        check_group_size(size, 64, "q_proj")
