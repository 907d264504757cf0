"""Linear layers through our kernels: the same numbers, from the weight as it is now."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from enfold.nn import linear as module
from enfold.nn.linear import Conv1D, Linear, describe, faster, worthwhile
from enfold.nn.native import linear as native
from enfold.nn.native.library import level, using

needs_library = pytest.mark.skipif(level() is None, reason="the native library is not built")
LIMITS = {torch.float32: 1e-6, torch.bfloat16: 1e-2, torch.float16: 1e-3}


@pytest.fixture(autouse=True)
def ours_everywhere(monkeypatch):
    """As on a machine where our kernels pay at any size."""
    monkeypatch.setattr(module, "worthwhile", lambda dtype, rows: native.available(dtype))
    monkeypatch.setattr(module, "SMALLEST", 0)


@pytest.fixture
def calls(monkeypatch):
    """How often our kernel was used."""
    made, real = [], native.linear

    def linear(*args):
        made.append(args)
        return real(*args)

    monkeypatch.setattr(native, "linear", linear)
    return made


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return Linear(160, 120).eval()


def wanted(layer, x):
    return F.linear(x, layer.weight, layer.bias)


def relative(found, exact):
    return float((found.double() - exact.double()).norm() / exact.double().norm())


@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("shape", [(160,), (1, 160), (2, 3, 160), (0, 160), (40, 160)])
@torch.no_grad()
def test_products_are_torchs(layer, dtype, shape) -> None:
    layer = layer.to(dtype)
    x = torch.randn(shape).to(dtype)
    for found in (layer(x), layer.kernel(dtype)(x)):
        assert found.dtype == dtype
        assert found.shape == (*shape[:-1], 120)
        if x.numel():
            assert relative(found, wanted(layer, x)) < LIMITS[dtype]


@needs_library
@torch.no_grad()
def test_our_kernel_is_used_and_can_be_switched_off(layer, calls) -> None:
    x = torch.randn(4, 160)
    layer(x)
    assert len(calls) == 1
    layer.native = False
    layer(x)
    layer.native = True
    layer.train()(x)
    with using(None):
        layer.eval()(x)
    assert len(calls) == 1


@torch.no_grad()
def test_a_changed_weight_is_seen(layer) -> None:
    x = torch.randn(4, 160)
    before = layer(x)
    layer.weight.mul_(2)
    assert relative(layer(x), wanted(layer, x)) < 1e-6
    assert relative(layer(x), before) > 0.1
    layer.weight.data.mul_(2)
    assert relative(layer(x), wanted(layer, x)) < 1e-6
    layer.weight = nn.Parameter(torch.randn(120, 160))
    assert relative(layer(x), wanted(layer, x)) < 1e-6


def test_gradients_go_through_torch(layer, calls) -> None:
    x = torch.randn(4, 160)
    layer(x).square().sum().backward()
    found, layer.weight.grad = layer.weight.grad.clone(), None
    wanted(layer, x).square().sum().backward()
    torch.testing.assert_close(found, layer.weight.grad)
    assert calls == []


STRANGE = {
    "wide rows": lambda layer, x: (setattr(layer, "weight", nn.Parameter(
        torch.randn(120, 200)[:, :160])), x),
    "turned weight": lambda layer, x: (setattr(layer, "weight", nn.Parameter(
        torch.randn(160, 120).t())), x),
    "bias with gaps": lambda layer, x: (setattr(layer, "bias", nn.Parameter(
        torch.randn(240)[::2])), x),
    "turned input": lambda layer, x: (None, torch.randn(160, 4).t()),
    "input with gaps": lambda layer, x: (None, torch.randn(4, 320)[:, ::2]),
    "one row seen as four": lambda layer, x: (None, torch.randn(1, 160).expand(4, 160)),
    "no bias": lambda layer, x: (setattr(layer, "bias", None), x),
}


@pytest.mark.parametrize("case", STRANGE)
@torch.no_grad()
def test_strange_layouts(layer, case) -> None:
    _, x = STRANGE[case](layer, torch.randn(4, 160))
    assert relative(layer(x), wanted(layer, x)) < 1e-6
    assert relative(layer.kernel(torch.float32)(x), wanted(layer, x)) < 1e-6


@torch.inference_mode()
def test_inference_tensors(layer) -> None:
    layer = copy.deepcopy(layer)
    x = torch.randn(4, 160)
    assert relative(layer(x), wanted(layer, x)) < 1e-6


@torch.no_grad()
def test_hooks_are_called(layer) -> None:
    seen = []
    layer.register_forward_hook(lambda *args: seen.append(1))
    layer(torch.randn(4, 160))
    assert seen == [1]


@torch.no_grad()
def test_who_watches_torchs_operations_sees_them(layer, calls) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    x = torch.randn(4, 160)
    with FlopCounterMode(display=False) as counter:
        layer(x)
    assert counter.get_total_flops() == 2 * 4 * 160 * 120
    torch.testing.assert_close(torch.vmap(layer)(x), wanted(layer, x))
    traced = torch.jit.trace(layer, x, check_trace=False)
    torch.testing.assert_close(traced(x), wanted(layer, x))
    assert Linear(8, 8, device="meta")(torch.randn(2, 8, device="meta")).shape == (2, 8)
    assert calls == []


@torch.no_grad()
def test_compiled(layer) -> None:
    x = torch.randn(4, 160)
    found = torch.compile(layer, backend="eager", fullgraph=True)(x)
    torch.testing.assert_close(found, wanted(layer, x))


@torch.no_grad()
def test_wrong_input_is_torchs_error(layer) -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        layer(torch.randn(4, 161))
    with pytest.raises(RuntimeError, match="dtype"):
        layer(torch.randn(4, 160).double())


@torch.no_grad()
def test_copies_and_pickles(layer) -> None:
    x = torch.randn(4, 160)
    found = layer(x)
    for twin in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
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


def test_the_choice_is_made_by_measuring(monkeypatch) -> None:
    assert worthwhile(torch.float64, 1) is False
    assert worthwhile(torch.bfloat16, 0) is False
    asked = []
    monkeypatch.setattr(module, "faster", lambda dtype, rows: asked.append(rows) or rows == 4)
    assert [worthwhile(torch.float32, rows) for rows in (1, 2, 3, 8, 9, 300)] == [
        False, False, True, True, False, False]
    assert asked == [1, 1, 4, 4, 32, 256]  # what was not asked for is not measured
    told = describe()
    assert "float32 ours (measured at 4 rows)" in told


@needs_library
def test_every_number_of_rows_has_a_choice() -> None:
    assert {faster(torch.bfloat16, rows) for rows in module.TRIED} <= {True, False}
    with using(None):
        assert native.available(torch.bfloat16) is False
