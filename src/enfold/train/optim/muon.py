"""Muon: momentum made orthogonal, for the matrices inside a network; AdamW for the rest.

https://kellerjordan.github.io/posts/muon/. The singular values of a matrix's momentum are brought
to about 1 by five Newton-Schulz steps, X <- aX + (b XX' + c (XX')^2) X.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from enfold.errors import InputError
from enfold.train.optim.exact import ExactOptimizer, adam_step

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # steepest at 0, so that small singular values grow fast


class Muon(ExactOptimizer):
    """Muon for groups with `muon: True` (matrices), AdamW for the others.

    `adjust_lr_fn` says how a matrix (rows, columns) scales the rate: `match_rms_adamw`, by 0.2
    sqrt(max(rows, columns)), so that a rate and decay for AdamW fit
    (https://arxiv.org/abs/2502.16982); `original`, by sqrt(max(1, rows / columns)), for rates such
    as 0.02. Higher tensors are taken as matrices of their first dimension.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        adjust_lr_fn: str = "match_rms_adamw",
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
    ) -> None:
        if adjust_lr_fn not in ("original", "match_rms_adamw"):
            raise InputError(
                f"Muon: got adjust_lr_fn={adjust_lr_fn!r}, expected original or match_rms_adamw"
            )
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "muon": True,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            if group["muon"] and any(p.ndim < 2 for p in group["params"]):
                raise InputError("Muon: got a vector in a group for matrices; see muon_groups")

    def update(self, p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
        p.mul_(1 - group["lr"] * group["weight_decay"])
        if group["muon"]:
            _muon(p, grad, state, group)
        else:
            _adam(p, grad, state, group)


def muon_groups(model: nn.Module, groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`groups`, each parted into matrices between hidden states and all else.

    All else: biases, norms, embeddings, and the output head.
    """
    head = getattr(model, "get_output_embeddings", lambda: None)()
    ends = {id(p) for p in head.parameters()} if isinstance(head, nn.Module) else set()
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            ends |= {id(p) for p in module.parameters()}
    parted = []
    for group in groups:
        for muon in (True, False):
            inside = [p for p in group["params"] if (p.ndim >= 2 and id(p) not in ends) == muon]
            if inside:
                parted.append({**group, "params": inside, "muon": muon})
    return parted


def orthogonal(matrix: Tensor, steps: int) -> Tensor:
    """The matrix (..., rows, columns) with singular values near 1, in bfloat16 as published."""
    a, b, c = COEFFICIENTS
    x = matrix.bfloat16()
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.mT if tall else x
    return result


def _muon(p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    if not state:
        state["momentum_buffer"] = torch.zeros_like(grad)
    buffer = state["momentum_buffer"].lerp_(grad, 1 - group["momentum"])
    change = grad.lerp(buffer, group["momentum"]) if group["nesterov"] else buffer
    matrix = orthogonal(change.flatten(1), group["ns_steps"])
    rows, columns = matrix.shape
    scale = 0.2 * max(rows, columns) ** 0.5
    if group["adjust_lr_fn"] == "original":
        scale = max(1.0, rows / columns) ** 0.5
    p.sub_(matrix.view(p.shape).to(p.dtype), alpha=group["lr"] * scale)


def _adam(p: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    if not state:
        state |= {"step": 0, "exp_avg": torch.zeros_like(p), "exp_avg_sq": torch.zeros_like(p)}
    state["step"] += 1
    adam_step(p, grad, state["exp_avg"], state["exp_avg_sq"], state["step"], group)
