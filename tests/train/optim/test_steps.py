"""Optimizers against torch, transformers, or the equations of their papers, over 20 steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers.optimization import AdafactorSchedule as TheirAdafactorSchedule

from enfold.train import optim

SHAPES = [(6, 4), (5,), (3, 2, 4)]
Make = Callable[[list[nn.Parameter]], torch.optim.Optimizer]


def parameters(dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    draw = torch.Generator().manual_seed(0)
    return [nn.Parameter(torch.randn(shape, generator=draw).to(dtype)) for shape in SHAPES]


def gradients(tensors: list[nn.Parameter], step: int) -> None:
    draw = torch.Generator().manual_seed(1 + step)
    for p in tensors:
        p.grad = (torch.randn(p.shape, generator=draw) * (1 + step % 3)).to(p.dtype)


def walk(make: Make, steps: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    tensors = parameters(dtype)
    optimizer = make(tensors)
    for step in range(steps):
        gradients(tensors, step)
        optimizer.step()
    return [p.detach().float() for p in tensors]


def adafactor(kind: Any, **settings: Any) -> Make:
    return lambda tensors: kind(tensors, **settings)


FIXED = {"lr": 0.01, "relative_step": False, "scale_parameter": False}
PAIRS: dict[str, tuple[Make, Make]] = {
    "adamw": (
        lambda t: optim.AdamW(t, lr=0.01, weight_decay=0.1),
        lambda t: torch.optim.AdamW(t, lr=0.01, weight_decay=0.1),
    ),
    "rmsprop": (
        lambda t: optim.RMSprop(t, lr=0.01, weight_decay=0.1),
        lambda t: torch.optim.RMSprop(t, lr=0.01, weight_decay=0.1),
    ),
    **{
        f"adafactor {settings}": (
            adafactor(optim.Adafactor, **settings),
            adafactor(transformers.Adafactor, **settings),
        )
        for settings in (
            FIXED,
            FIXED | {"beta1": 0.9, "weight_decay": 0.1},
            {},
            {"warmup_init": True, "decay_rate": -0.5, "clip_threshold": 0.5},
        )
    },
}


@pytest.mark.parametrize("steps", [1, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", [*PAIRS])
def test_the_steps_are_theirs(name: str, steps: int, dtype: torch.dtype) -> None:
    if dtype is torch.bfloat16 and not name.startswith("adafactor"):
        pytest.skip("torch computes in bfloat16 there; here moments are float32")
    mine, theirs = (walk(make, steps, dtype) for make in PAIRS[name])
    for a, b in zip(mine, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("settings", [FIXED, {"beta1": 0.9}])
def test_adafactor_state_is_theirs(settings: dict[str, Any]) -> None:
    states = []
    for kind in (optim.Adafactor, transformers.Adafactor):
        tensors = parameters()
        optimizer = kind(tensors, **settings)
        gradients(tensors, 0)
        optimizer.step()
        states.append(optimizer.state_dict())
    mine, theirs = states
    assert mine["param_groups"] == theirs["param_groups"]
    for index, state in theirs["state"].items():
        assert state.keys() == mine["state"][index].keys()
        for name, value in state.items():
            torch.testing.assert_close(
                torch.as_tensor(mine["state"][index][name]), torch.as_tensor(value)
            )


def test_adafactor_schedule_shows_the_rate_it_chose() -> None:
    shown = []
    for kind, schedule in (
        (optim.Adafactor, optim.AdafactorSchedule),
        (transformers.Adafactor, TheirAdafactorSchedule),
    ):
        tensors = parameters()
        optimizer = kind(tensors)
        over = schedule(optimizer, 0.5)
        rates = [over.get_lr()]
        for step in range(3):
            gradients(tensors, step)
            optimizer.step()
            over.step()
            rates.append([float(rate) for rate in over.get_lr()])
        shown.append(rates)
    assert [x for row in shown[0] for x in row] == pytest.approx(
        [x for row in shown[1] for x in row]
    )


def test_lion_follows_its_paper() -> None:
    rate, decay, beta1, beta2 = 0.01, 0.1, 0.9, 0.99
    mine = walk(lambda t: optim.Lion(t, lr=rate, weight_decay=decay, betas=(beta1, beta2)), 20)
    expected = parameters()
    mean = [torch.zeros_like(p) for p in expected]
    for step in range(20):
        gradients(expected, step)
        for p, m in zip(expected, mean, strict=True):
            sign = torch.sign(beta1 * m + (1 - beta1) * p.grad)
            p.data = p.data - rate * (sign + decay * p.data)
            m.copy_(beta2 * m + (1 - beta2) * p.grad)
    for a, b in zip(mine, expected, strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("slow", [None, 15])
def test_ademamix_follows_its_paper(slow: int | None) -> None:
    rate, decay, eps, alpha, (b1, b2, b3) = 0.01, 0.1, 1e-8, 5.0, (0.9, 0.999, 0.9999)
    settings = {"t_alpha": slow, "t_beta3": slow}
    mine = walk(lambda t: optim.AdEMAMix(t, lr=rate, weight_decay=decay, **settings), 20)
    expected = parameters()
    moments = [[torch.zeros_like(p) for _ in range(3)] for p in expected]
    for step in range(1, 21):
        gradients(expected, step - 1)
        a, b = alpha, b3
        if slow:
            a, part = alpha * min(step / slow, 1), min(step / slow, 1)
            log1, log3 = math.log(b1), math.log(b3)
            b = min(b3, math.exp(log1 * log3 / ((1 - part) * log3 + part * log1)))
        for p, (m1, v, m2) in zip(expected, moments, strict=True):
            m1.copy_(b1 * m1 + (1 - b1) * p.grad)
            m2.copy_(b * m2 + (1 - b) * p.grad)
            v.copy_(b2 * v + (1 - b2) * p.grad**2)
            up = m1 / (1 - b1**step) + a * m2
            p.data = p.data - rate * (up / ((v / (1 - b2**step)).sqrt() + eps) + decay * p.data)
    for x, y in zip(mine, expected, strict=True):
        torch.testing.assert_close(x, y.detach(), rtol=1e-4, atol=1e-5)


def test_stable_adamw_follows_its_paper() -> None:
    """Algorithm 2 of 2304.13013, per tensor."""
    rate, decay, eps, (b1, b2) = 0.01, 0.1, 1e-6, (0.9, 0.99)
    mine = walk(lambda t: optim.StableAdamW(t, lr=rate, weight_decay=decay, eps=eps), 20)
    expected = parameters()
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in expected]
    for step in range(1, 21):
        gradients(expected, step - 1)
        near1, near2 = (b * (1 - b ** (step - 1)) / (1 - b**step) for b in (b1, b2))
        for p, (v, u) in zip(expected, moments, strict=True):
            v.copy_(near1 * v + (1 - near1) * p.grad)
            u.copy_(near2 * u + (1 - near2) * p.grad**2)
            rms = (p.grad**2 / torch.maximum(u, torch.tensor(eps**2))).mean().sqrt()
            slower = rate / max(1.0, float(rms))
            p.data = p.data - slower * decay * p.data - slower * v / (u.sqrt() + eps)
    for a, b in zip(mine, expected, strict=True):
        torch.testing.assert_close(a, b.detach(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
def test_muon_is_torchs_on_matrices(adjust: str) -> None:
    made = []
    for kind in (optim.Muon, torch.optim.Muon):
        tensors = [
            nn.Parameter(torch.randn(s, generator=torch.Generator().manual_seed(2)))
            for s in ((8, 5), (4, 9))
        ]
        optimizer = kind(tensors, lr=0.02, weight_decay=0.1, adjust_lr_fn=adjust)
        for step in range(20):
            gradients(tensors, step)
            optimizer.step()
        made.append(tensors)
    for a, b in zip(*made, strict=True):
        torch.testing.assert_close(a, b, rtol=2e-2, atol=5e-3)  # bfloat16 inside


def test_newton_schulz_brings_singular_values_near_one() -> None:
    from enfold.train.optim.muon import orthogonal

    matrix = torch.randn(16, 40, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrix, 5).float())
    assert values.min() > 0.5 and values.max() < 1.3
    tall = orthogonal(matrix.T, 5)
    torch.testing.assert_close(tall, orthogonal(matrix, 5).T)


def test_muon_leaves_embeddings_head_and_vectors_to_adamw() -> None:
    class Tiny(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.inside = nn.Embedding(7, 4), nn.Linear(4, 4)
            self.head = nn.Linear(4, 7, bias=False)

        def get_output_embeddings(self) -> nn.Module:
            return self.head

    model = Tiny()
    groups = optim.muon_groups(model, optim.decay_groups(model, 0.1))
    by_muon = [p for group in groups if group["muon"] for p in group["params"]]
    assert [p is model.inside.weight for p in by_muon] == [True]
    assert sum(len(group["params"]) for group in groups) == 4
    reference = torch.optim.AdamW(
        [nn.Parameter(model.head.weight.detach().clone())], lr=0.01, weight_decay=0.1
    )
    optimizer = optim.Muon(groups, lr=0.01)
    for step in range(3):
        for over in (optimizer, reference):
            for group in over.param_groups:
                for p in group["params"]:
                    p.grad = torch.full_like(p, 0.1 * (step + 1))
            over.step()
    torch.testing.assert_close(model.head.weight, reference.param_groups[0]["params"][0])


def schedule_free(
    rate: float, warmup: int, decay: float, adam: bool, steps: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Algorithm 1 of 2405.15682 with x, y and z kept apart; the x and the y it ends with."""
    beta, beta2, eps = 0.9, 0.999, 1e-8
    y = parameters()
    x, z = ([p.detach().clone() for p in y] for _ in range(2))
    v = [torch.zeros_like(p) for p in x]
    total = 0.0
    for t in range(1, steps + 1):
        gradients(y, t - 1)
        gamma = rate * min(1.0, t / max(1, warmup))
        total += gamma**2
        c = gamma**2 / total
        for i, p in enumerate(y):
            g = p.grad
            if adam:
                v[i] = beta2 * v[i] + (1 - beta2) * g**2
                g = g / ((v[i] / (1 - beta2**t)).sqrt() + eps)
            z[i] = z[i] - gamma * (g + decay * p.detach())
            x[i] = (1 - c) * x[i] + c * z[i]
            p.data = (1 - beta) * z[i] + beta * x[i]
    return x, [p.detach() for p in y]


