"""Schedule-free optimizers: an average of the iterates in place of a falling rate.

https://arxiv.org/abs/2405.15682. Three sequences, of which x is the result, z the iterate of the
base method, and y, between them, is where gradients are taken:

    y = (1 - beta) z + beta x;   z <- z - rate g(y);   x <- (1 - c) x + c z,   c = w / sum of w

The parameters hold y in `train()` mode and x in `eval()` mode; z is in the state. State and groups
have the names of the schedulefree package.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from enfold.errors import InputError
from enfold.train.optim.exact import ExactOptimizer


class ScheduleFree(ExactOptimizer):
    """The base: a subclass gives a group's `beta`, the rate at a step, and the direction."""

    def __init__(
        self,
        params: Iterable[Any],
        *,
        r: float = 0.0,
        weight_lr_power: float = 2.0,
        **defaults: Any,
    ) -> None:
        progress = {"k": 0, "weight_sum": 0.0, "lr_max": -1.0, "scheduled_lr": 0.0}
        weights = {"r": r, "weight_lr_power": weight_lr_power}
        super().__init__(params, {**defaults, **weights, **progress, "train_mode": True})

    def beta(self, group: dict[str, Any]) -> float:
        """How near y is to the average x."""
        return float(group["betas"][0])

    def rate(self, group: dict[str, Any]) -> float:
        """The rate at step `group["k"]`, which counts from 1, warmup included."""
        part: float = min(1.0, group["k"] / max(1, group["warmup_steps"]))
        return float(group["lr"]) * part

    def direction(self, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        """The base method's direction for `grad`."""
        return grad

    def begin(self, group: dict[str, Any]) -> None:
        group["k"] += 1
        rate = group["scheduled_lr"] = self.rate(group)
        group["lr_max"] = max(rate, group["lr_max"])
        weight = group["k"] ** group["r"] * group["lr_max"] ** group["weight_lr_power"]
        group["weight_sum"] += weight
        group["share"] = weight / group["weight_sum"] if group["weight_sum"] else 0.0

    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step, from y to y; RuntimeError in eval() mode."""
        if not all(group["train_mode"] for group in self.param_groups):
            raise RuntimeError(
                f"{type(self).__name__}: step() in eval() mode, where the parameters are averages; "
                "call optimizer.train() before training goes on"
            )
        return super().step(closure)

    def update(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if "z" not in state:
            state["z"] = p.clone()
        rate, share = group["scheduled_lr"], group["share"]
        change = self.direction(grad, state, group).add(p, alpha=group["weight_decay"])
        p.lerp_(state["z"], share)
        p.sub_(change, alpha=rate * (1 - self.beta(group) * (1 - share)))
        state["z"].sub_(change, alpha=rate)

    @torch.no_grad()
    def train(self) -> None:
        """Put y into the parameters, to train."""
        self._switch(True, lambda beta: 1 - beta)

    @torch.no_grad()
    def eval(self) -> None:
        """Put x into the parameters, to evaluate and save."""
        self._switch(False, lambda beta: 1 - 1 / beta)

    def _switch(self, mode: bool, weight: Callable[[float], float]) -> None:
        for group in self.param_groups:
            if group["train_mode"] != mode:
                for p in group["params"]:
                    if "z" in self.state[p]:
                        z = self.state[p]["z"]
                        p.copy_(p.to(z.dtype).lerp(z, weight(self.beta(group))))
                group["train_mode"] = mode


class SGDScheduleFree(ScheduleFree):
    """Schedule-free SGD; `momentum` is the paper's beta."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        **weights: float,
    ) -> None:
        if not 0 < momentum < 1:
            raise InputError(f"SGDScheduleFree: got momentum={momentum}, expected one in 0..1")
        settings = {"momentum": momentum, "warmup_steps": warmup_steps}
        super().__init__(params, lr=lr, weight_decay=weight_decay, **settings, **weights)

    def beta(self, group: dict[str, Any]) -> float:
        return float(group["momentum"])


class AdamWScheduleFree(ScheduleFree):
    """Schedule-free AdamW; betas[0] is the paper's beta, decay acts at y."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.0025,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        warmup_steps: int = 0,
        **weights: float,
    ) -> None:
        settings: dict[str, Any] = {"betas": betas, "eps": eps, "warmup_steps": warmup_steps}
        super().__init__(params, lr=lr, weight_decay=weight_decay, **settings, **weights)

    def direction(self, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        beta2 = group["betas"][1]
        if "exp_avg_sq" not in state:
            state["exp_avg_sq"] = torch.zeros_like(grad)
        square: Tensor = state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        return grad.div(square.div(1 - beta2 ** group["k"]).sqrt_().add_(group["eps"]))


class RAdamScheduleFree(AdamWScheduleFree):
    """Schedule-free RAdam (https://arxiv.org/abs/1908.03265): its rectification is the warmup.

    While too few squares are known, `silent_sgd_phase` holds still; False makes steps of SGD.
    """

    def __init__(
        self, params: Iterable[Any], *, silent_sgd_phase: bool = True, **settings: Any
    ) -> None:
        super().__init__(params, **settings)
        for group in self.param_groups:
            group["silent_sgd_phase"] = silent_sgd_phase

    def rate(self, group: dict[str, Any]) -> float:
        most, known = self._known(group)
        if known <= 4:
            return 0.0 if group["silent_sgd_phase"] else float(group["lr"])
        part = (known - 4) * (known - 2) * most / ((most - 4) * (most - 2) * known)
        return float(group["lr"]) * math.sqrt(part)

    def direction(self, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        adaptive = super().direction(grad, state, group)
        return adaptive if self._known(group)[1] > 4 else grad

    def _known(self, group: dict[str, Any]) -> tuple[float, float]:
        """The most squares the average can stand for, and how many it stands for now."""
        beta2, step = float(group["betas"][1]), int(group["k"])
        most = 2 / (1 - beta2) - 1
        faded: float = beta2**step
        return most, most - 2 * step * faded / (1 - faded)
