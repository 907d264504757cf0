"""target_parameters: adapters on parameters of a module, such as the stacked weights of experts.

Experts were linear layers once, `experts.0.w1`; today their weights are stacked in one parameter,
`experts.gate_up_proj`.  As in peft the old names in target_modules stand for the parameters, and
"all-linear" means these, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import nn

from enfold.adapt.config import PeftType
from enfold.adapt.stacked import AdaptedParameter
from enfold.adapt.targets import ALL_LINEAR, candidates, fits, linears, narrowed
from enfold.errors import InputError, nearest
from enfold.nn.moe import Experts, Router

KINDS = {Experts: ("gate_up_proj", "down_proj"), Router: ("weight",)}


def find_parameters(model: nn.Module, config: Any) -> dict[str, list[str]]:
    """Path of a module -> its parameters that a configuration names, in the module's order.

    Puts what the names mean today into the configuration.
    """
    if config.peft_type != PeftType.LORA:
        return {}
    _settle(model, config)
    wanted = config.target_parameters
    if not wanted:
        return {}
    if config.target_modules is None:
        config.target_modules = set()
    held = dict(_parameters(model))
    found = [path for path in held if any(fits(path, pattern) for pattern in wanted)]
    missing = [pattern for pattern in wanted if not any(fits(path, pattern) for path in held)]
    if missing:
        near = ", ".join(f"{name!r}{nearest(name, _ends(held))}" for name in missing)
        raise InputError(f"LoraConfig: no parameter fits {near} of target_parameters. Expected "
                         f"names or ends of names of {', '.join(sorted(_ends(held))) or 'none'}. "
                         "Do: correct them; linear layers are named in target_modules")
    chosen = narrowed(found, config, "target_parameters")
    if len(chosen) < len(found):  # peft does not narrow these: it is told each by its name
        config.target_parameters = chosen
    _check(config)
    modules: dict[str, list[str]] = {}
    for path in chosen:
        modules.setdefault(held[path], []).append(path.rpartition(".")[2])
    return modules


def _parameters(model: nn.Module) -> list[tuple[str, str]]:
    """(their name, the path of their module) of the parameters that can be adapted."""
    found = []
    for path, module in candidates(model):
        inner = module
        while isinstance(inner, AdaptedParameter):
            inner = inner.base_layer
        found += [(f"{path}.{leaf}", path) for leaf in KINDS.get(type(inner), ())]
    return found


def _ends(held: Mapping[str, str]) -> set[str]:
    """The ends of names that tell parameters apart."""
    leaves = {name: name.rpartition(".")[2] for name in held}
    return {".".join(name.split(".")[-2:]) if leaf == "weight" else leaf
            for name, leaf in leaves.items()}


def _check(config: Any) -> None:
    for name, value in (("lora_dropout", 0.0), ("use_dora", False), ("lora_bias", False)):
        if getattr(config, name) != value:
            raise NotImplementedError(
                f"LoraConfig: {name}={getattr(config, name)!r} does not go with target_parameters "
                f"(experts, router), here as in peft. Do: {name}={value}, or name the layers of "
                "attention only")
    if isinstance(config.init_lora_weights, str) and config.init_lora_weights != "gaussian":
        raise NotImplementedError(
            f"LoraConfig: init_lora_weights={config.init_lora_weights!r} does not go with "
            "target_parameters. Do: use True or 'gaussian'")


def _settle(model: nn.Module, config: Any) -> None:
    """Take old names of layers that are parameters today out of target_modules."""
    today, wanted = _today(model), config.target_modules
    if not today or not wanted:
        return
    if isinstance(wanted, str):
        olds, named = _from_pattern(model, wanted, config, today)
    else:
        targets = {target: old for target in wanted if (old := _old(target, today)) is not None}
        olds, named = set(targets.values()), {today[old] for old in targets.values()}
        config.target_modules = set(wanted) - set(targets)
    if olds:
        _check_whole(olds, today, config)
        config.target_parameters = sorted({*(config.target_parameters or ()), *named})


def _today(model: nn.Module) -> dict[str, str]:
    """Old name of a layer -> end of the name of the parameter that it is in."""
    found = {}
    for pieces in getattr(model, "pieces", ()):
        name = pieces.name.split(".")
        for part in pieces.parts if pieces.layers else ():
            found[part.split(".")[-2]] = name[-1] if pieces.count else ".".join(name[-2:])
    return found


def _old(target: str, today: Mapping[str, str]) -> str | None:
    found = next((old for old in today if fits(target, old)), None)
    if found is not None and re.search(r"experts\.\d+\.", target):
        raise InputError(f"LoraConfig: target_modules names one expert, {target!r}, but the "
                         "experts of a layer are adapted together. Do: name "
                         f"{found!r}")
    return found


def _from_pattern(model: nn.Module, wanted: str, config: Any,
                  today: Mapping[str, str]) -> tuple[set[str], set[str]]:
    """(old names, names of parameters) that a regular expression or "all-linear" means; with them
    the configuration gets the linear layers by name."""
    layers = dict(candidates(model))
    if wanted.lower() == ALL_LINEAR:
        leaves = {path.rpartition(".")[2] for path in linears(model, layers)}
        config.target_modules = leaves - set(today)
        return set(today), set(today.values())
    olds, named = set(), set()
    for old, new in today.items():
        homes = {path: name for name, path in _parameters(model) if fits(name, new)}
        found = {name for path, name in homes.items()
                 if re.fullmatch(wanted, f"{path}.{old}")
                 or (fits(path, old) and re.fullmatch(wanted, path))}
        if found:
            olds.add(old)
            named |= {new} if len(found) == len(homes) else found
    if olds:
        config.target_modules = {path for path, module in layers.items()
                                 if isinstance(module, nn.Linear) and re.fullmatch(wanted, path)
                                 and path.rpartition(".")[2] not in today}
    return olds, named


def _check_whole(olds: set[str], today: Mapping[str, str], config: Any) -> None:
    """Layers that are one parameter today are adapted together, with the sum of their ranks."""
    for new in set(today.values()):
        joint = {old for old, name in today.items() if name == new}
        held = olds & joint
        if held and held != joint:
            raise InputError(f"LoraConfig: target_modules has {', '.join(sorted(held))} without "
                             f"{', '.join(sorted(joint - held))}, which are one parameter, "
                             f"{new!r}. Do: name all of them, or none")
        if held and len(joint) > 1:
            pattern = rf".*\.{re.escape(new)}"
            config.rank_pattern[pattern] = config.r * len(joint)
            config.alpha_pattern[pattern] = config.lora_alpha * len(joint)
