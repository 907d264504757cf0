"""Schedules of the learning rate, under transformers' names; the curves are in `curves`.

A schedule is torch's LambdaLR over a curve, except two that follow a metric: ReduceLROnPlateau and
GreedyLR.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from enfold.errors import InputError
from enfold.train import curves
from enfold.train.arguments.names import SchedulerType
from enfold.train.greedy import GreedyLR, get_greedy_schedule

__all__ = ["GreedyLR", "get_greedy_schedule", "get_scheduler"]

Schedule = LRScheduler | ReduceLROnPlateau | GreedyLR


def get_scheduler(
    name: str | SchedulerType,
    optimizer: Optimizer,
    num_warmup_steps: int | None = None,
    num_training_steps: int | None = None,
    scheduler_specific_kwargs: dict[str, Any] | None = None,
) -> Schedule:
    """The schedule called `name` over `optimizer`.

    Raises InputError for an unknown name or when a step count that the curve needs is missing, and
    TypeError for a setting that the curve does not have.
    """
    name = SchedulerType(name)
    make, needed = SCHEDULES[name]
    counts = {"num_warmup_steps": num_warmup_steps, "num_training_steps": num_training_steps}
    counts = {key: counts[key] for key in needed}
    missing = [key for key, value in counts.items() if value is None]
    if missing and name is not SchedulerType.WARMUP_STABLE_DECAY:
        raise InputError(f"get_scheduler: {name.value!r} needs {' and '.join(missing)}; got None")
    return make(optimizer, **counts, **(scheduler_specific_kwargs or {}))


def get_constant_schedule(optimizer: Optimizer, last_epoch: int = -1) -> LambdaLR:
    """The rate that the optimizer was given."""
    return LambdaLR(optimizer, curves.constant, last_epoch)


def get_constant_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Linear warmup, then constant."""
    curve = partial(curves.constant_with_warmup, warmup=num_warmup_steps)
    return LambdaLR(optimizer, curve, last_epoch)


def get_linear_schedule_with_warmup(
    optimizer: Optimizer, num_warmup_steps: int, num_training_steps: int, last_epoch: int = -1
) -> LambdaLR:
    """Linear warmup, then straight to 0."""
    curve = partial(curves.linear, warmup=num_warmup_steps, total=num_training_steps)
    return LambdaLR(optimizer, curve, last_epoch)


