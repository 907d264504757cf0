"""The schedules follow transformers' curves."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import torch
import transformers
from transformers.optimization import GreedyLR as TheirGreedyLR

from enfold.errors import InputError
from enfold.train import schedules
from enfold.train.arguments import SchedulerType

STEPS, WARMUP, RATE = 200, 17, 3e-3
CASES: list[tuple[str, dict[str, Any]]] = [
    ("linear", {}),
    ("cosine", {}),
    ("cosine", {"num_cycles": 1.3}),
    ("cosine_with_restarts", {"num_cycles": 3}),
    ("polynomial", {}),
    ("polynomial", {"lr_end": 1e-5, "power": 2.5}),
    ("constant", {}),
    ("constant_with_warmup", {}),
    ("inverse_sqrt", {}),
    ("inverse_sqrt", {"timescale": 40}),
    ("cosine_with_min_lr", {"min_lr_rate": 0.1}),
    ("cosine_with_min_lr", {"min_lr": 1e-4, "num_cycles": 0.7}),
    ("cosine_warmup_with_min_lr", {"min_lr_rate": 0.1}),
    ("cosine_warmup_with_min_lr", {"min_lr": 1e-4, "warmup_lr_rate": 0.2}),
    ("warmup_stable_decay", {"num_decay_steps": 50}),
    ("warmup_stable_decay", {"num_decay_steps": 30, "num_stable_steps": 60, "min_lr_ratio": 0.1}),
    (
        "warmup_stable_decay",
        {"num_decay_steps": 40, "warmup_type": "cosine", "decay_type": "1-sqrt"},
    ),
    (
        "warmup_stable_decay",
        {"num_decay_steps": 40, "warmup_type": "1-sqrt", "decay_type": "linear"},
    ),
    ("reduce_lr_on_plateau", {"patience": 3, "factor": 0.5}),
    ("greedy", {"patience": 2, "factor": 0.8, "min_lr": 1e-4, "max_lr": 0.1}),
    ("greedy", {"patience": 1, "mode": "max", "threshold_mode": "rel", "cooldown": 2, "warmup": 3}),
    ("greedy", {"patience": 1, "smooth": True, "window_size": 4, "min_lr": 2e-3, "reset_start": 3}),
]


def optimizer() -> torch.optim.Optimizer:
    tensors = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    return torch.optim.SGD([{"params": [tensors[0]]}, {"params": [tensors[1]]}], lr=RATE)


def curve(get_scheduler: Any, name: str, settings: dict[str, Any]) -> list[float]:
    """The rate of the second group over STEPS steps, and of a resumed run's last ones."""
    over = optimizer()
    schedule = get_scheduler(name, over, WARMUP, STEPS, settings)
    metrics = random.Random(0)
    rates = []
    for step in range(STEPS + 5):
        rates.append(over.param_groups[1]["lr"])
        over.step()
        if name in ("reduce_lr_on_plateau", "greedy"):
            schedule.step(1 / (1 + min(step, 60)) + 0.01 * metrics.random())
        else:
            schedule.step()
    return rates


def test_every_schedule_is_tried() -> None:
    assert {name for name, _ in CASES} == {name.value for name in SchedulerType}


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_the_curve_is_theirs(name: str, settings: dict[str, Any]) -> None:
    mine = curve(schedules.get_scheduler, name, settings)
    theirs = curve(transformers.get_scheduler, name, settings)
    assert mine == pytest.approx(theirs, rel=0, abs=1e-12)
    assert name == "constant" or len(set(mine)) > 2


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_a_resumed_schedule_goes_on(name: str, settings: dict[str, Any]) -> None:
    by_metric = name in ("reduce_lr_on_plateau", "greedy")
    straight, first, second = (optimizer() for _ in range(3))
    whole = schedules.get_scheduler(name, straight, WARMUP, STEPS, settings)
    half = schedules.get_scheduler(name, first, WARMUP, STEPS, settings)
    values = [random.Random(n).random() for n in range(60)]

    def run(schedule: Any, over: torch.optim.Optimizer, numbers: list[float]) -> None:
        for value in numbers:
            over.step()
            schedule.step(*([value] if by_metric else []))

    run(whole, straight, values)
    run(half, first, values[:30])
    second.load_state_dict(first.state_dict())
    resumed = schedules.get_scheduler(name, second, WARMUP, STEPS, settings)
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(half.state_dict())
    run(resumed, second, values[30:])
    assert second.param_groups[0]["lr"] == straight.param_groups[0]["lr"]


def test_greedy_state_is_theirs() -> None:
    settings = {"patience": 1, "smooth": True, "window_size": 3}
    mine, theirs = (kind(optimizer(), **settings) for kind in (schedules.GreedyLR, TheirGreedyLR))
    for value in (3.0, 2.0, 1.0, 5.0):
        mine.step(value)
        theirs.step(value)
    assert mine.state_dict() == theirs.state_dict()
    assert mine.get_last_lr() == theirs.get_last_lr()


@pytest.mark.parametrize(
    ("name", "counts", "settings", "said"),
    [
        ("linear", (None, 10), {}, "'linear' needs num_warmup_steps; got None"),
        ("cosine", (1, None), {}, "'cosine' needs num_training_steps"),
        ("steep", (1, 10), {}, "SchedulerType: got 'steep'"),
        ("polynomial", (1, 10), {"lr_end": 1.0}, "lr_end=1.0 is not below the rate"),
        ("cosine_with_min_lr", (1, 10), {}, "give one of them"),
        ("cosine_with_min_lr", (1, 10), {"min_lr": 0.1, "min_lr_rate": 0.1}, "give one of them"),
        ("warmup_stable_decay", (1, None), {"num_decay_steps": 1}, "give one of them"),
        (
            "warmup_stable_decay",
            (1, 9),
            {"num_decay_steps": 1, "decay_type": "x"},
            "decay_type='x'",
        ),
        ("greedy", (None, None), {"factor": 1.0}, "got factor=1.0"),
        ("greedy", (None, None), {"mode": "up"}, "mode='up'"),
        ("greedy", (None, None), {"min_lr": [0.1]}, "got 1 values of min_lr for 2 groups"),
    ],
)
def test_what_a_schedule_cannot_do_raises(
    name: str, counts: tuple[int | None, int | None], settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        schedules.get_scheduler(name, optimizer(), *counts, settings)


def test_a_setting_of_another_curve_raises() -> None:
    with pytest.raises(TypeError, match="num_cycles"):
        schedules.get_scheduler("linear", optimizer(), 1, 10, {"num_cycles": 2})
    with pytest.raises(TypeError, match="num_cycles"):
        schedules.get_scheduler("constant", optimizer(), 1, 10, {"num_cycles": 2})


def test_inverse_sqrt_without_warmup_takes_ten_thousand() -> None:
    over = optimizer()
    schedule = schedules.get_inverse_sqrt_schedule(over, 0)
    over.step()
    schedule.step()
    assert over.param_groups[0]["lr"] == pytest.approx(RATE / math.sqrt(1.0001))