@pytest.mark.parametrize("adam", [True, False])
@pytest.mark.parametrize(("warmup", "decay"), [(0, 0.0), (6, 0.1)])
@pytest.mark.parametrize("steps", [1, 20])
def test_schedule_free_follows_its_paper(adam: bool, warmup: int, decay: float, steps: int) -> None:
    kind = optim.AdamWScheduleFree if adam else optim.SGDScheduleFree
    tensors = parameters()
    optimizer = kind(tensors, lr=0.02, warmup_steps=warmup, weight_decay=decay)
    for step in range(steps):
        gradients(tensors, step)
        optimizer.step()
    averages, iterates = schedule_free(0.02, warmup, decay, adam, steps)
    for a, b in zip(tensors, iterates, strict=True):
        torch.testing.assert_close(a.detach(), b, rtol=1e-4, atol=1e-5)
    optimizer.eval()
    for a, b in zip(tensors, averages, strict=True):
        torch.testing.assert_close(a.detach(), b, rtol=1e-4, atol=1e-5)
    with pytest.raises(RuntimeError, match="call optimizer.train"):
        optimizer.step()
    optimizer.train()
    for a, b in zip(tensors, iterates, strict=True):
        torch.testing.assert_close(a.detach(), b, rtol=1e-4, atol=1e-5)


def test_rectified_schedule_free_holds_still_then_rises() -> None:
    tensors = parameters()
    start = [p.detach().clone() for p in tensors]
    optimizer = optim.RAdamScheduleFree(tensors, lr=0.02)
    rates = []
    for step in range(30):
        gradients(tensors, step)
        optimizer.step()
        rates.append(optimizer.param_groups[0]["scheduled_lr"])
        if step == 3:
            for p, before in zip(tensors, start, strict=True):
                torch.testing.assert_close(p.detach(), before)
    assert rates[:4] == [0.0] * 4 and rates == sorted(rates) and 0 < rates[-1] < 0.02
