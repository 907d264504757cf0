"""States of an optimizer to a file and back, by the names of the weights they belong to."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from enfold.errors import CheckpointError

NAMES = "names"  # beside torch's "state" and "param_groups"
LIKE_WEIGHTS = ("exp_avg", "exp_avg_sq", "momentum_buffer")


def named_state(model: nn.Module, optimizer: Any) -> dict[str, Any]:
    """The state_dict of an optimizer, with the name of each weight."""
    return {**optimizer.state_dict(), NAMES: list(_names(model, optimizer).values())}


def load_state(model: nn.Module, optimizer: Any, saved: dict[str, Any], where: object) -> None:
    """Give each weight the state that was saved for its name; without names, for its number.

    A file without names is another Trainer's: its weights are in the order of ours.
    """
    names, old = _names(model, optimizer), saved.get(NAMES)
    if old is None:
        _check_groups(optimizer, saved["param_groups"], where)
        state = saved["state"]
    else:
        if sorted(old) != sorted(names.values()):
            changed = sorted(set(old) ^ set(names.values()))
            raise CheckpointError(f"{where} is of a run that trained other weights: {changed[:3]}. "
                                  "Do: freeze the same weights and use the same adapters")
        numbers = {name: number for number, name in enumerate(old)}
        state = {number: saved["state"][numbers[name]] for number, name in names.items()
                 if numbers[name] in saved["state"]}
    _check(model, names, state, where)
    groups = [{**group, "params": now["params"]} for group, now in zip(
        saved["param_groups"], optimizer.state_dict()["param_groups"], strict=True)]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _names(model: nn.Module, optimizer: Any) -> dict[int, str]:
    named = {id(weight): name for name, weight in model.named_parameters()}
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    return {number: named.get(id(weight), f"{number}") for number, weight in enumerate(weights)}


def _check_groups(optimizer: Any, groups: list[dict[str, Any]], where: object) -> None:
    """States that go by number have to be of as many weights."""
    counts, wanted = ([len(group["params"]) for group in some]
                      for some in (groups, optimizer.param_groups))
    if counts != wanted:
        raise CheckpointError(f"{where} is of a run that trained other weights: groups of {counts}"
                              f", expected {wanted}. Do: freeze the same weights and use the same "
                              "adapters, or remove the file, to begin the optimizer anew")


def _check(model: nn.Module, names: dict[int, str], state: dict[int, Any], where: object) -> None:
    """A state of another shape would be written to beyond its end."""
    weights = dict(model.named_parameters())
    for number, held in state.items():
        weight = weights.get(names.get(number, ""))
        for key in LIKE_WEIGHTS:
            found = held.get(key) if isinstance(held, dict) else None
            if torch.is_tensor(found) and weight is not None and found.numel() > 1 \
                    and found.dtype.is_floating_point and found.shape != weight.shape:
                raise CheckpointError(f"{where}: {key} of {names[number]!r} has shape "
                                      f"{list(found.shape)}, expected {list(weight.shape)}. Do: "
                                      "resume with the model of that run, or remove the file")
