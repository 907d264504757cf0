"""Adafactor: second moments of a matrix as one row and one column (https://arxiv.org/abs/1804.04235).

R, C  averages of squared gradients over columns and over rows;  V is about R C^T / mean(R)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from enfold.errors import InputError
from enfold.train.optim.exact import ExactOptimizer


class Adafactor(ExactOptimizer):
    """Adafactor with transformers' arguments and state.

    `relative_step`: the rate is 1 / sqrt(step), at most 1e-2, or 1e-6 times the step with
    `warmup_init`; `lr` is then None. `scale_parameter`: it is multiplied by the root mean square of
    the parameter, at least eps[1]. `clip_threshold`: the largest root mean square of an update.
    `decay_rate` d: squares decay by 1 - step^d. `beta1`: momentum of updates, None for none.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | None = None,
        eps: tuple[float, float] = (1e-30, 1e-3),
        clip_threshold: float = 1.0,
        decay_rate: float = -0.8,
        beta1: float | None = None,
        weight_decay: float = 0.0,
        scale_parameter: bool = True,
        relative_step: bool = True,
        warmup_init: bool = False,
    ) -> None:
        if relative_step == (lr is not None):
            raise InputError(
                f"Adafactor: got lr={lr} with relative_step={relative_step}; give a rate and "
                "relative_step=False, or no rate"
            )
        if warmup_init and not relative_step:
            raise InputError("Adafactor: warmup_init=True needs relative_step=True; got False")
        defaults = {
            "lr": lr,
            "eps": eps,
            "clip_threshold": clip_threshold,
            "decay_rate": decay_rate,
            "beta1": beta1,
            "weight_decay": weight_decay,
            "scale_parameter": scale_parameter,
            "relative_step": relative_step,
            "warmup_init": warmup_init,
        }
        super().__init__(params, defaults)

    def update(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        if not state:
            _start(state, grad, group["beta1"] is not None)
        state["step"] += 1
        state["RMS"] = _rms(p)
        rate = self._get_lr(group, state)
        change = _normalised(grad, state, group)
        change.div_((_rms(change) / group["clip_threshold"]).clamp_(min=1.0)).mul_(rate)
        if group["beta1"] is not None:
            mean = state["exp_avg"]
            change = mean.mul_(group["beta1"]).add_(change, alpha=1 - group["beta1"])
        if group["weight_decay"]:
            p.mul_(1 - group["weight_decay"] * rate)
        p.sub_(change)

    @staticmethod
    def _get_lr(group: dict[str, Any], state: dict[str, Any]) -> Any:
        """The rate of this step; a tensor where the parameter's size scales it."""
        rate = group["lr"]
        if group["relative_step"]:
            most = 1e-6 * state["step"] if group["warmup_init"] else 1e-2
            rate = min(most, 1.0 / math.sqrt(state["step"]))
        if group["scale_parameter"]:
            rate = rate * max(group["eps"][1], state["RMS"])
        return rate


class AdafactorSchedule(LambdaLR):
    """Shows the rate that an Adafactor with `relative_step` has chosen; `initial_lr` before it."""

    optimizer: Adafactor

    def __init__(self, optimizer: Adafactor, initial_lr: float = 0.0) -> None:
        for group in optimizer.param_groups:
            group["initial_lr"] = initial_lr
        super().__init__(optimizer, lambda _: initial_lr)
        for group in optimizer.param_groups:
            del group["initial_lr"]

    def get_lr(self) -> list[Any]:
        """The rates of the groups that have gradients."""
        state = self.optimizer.state
        firsts = [(group, group["params"][0]) for group in self.optimizer.param_groups]
        rates = [self.optimizer._get_lr(g, state[p]) for g, p in firsts if p.grad is not None]
        return rates or list(self.base_lrs)


def get_adafactor_schedule(optimizer: Optimizer, initial_lr: float = 0.0) -> AdafactorSchedule:
    """An AdafactorSchedule over `optimizer`."""
    if not isinstance(optimizer, Adafactor):
        raise InputError(f"AdafactorSchedule: got {type(optimizer).__name__}, expected Adafactor")
    return AdafactorSchedule(optimizer, initial_lr)


def _start(state: dict[str, Any], grad: Tensor, momentum: bool) -> None:
    state["step"] = 0
    if momentum:
        state["exp_avg"] = torch.zeros_like(grad)
    if grad.ndim >= 2:
        state["exp_avg_sq_row"] = torch.zeros_like(grad[..., 0])
        state["exp_avg_sq_col"] = torch.zeros_like(grad[..., 0, :])
    else:
        state["exp_avg_sq"] = torch.zeros_like(grad)


def _normalised(grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
    """The gradient over the root of its average square."""
    keep = 1.0 - math.pow(state["step"], group["decay_rate"])
    square = grad * grad + group["eps"][0]
    if grad.ndim < 2:
        whole: Tensor = state["exp_avg_sq"].mul_(keep).add_(square, alpha=1 - keep)
        return whole.rsqrt().mul_(grad)
    row: Tensor = state["exp_avg_sq_row"].mul_(keep).add_(square.mean(dim=-1), alpha=1 - keep)
    column: Tensor = state["exp_avg_sq_col"].mul_(keep).add_(square.mean(dim=-2), alpha=1 - keep)
    of_rows = row.div(row.mean(dim=-1, keepdim=True)).rsqrt_().unsqueeze(-1)
    return of_rows.mul(column.unsqueeze(-2).rsqrt()).mul_(grad)


def _rms(x: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(x)
    return norm.div(math.sqrt(x.numel()))
