from __future__ import annotations

import pytest
import torch
from torch import nn

from enfold.errors import InputError
from enfold.nn.norm import LayerNorm, RMSNorm
from enfold.quant.calibrate.awq import awq, best_scales, fold, rounded_by
from enfold.quant.calibrate.gptq import Rules, gptq
from enfold.quant.calibrate.quality import windows
from enfold.quant.calibrate.ranges import nearest_error, relative
from enfold.spec import Norm


def problem(inputs: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    """(weight, Hessian) with inputs that depend on each other and differ in size."""
    torch.manual_seed(0)
    mixed = torch.randn(inputs, inputs) @ torch.diag(torch.linspace(0.05, 3, inputs))
    x = torch.randn(800, inputs) @ mixed
    return torch.randn(40, inputs), x.t() @ x


def one_by_one(weight: torch.Tensor, hessian: torch.Tensor, scales: torch.Tensor,
               zeros: torch.Tensor, damp: float) -> torch.Tensor:
    """Optimal brain quantization in order (the paper's equations 1 to 3), the inverse anew for each
    input.
    """
    w, h = weight.double().clone(), hessian.double().clone()
    h.diagonal().add_(damp * float(h.diagonal().mean()))
    found = torch.empty_like(w)
    for i in range(w.shape[1]):
        inverse = torch.linalg.inv(h[i:, i:])
        scale, zero = scales[:, 0].double(), zeros[:, 0].double()
        q = ((w[:, i] / scale).round() + zero).clamp(0, 15)
        found[:, i] = (q - zero) * scale
        error = (w[:, i] - found[:, i]) / inverse[0, 0]
        w[:, i:] -= error[:, None] * inverse[0]
    return found


def test_gptq_is_optimal_brain_quantization_in_order():
    weight, hessian = problem()
    held = gptq(weight, hessian, Rules(4, -1, symmetric=False, damp=0.01,
                                       scale_dtype=torch.float32))
    expected = one_by_one(weight, hessian, held.scales, held.zeros, 0.01)
    found = held.dequantize(torch.float32)
    assert ((found - expected).abs() < 1e-4).float().mean() > 0.999  # ties may fall either way


@pytest.mark.parametrize("rules", [
    Rules(4, 32), Rules(4, 32, symmetric=False), Rules(3, 32), Rules(4, -1), Rules(2, 16),
    Rules(4, 32, order=True), Rules(4, 32, order=True, static=True), Rules(4, -1, order=True),
])
def test_gptq_is_better_than_rounding(rules):
    weight, hessian = problem()
    held = gptq(weight, hessian, rules)
    near = nearest_error(weight, hessian, rules.bits, rules.group_size, rules.symmetric,
                         rules.scale_dtype)
    assert relative(held.dequantize(torch.float32), weight, hessian) < 0.9 * near
    assert (held.group is not None) == (rules.order and not rules.static and rules.group_size > 0)
    if held.group is not None:
        assert torch.bincount(held.group).tolist() == [32, 32, 32]


def test_inputs_that_are_never_there_do_no_harm():
    weight, hessian = problem()
    hessian[5] = hessian[:, 5] = 0
    held = gptq(weight, hessian, Rules(4, 32))
    found = held.dequantize(torch.float32)
    assert not found[:, 5].any() and found.isfinite().all()


def test_a_hessian_of_fewer_samples_than_inputs_is_damped():
    torch.manual_seed(0)
    x = torch.randn(3, 96)
    held = gptq(torch.randn(8, 96), x.t() @ x, Rules(4, 32, damp=1e-12))
    assert held.dequantize(torch.float32).isfinite().all()


def test_nan_is_refused():
    weight, hessian = problem()
    hessian[3, 3] = torch.nan
    with pytest.raises(InputError, match="second moments of a layer's inputs can't be inverted"):
        gptq(weight, hessian, Rules(4, 32))


def test_awq_scales_are_better_than_none():
    torch.manual_seed(0)
    size = torch.ones(64)
    size[::16] = 30.0  # few inputs are large
    x = torch.randn(500, 64) * size
    weight, hessian = torch.randn(32, 64), x.t() @ x
    s = best_scales([weight], hessian, x.abs().mean(0), rounded_by(4, 32, False))
    held = awq(weight * s, hessian / s / s[:, None], 4, 32, False, torch.float16)
    near = nearest_error(weight, hessian, 4, 32, False, torch.float16)
    assert relative(held.dequantize(torch.float32) / s, weight, hessian) < 0.7 * near


@pytest.mark.parametrize("norm", [
    RMSNorm(16, Norm()), RMSNorm(16, Norm(offset=1.0)), LayerNorm(16, Norm("layer")),
    nn.Linear(16, 16)], ids=["rms", "rms+1", "layer", "linear"])
def test_folding_changes_nothing(norm):
    torch.manual_seed(0)
    for parameter in norm.parameters():
        nn.init.normal_(parameter)
    after, x = [nn.Linear(16, 8), nn.Linear(16, 4)], torch.randn(5, 16)
    before = [layer(norm(x)) for layer in after]
    fold(norm, after, torch.rand(16) + 0.5)
    for layer, expected in zip(after, before, strict=True):
        assert torch.allclose(layer(norm(x)), expected, atol=1e-5)


def test_windows():
    given, held = windows(list(range(100)), 10, 3)
    assert [w[0, 0].item() for w in given] == [0, 10, 20]
    assert [w[0, 0].item() for w in held] == [30, 40, 50]
    given, held = windows(list(range(8)), 10, 3)
    assert len(given) == len(held) == 1
    with pytest.raises(InputError, match="the text has 1 tokens, expected at least 10, better 60"):
        windows([1], 10, 3)
