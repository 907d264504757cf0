"""What the optimizers here share: the loop over parameters, and states that keep their dtype."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


class ExactOptimizer(Optimizer):
    """An optimizer that computes in float32 and whose state is loaded as it was saved.

    torch casts a loaded state to the parameter's dtype; bytes and float32 moments of 16-bit
    parameters would not survive that. A subclass defines `update(p, grad, state, group)`: `grad`
    and `p` are float32 (`p` is copied back), `state` is empty at the first step.
    """

    def update(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change `p` and `state` in place."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """One step; `closure` recomputes and returns the loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            self.begin(group)
            for p in group["params"]:
                if p.grad is None:
                    continue
                if p.grad.is_sparse:
                    raise NotImplementedError(
                        f"{type(self).__name__}: sparse gradients are not implemented; "
                        "build the embedding with sparse=False"
                    )
                whole = p if p.dtype in (torch.float32, torch.float64) else p.float()
                self.update(whole, p.grad.to(whole.dtype), self.state[p], group)
                if whole is not p:
                    p.copy_(whole)
        return loss

    def begin(self, group: dict[str, Any]) -> None:
        """What is done once for a group, before its parameters."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict`; tensors keep the dtype that they were saved with."""
        super().load_state_dict(state_dict)
        for p, saved in self._pairs(state_dict):
            for name, value in saved.items():
                if isinstance(value, Tensor) and value.dtype != self.state[p][name].dtype:
                    self.state[p][name] = value.detach().clone().to(p.device)

    def _pairs(self, state_dict: dict[str, Any]) -> Iterator[tuple[Tensor, dict[str, Any]]]:
        """Each parameter with its saved state, by position."""
        ids = (index for group in state_dict["param_groups"] for index in group["params"])
        mine = (p for group in self.param_groups for p in group["params"])
        for index, p in zip(ids, mine, strict=True):
            if index in state_dict["state"]:
                yield p, state_dict["state"][index]


def adam_step(
    p: Tensor, grad: Tensor, mean: Tensor, square: Tensor, step: int, group: dict[str, Any]
) -> None:
    """Adam's step without decay; `step` counts from 1, `mean` and `square` are its moments."""
    beta1, beta2 = group["betas"]
    mean.lerp_(grad, 1 - beta1)
    square.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    below = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
    p.addcdiv_(mean, below, value=-group["lr"] / (1 - beta1**step))
