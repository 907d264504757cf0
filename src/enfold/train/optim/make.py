"""From `TrainingArguments.optim` to an optimizer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import Optimizer

from enfold.errors import InputError, unknown_arguments
from enfold.train.arguments.names import OptimizerNames
from enfold.train.optim.choices import CHOICES, NOT_HERE, Choice
from enfold.train.optim.muon import Muon, muon_groups

if TYPE_CHECKING:
    from enfold.train.arguments import TrainingArguments

logger = logging.getLogger(__name__)


def make_optimizer(
    args: TrainingArguments, groups: list[dict[str, Any]], model: nn.Module | None = None
) -> Optimizer:
    """The optimizer that `args` asks for, over `groups` (see `decay_groups`).

    `model` is needed by Muon, which treats embeddings and the head apart. Raises
    NotImplementedError for an optimizer that enfold does not have, InputError and ArgumentError for
    `optim_args` that it does not take.
    """
    make, settings = get_optimizer_cls_and_kwargs(args)
    if issubclass(make, Muon):
        if model is None:
            raise InputError("optim='muon': got no model; pass the one that the groups are from")
        groups = muon_groups(model, groups)
    return make(groups, **settings)


def get_optimizer_cls_and_kwargs(
    args: TrainingArguments, model: nn.Module | None = None
) -> tuple[type[Optimizer], dict[str, Any]]:
    """The class and the settings, as the Trainer's method of this name gives them."""
    name = OptimizerNames(args.optim)
    if name in NOT_HERE:
        raise NotImplementedError(f"optim={name.value!r} is not implemented: {NOT_HERE[name]}")
    if name.value.startswith("paged_"):
        logger.warning("optim=%r: states are not paged; they stay on the device", name.value)
    choice = CHOICES[name]
    settings = {"lr": args.learning_rate, **choice.given(args), **choice.fixed}
    for key, value in _options(name.value, args.optim_args, choice).items():
        if key in ("beta1", "beta2", "beta3"):
            at, betas = int(key[-1]) - 1, settings["betas"]
            settings["betas"] = (*betas[:at], value, *betas[at + 1 :])
        else:
            settings[key] = value
    return choice.make, settings


def _options(name: str, given: str | None, choice: Choice) -> dict[str, Any]:
    """`optim_args`, "key=value,key=value", as what the optimizer takes."""
    options = {}
    for pair in filter(None, (given or "").replace(" ", "").split(",")):
        key, _, value = pair.partition("=")
        if key not in choice.options:
            raise unknown_arguments(f"optim_args of {name}", [key], choice.options)
        try:
            options[key] = choice.options[key](value)
        except ValueError as error:
            raise InputError(f"optim_args of {name}: got {pair!r} ({error})") from error
    return options