def get_cosine_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Linear warmup, then `num_cycles` waves of a cosine; a half wave goes to 0."""
    curve = partial(
        curves.cosine, warmup=num_warmup_steps, total=num_training_steps, cycles=num_cycles
    )
    return LambdaLR(optimizer, curve, last_epoch)


def get_cosine_with_hard_restarts_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: int = 1,
    last_epoch: int = -1,
) -> LambdaLR:
    """Linear warmup, then `num_cycles` half waves, each from the top to 0."""
    curve = partial(
        curves.cosine_with_restarts,
        warmup=num_warmup_steps,
        total=num_training_steps,
        cycles=num_cycles,
    )
    return LambdaLR(optimizer, curve, last_epoch)


def get_polynomial_decay_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    lr_end: float = 1e-7,
    power: float = 1.0,
    last_epoch: int = -1,
) -> LambdaLR:
    """Linear warmup, then a polynomial down to the rate `lr_end`."""
    initial = optimizer.defaults["lr"]
    if not initial > lr_end:
        raise InputError(f"polynomial schedule: lr_end={lr_end} is not below the rate, {initial}")
    curve = partial(
        curves.polynomial,
        warmup=num_warmup_steps,
        total=num_training_steps,
        power=power,
        initial=initial,
        final=lr_end,
    )
    return LambdaLR(optimizer, curve, last_epoch)


def get_inverse_sqrt_schedule(
    optimizer: Optimizer,
    num_warmup_steps: int,
    timescale: int | None = None,
    last_epoch: int = -1,
) -> LambdaLR:
    """Linear warmup, then 1 / sqrt(steps); `timescale` defaults to the warmup, or 10,000."""
    timescale = timescale or num_warmup_steps or 10_000
    curve = partial(curves.inverse_sqrt, warmup=num_warmup_steps, timescale=timescale)
    return LambdaLR(optimizer, curve, last_epoch)


def get_cosine_with_min_lr_schedule_with_warmup(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
) -> LambdaLR:
    """Linear warmup, then a cosine to `min_lr`, or to `min_lr_rate` times the rate."""
    curve = partial(
        curves.cosine,
        warmup=num_warmup_steps,
        total=num_training_steps,
        cycles=num_cycles,
        floor=_floor(optimizer, min_lr, min_lr_rate),
    )
    return LambdaLR(optimizer, curve, last_epoch)


def get_cosine_with_min_lr_schedule_with_warmup_lr_rate(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_training_steps: int,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
    min_lr: float | None = None,
    min_lr_rate: float | None = None,
    warmup_lr_rate: float | None = None,
) -> LambdaLR:
    """The same with a warmup that begins above 0: at `warmup_lr_rate` times the rate."""
    curve = partial(
        curves.cosine_from_first_step,
        warmup=num_warmup_steps,
        total=num_training_steps,
        cycles=num_cycles,
        floor=_floor(optimizer, min_lr, min_lr_rate),
        start=warmup_lr_rate,
    )
    return LambdaLR(optimizer, curve, last_epoch)


def get_wsd_schedule(
    optimizer: Optimizer,
    num_warmup_steps: int,
    num_decay_steps: int,
    num_training_steps: int | None = None,
    num_stable_steps: int | None = None,
    warmup_type: str = "linear",
    decay_type: str = "cosine",
    min_lr_ratio: float = 0,
    num_cycles: float = 0.5,
    last_epoch: int = -1,
) -> LambdaLR:
    """Warmup, level, decay; the slopes are linear, cosine or 1-sqrt, from and to `min_lr_ratio`.

    Without `num_stable_steps`, the level part is what warmup and decay leave of all steps.
    """
    for name, shape in (("warmup_type", warmup_type), ("decay_type", decay_type)):
        if shape not in ("linear", "cosine", "1-sqrt"):
            raise InputError(
                f"warmup_stable_decay: got {name}={shape!r}, expected linear, cosine or 1-sqrt"
            )
    if num_stable_steps is None:
        if num_training_steps is None:
            raise InputError(
                "warmup_stable_decay: got neither num_training_steps nor num_stable_steps; "
                "give one of them"
            )
        num_stable_steps = num_training_steps - num_warmup_steps - num_decay_steps
    curve = partial(
        curves.warmup_stable_decay,
        warmup=num_warmup_steps,
        stable=num_stable_steps,
        decay=num_decay_steps,
        warmup_type=warmup_type,
        decay_type=decay_type,
        floor=min_lr_ratio,
        cycles=num_cycles,
    )
    return LambdaLR(optimizer, curve, last_epoch)


def get_reduce_on_plateau_schedule(optimizer: Optimizer, **settings: Any) -> ReduceLROnPlateau:
    """torch's ReduceLROnPlateau: the rate falls when a metric stops improving."""
    return ReduceLROnPlateau(optimizer, **settings)


def _floor(optimizer: Optimizer, min_lr: float | None, min_lr_rate: float | None) -> float:
    """The least factor, given as a rate or as a part of the rate."""
    if (min_lr is None) == (min_lr_rate is None):
        raise InputError(
            f"cosine with a least rate: got min_lr={min_lr} and min_lr_rate={min_lr_rate}; "
            "give one of them (lr_scheduler_kwargs={'min_lr_rate': 0.1})"
        )
    if min_lr is not None:
        return min_lr / float(optimizer.defaults["lr"])
    return float(min_lr_rate or 0.0)


BOTH = ("num_warmup_steps", "num_training_steps")
SCHEDULES: dict[SchedulerType, tuple[Callable[..., Schedule], tuple[str, ...]]] = {
    SchedulerType.LINEAR: (get_linear_schedule_with_warmup, BOTH),
    SchedulerType.COSINE: (get_cosine_schedule_with_warmup, BOTH),
    SchedulerType.COSINE_WITH_RESTARTS: (get_cosine_with_hard_restarts_schedule_with_warmup, BOTH),
    SchedulerType.POLYNOMIAL: (get_polynomial_decay_schedule_with_warmup, BOTH),
    SchedulerType.CONSTANT: (get_constant_schedule, ()),
    SchedulerType.CONSTANT_WITH_WARMUP: (get_constant_schedule_with_warmup, BOTH[:1]),
    SchedulerType.INVERSE_SQRT: (get_inverse_sqrt_schedule, BOTH[:1]),
    SchedulerType.REDUCE_ON_PLATEAU: (get_reduce_on_plateau_schedule, ()),
    SchedulerType.COSINE_WITH_MIN_LR: (get_cosine_with_min_lr_schedule_with_warmup, BOTH),
    SchedulerType.COSINE_WARMUP_WITH_MIN_LR: (
        get_cosine_with_min_lr_schedule_with_warmup_lr_rate,
        BOTH,
    ),
    SchedulerType.WARMUP_STABLE_DECAY: (get_wsd_schedule, BOTH),
    SchedulerType.GREEDY: (get_greedy_schedule, ()),
}
TYPE_TO_SCHEDULER_FUNCTION = {name: make for name, (make, _) in SCHEDULES.items()}
