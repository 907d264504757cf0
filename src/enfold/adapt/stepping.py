"""What methods do between the steps of an optimizer, and what a checkpoint of training keeps.

A Trainer calls `after_step` after each step, before gradients are dropped.  The state is what an
adapter's file has not: AdaLoRA's averages, and the ranks that it would leave out of the file.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from enfold.adapt.adapters import Adapters
from enfold.adapt.registry import get_method

State = dict[str, Any]  # adapter -> what its method keeps


def after_step(model: nn.Module, step: int) -> None:
    """Let the adapters that are trained know that step `step`, counted from 1, was made.

    One whose `update_and_allocate` was called since the step before is passed over.
    """
    adapters = Adapters.of(model)
    if adapters is None:
        return
    for name in adapters.active if adapters.enabled else ():
        method = get_method(adapters.configs[name].peft_type)
        if method.after_step is not None and not adapters.configs[name].inference_mode \
                and name not in adapters.stepped:
            method.after_step(adapters.configs[name], adapters.deltas(name), step)
    adapters.stepped.clear()


def training_state(model: nn.Module) -> State:
    """What there is to keep beside the adapters' files; empty for most methods."""
    adapters, found = Adapters.of(model), State()
    if adapters is None:
        return found
    for name, config in adapters.configs.items():
        method = get_method(config.peft_type)
        if method.state is not None:
            found[name] = method.state(config, adapters.deltas(name))
    return found


def load_training_state(model: nn.Module, state: State) -> None:
    """Go on from what `training_state` gave, which has the adapter's numbers too."""
    adapters = Adapters.of(model) or Adapters(model)
    for name, held in state.items():
        adapters.check(name)
        config = adapters.configs[name]
        get_method(config.peft_type).load_state(  # type: ignore[misc]
            config, adapters.deltas(name), held)
