"""Dealing out ranks: the least important triplets (row of A, number of E, column of B) go.

The importance of a number is a moving average of |value * gradient|, times its moving spread; a
triplet's is that of its E and the means of its row and column.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from enfold.adapt.adalora.config import AdaLoraConfig
from enfold.adapt.adalora.delta import PARTS, AdaLora
from enfold.adapt.adapters import Adapters
from enfold.adapt.layer import Delta
from enfold.errors import InputError


def update_and_allocate(adapters: Adapters, global_step: int) -> None:
    """Take in the gradients of a step, and on the steps of the schedule remove ranks."""
    names = [name for name in adapters.active if isinstance(adapters.configs[name], AdaLoraConfig)]
    if not names:
        raise InputError("update_and_allocate: no active adapter is AdaLoRA. Do: leave it out, or "
                         "set_adapter to one that is")
    config: AdaLoraConfig = adapters.configs[names[0]]
    step_of(config, adapters.deltas(names[0]), global_step)
    adapters.stepped.add(names[0])


@torch.no_grad()
def step_of(config: AdaLoraConfig, deltas: list[AdaLora], step: int) -> None:
    """One step of a schedule."""
    last = (config.total_step or 0) - config.tfinal
    if step > last:
        for delta in deltas:
            mask = delta.mask()
            if mask is not None:
                gone = ~torch.tensor(mask, device=delta.lora_E.device)[:, None]
                delta.lora_E.masked_fill_(gone, 0.0)
        return
    if step < last:
        for delta in deltas:
            _take_in(delta, config)
    if step == last or (step > config.tinit and step % config.deltaT == 0):
        _remove(config, deltas, budget(config, deltas, step))
    if step == last:
        for delta in deltas:
            delta.__dict__.pop("_seen", None)


def state_of(config: AdaLoraConfig, deltas: list[AdaLora]) -> dict[str, Any]:
    """All ranks, which of them are left, and the averages, by layer."""
    return {"pattern": config.rank_pattern,
            "parts": {delta.path: dict(Delta.tensors(delta)) for delta in deltas},
            "seen": {delta.path: delta.__dict__.get("_seen", {}) for delta in deltas}}


@torch.no_grad()
def load_state(config: AdaLoraConfig, deltas: list[AdaLora], state: dict[str, Any]) -> None:
    """Go on from what `state_of` gave."""
    config.rank_pattern = state["pattern"]
    for delta in deltas:
        for part, value in state["parts"][delta.path].items():
            getattr(delta, part).copy_(value)
        held = {part: tuple(average.to(delta.lora_E.device) for average in both)
                for part, both in state["seen"][delta.path].items()}
        if held:
            delta.__dict__["_seen"] = held


def budget(config: AdaLoraConfig, deltas: list[AdaLora], step: int) -> int:
    """How many ranks there are to be after a step: from all down to target_r, as a cube falls."""
    first = sum(len(delta.lora_A) for delta in deltas)
    target = config.target_r * len(deltas)
    if step <= config.tinit:
        return first
    span = (config.total_step or 0) - config.tfinal - config.tinit
    left: float = (1 - (step - config.tinit) / span)**3
    return int((first - target) * left + target)


def _take_in(delta: AdaLora, config: AdaLoraConfig) -> None:
    """Move the averages of a layer's numbers."""
    seen: dict[str, tuple[Tensor, Tensor]] = delta.__dict__.setdefault("_seen", {})
    for part in PARTS:
        value = getattr(delta, part)
        if value.grad is None:
            raise InputError(f"update_and_allocate: {part} of {delta.path} has no gradient. Do: "
                             "call it after loss.backward() and before zero_grad()")
        now = (value * value.grad).abs()
        mean, spread = seen.get(part, (torch.zeros_like(now), torch.zeros_like(now)))
        mean = config.beta1 * mean + (1 - config.beta1) * now
        spread = config.beta2 * spread + (1 - config.beta2) * (now - mean).abs()
        seen[part] = mean, spread


def _importance(delta: AdaLora) -> Tensor:
    """Of each triplet, [r]."""
    score = {part: mean * spread for part, (mean, spread) in delta.__dict__["_seen"].items()}
    both: Tensor = score["lora_A"].mean(1) + score["lora_B"].mean(0)
    return score["lora_E"].flatten() + both  # type: ignore[no-any-return]


def _remove(config: AdaLoraConfig, deltas: list[AdaLora], left: int) -> None:
    """Set E to zero but for the `left` most important triplets, and note which these are."""
    scores = [_importance(delta) for delta in deltas]
    both = torch.cat(scores)
    if left >= len(both):
        return
    limit = torch.kthvalue(both, len(both) - left).values
    pattern = {}
    for delta, score in zip(deltas, scores, strict=True):
        gone = score <= limit
        delta.lora_E.masked_fill_(gone[:, None], 0.0)
        pattern[f"{delta.path}.lora_E"] = (~gone).tolist()
    config.rank_pattern = pattern
