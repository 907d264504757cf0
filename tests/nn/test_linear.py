"""Linear layers with packed copies: the same numbers, never an old weight."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch.nn import functional as F

from enfold.nn import linear as module
from enfold.nn.linear import Conv1D, Linear, worthwhile


@pytest.fixture(autouse=True)
def packed_everywhere(monkeypatch):
    """As on a machine where packing pays."""
    monkeypatch.setattr(module, "worthwhile", lambda dtype: dtype in module.ERRORS)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return Linear(160, 120)


def wanted(layer, x):
    return F.linear(x, layer.weight, layer.bias)


def relative(found, exact):
    return float((found.double() - exact.double()).norm() / exact.double().norm())


@pytest.mark.parametrize(("dtype", "limit"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("shape", [(1, 160), (2, 3, 160), (0, 160), (40, 160)])
@torch.no_grad()
def test_packed_products_are_torchs(layer, dtype, limit, shape) -> None:
    layer = layer.to(dtype)
    x = torch.randn(shape).to(dtype)
    found = layer(x)
    assert found.dtype == dtype
    assert found.shape == (*shape[:-1], 120)
    assert "_packed" in layer.__dict__
    if x.numel():
        assert relative(found, wanted(layer, x)) < limit
        assert relative(layer.kernel(dtype)(x), wanted(layer, x)) < limit


@torch.no_grad()
def test_a_changed_weight_is_packed_again(layer) -> None:
    x = torch.randn(4, 160)
    before = layer(x)
    layer.weight.mul_(2)
    assert relative(layer(x), wanted(layer, x)) < 1e-6
    assert relative(layer(x), before) > 0.1
    layer.weight = torch.nn.Parameter(torch.randn(120, 160))
    assert relative(layer(x), wanted(layer, x)) < 1e-6
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    with torch.enable_grad():
        layer(x).sum().backward()
    optimizer.step()
    assert relative(layer(x), wanted(layer, x)) < 1e-6


def test_gradients_go_through_the_weight(layer) -> None:
    with torch.no_grad():
        layer(torch.randn(4, 160))
    x = torch.randn(4, 160)
    layer(x).square().sum().backward()
    found, layer.weight.grad = layer.weight.grad.clone(), None
    wanted(layer, x).square().sum().backward()
    torch.testing.assert_close(found, layer.weight.grad)


@torch.no_grad()
def test_no_copy_where_it_is_not_wanted(layer) -> None:
    layer.packing = False
    layer(torch.randn(4, 160))
    small = Linear(8, 8)
    small(torch.randn(2, 8))
    half = Linear(160, 120).to(torch.float64)
    half(torch.randn(2, 160, dtype=torch.float64))
    assert not any("_packed" in each.__dict__ for each in (layer, small, half))


@torch.no_grad()
def test_copies_and_pickles_leave_the_packed_copy_behind(layer) -> None:
    x = torch.randn(4, 160)
    found = layer(x)
    for twin in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert "_packed" not in twin.__dict__
        torch.testing.assert_close(twin(x), found)


def test_autocast_keeps_torchs_product(layer) -> None:
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(4, 160)).dtype == torch.bfloat16


def test_conv1d_is_the_same_arithmetic_on_a_turned_weight(layer) -> None:
    turned = Conv1D.of(layer)
    with torch.no_grad():
        turned.weight.copy_(layer.weight.t())
    x = torch.randn(3, 160)
    assert turned.weight.shape == (160, 120)
    torch.testing.assert_close(turned(x), wanted(layer, x))


def test_the_choice_is_made_by_measuring() -> None:
    assert worthwhile(torch.float16) is False
    assert worthwhile(torch.bfloat16) in (True, False)
