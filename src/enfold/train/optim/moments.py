"""Optimizers whose moments are kept in 8 or 32 bits: AdamW, Lion, RMSprop, AdEMAMix.

With `optim_bits=8` each moment is stored as `encode` gives it, a quarter of the memory; tensors of
fewer than `min_8bit_size` numbers stay in float32, as in bitsandbytes, whose names the state has:
`state1`, `qmap1`, `absmax1`, and so on. Paging (`paged_...`) is not needed for correctness: states
stay on the parameter's device.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from enfold.errors import InputError
from enfold.train.optim.codes import decode, encode, table
from enfold.train.optim.exact import ExactOptimizer, adam_step


class Moments(ExactOptimizer):
    """The base: a subclass says which moments it has (`MOMENTS`: signed or not) and `apply`."""

    MOMENTS: ClassVar[tuple[bool, ...]] = ()

    def __init__(
        self,
        params: Iterable[Any],
        *,
        optim_bits: int = 32,
        min_8bit_size: int = 4096,
        **defaults: Any,
    ) -> None:
        if optim_bits not in (8, 32):
            raise InputError(f"{type(self).__name__}: got optim_bits={optim_bits}, expected 8, 32")
        self.optim_bits, self.min_8bit_size = optim_bits, min_8bit_size
        super().__init__(params, defaults)

    def apply(
        self, p: Tensor, grad: Tensor, moments: list[Tensor], step: int, group: dict[str, Any]
    ) -> None:
        """Change `p` and `moments` in place."""
        raise NotImplementedError

    def update(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        small = self.optim_bits == 8 and p.numel() >= self.min_8bit_size
        if small and hasattr(p, "to_local"):
            raise NotImplementedError(
                f"{type(self).__name__}: 8-bit states of sharded (FSDP) parameters are not "
                "implemented; use optim='adafactor' or 'adamw_torch'"
            )
        if not state:
            state["step"] = 0
            for number, signed in enumerate(self.MOMENTS, 1):
                _store(state, number, torch.zeros_like(grad), signed, small)
        state["step"] += 1
        moments = [_read(state, n, signed) for n, signed in enumerate(self.MOMENTS, 1)]
        self.apply(p, grad, moments, state["step"], group)
        for number, (moment, signed) in enumerate(zip(moments, self.MOMENTS, strict=True), 1):
            _store(state, number, moment, signed, small)


class AdamW(Moments):
    """AdamW (https://arxiv.org/abs/1711.05101), decay first, as torch's."""

    MOMENTS = (True, False)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        **bits: int,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, **bits)

    def apply(
        self, p: Tensor, grad: Tensor, moments: list[Tensor], step: int, group: dict[str, Any]
    ) -> None:
        p.mul_(1 - group["lr"] * group["weight_decay"])
        adam_step(p, grad, moments[0], moments[1], step, group)


class Lion(Moments):
    """Lion: the sign of a momentum (https://arxiv.org/abs/2302.06675)."""

    MOMENTS = (True,)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        **bits: int,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, weight_decay=weight_decay, **bits)

    def apply(
        self, p: Tensor, grad: Tensor, moments: list[Tensor], step: int, group: dict[str, Any]
    ) -> None:
        (mean,), (beta1, beta2) = moments, group["betas"]
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.sub_(mean.lerp(grad, 1 - beta1).sign_(), alpha=group["lr"])
        mean.lerp_(grad, 1 - beta2)


class RMSprop(Moments):
    """RMSprop with decay added to the gradient, as torch's without momentum."""

    MOMENTS = (False,)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        **bits: int,
    ) -> None:
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, **bits)

    def apply(
        self, p: Tensor, grad: Tensor, moments: list[Tensor], step: int, group: dict[str, Any]
    ) -> None:
        grad = grad.add(p, alpha=group["weight_decay"])
        square = moments[0].mul_(group["alpha"]).addcmul_(grad, grad, value=1 - group["alpha"])
        p.addcdiv_(grad, square.sqrt().add_(group["eps"]), value=-group["lr"])


class StableAdamW(Moments):
    """AdamW whose rate shrinks when gradients outgrow their average (arxiv.org/abs/2304.13013)."""

    MOMENTS = (True, False)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
        **bits: int,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, **bits)

    def apply(
        self, p: Tensor, grad: Tensor, moments: list[Tensor], step: int, group: dict[str, Any]
    ) -> None:
        (mean, square), (beta1, beta2) = moments, group["betas"]
        mean.lerp_(grad, (1 - beta1) / (1 - beta1**step))
        square.lerp_(grad * grad, (1 - beta2) / (1 - beta2**step))
        excess = (grad * grad / square.clamp(min=group["eps"] ** 2)).mean().sqrt()
        rate = group["lr"] / max(1.0, float(excess))
        p.mul_(1 - rate * group["weight_decay"])
        p.addcdiv_(mean, square.sqrt().add_(group["eps"]), value=-rate)


class AdEMAMix(Moments):
    """AdamW with a second, slow momentum, weighed by alpha (https://arxiv.org/abs/2409.03137).

    `t_alpha` and `t_beta3` are the steps over which alpha and beta3 grow to their values; None: at
    once.
    """

    MOMENTS = (True, False, True)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float, float] = (0.9, 0.999, 0.9999),
        alpha: float = 5.0,
        t_alpha: int | None = None,
        t_beta3: int | None = None,
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        **bits: int,
    ) -> None:
        settings: dict[str, Any] = {
            "betas": betas,
            "alpha": alpha,
            "t_alpha": t_alpha,
            "t_beta3": t_beta3,
        }
        super().__init__(params, lr=lr, eps=eps, weight_decay=weight_decay, **settings, **bits)

    def apply(
        self, p: Tensor, grad: Tensor, moments: list[Tensor], step: int, group: dict[str, Any]
    ) -> None:
        (fast, square, slow), (beta1, beta2, _) = moments, group["betas"]
        alpha, beta3 = _grown(step, group)
        fast.lerp_(grad, 1 - beta1)
        slow.lerp_(grad, 1 - beta3)
        square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        below = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.addcdiv_(fast / (1 - beta1**step) + alpha * slow, below, value=-group["lr"])


def _grown(step: int, group: dict[str, Any]) -> tuple[float, float]:
    """alpha and beta3 at `step`: alpha linear, beta3 so that its half-life grows linearly."""
    alpha, (beta1, _, beta3) = group["alpha"], group["betas"]
    if group["t_alpha"]:
        alpha = alpha * min(step / group["t_alpha"], 1.0)
    if group["t_beta3"]:
        part = min(step / group["t_beta3"], 1.0)
        low, high = (_half_life(beta) for beta in (beta1, beta3))
        beta3 = 0.5 ** (1 / ((1 - part) * low + part * high + 1))
    return alpha, beta3


def _half_life(beta: float) -> float:
    return math.log(0.5) / math.log(beta) - 1


def _store(state: dict[str, Any], number: int, x: Tensor, signed: bool, small: bool) -> None:
    if not small:
        state[f"state{number}"] = x
        return
    state[f"state{number}"], state[f"absmax{number}"] = encode(x, signed)
    state[f"qmap{number}"] = table(signed, x.device)


def _read(state: dict[str, Any], number: int, signed: bool) -> Tensor:
    stored: Tensor = state[f"state{number}"]
    if stored.dtype is torch.uint8:
        return decode(stored, state[f"absmax{number}"], signed)
    return stored
