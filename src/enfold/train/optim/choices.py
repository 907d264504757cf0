"""The table of optimizers: what each name of `TrainingArguments.optim` builds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from enfold.errors import InputError
from enfold.train.arguments.names import OptimizerNames as Names
from enfold.train.optim import moments, schedule_free
from enfold.train.optim.adafactor import Adafactor
from enfold.train.optim.muon import Muon
from enfold.train.optim.quick import light

if TYPE_CHECKING:
    from enfold.train.arguments import TrainingArguments

Settings = dict[str, Any]


def true(word: str) -> bool:
    """A yes or no of `optim_args`."""
    if word.lower() not in ("true", "1", "yes", "false", "0", "no"):
        raise ValueError(f"{word!r} is not true or false")
    return word.lower() in ("true", "1", "yes")


@dataclass(frozen=True)
class Choice:
    """A class, what it takes from the arguments, and the keys of `optim_args` it knows."""

    make: type[Optimizer]
    given: Callable[[TrainingArguments], Settings] = lambda args: {}
    options: dict[str, Callable[[str], Any]] = field(default_factory=dict)
    fixed: Settings = field(default_factory=dict)


def _adam(args: TrainingArguments) -> Settings:
    return {"betas": (args.adam_beta1, args.adam_beta2), "eps": args.adam_epsilon}


def _betas(args: TrainingArguments) -> Settings:
    return {"betas": (args.adam_beta1, args.adam_beta2)}


def _three_betas(args: TrainingArguments) -> Settings:
    return {"betas": (args.adam_beta1, args.adam_beta2, 0.9999), "eps": args.adam_epsilon}


def _warmup(args: TrainingArguments) -> Settings:
    if 0 < args.warmup_steps < 1:
        raise InputError(
            f"optim={Names(args.optim).value!r} does its own warmup: got the fraction "
            f"warmup_steps={args.warmup_steps}; give a number of steps"
        )
    return {"warmup_steps": int(args.warmup_steps)}


def _adam_and_warmup(args: TrainingArguments) -> Settings:
    return _adam(args) | _warmup(args)


Options = dict[str, Callable[[str], Any]]
EIGHT = {"optim_bits": 8}
BITS: Options = {"min_8bit_size": int}
AVERAGE: Options = {"r": float, "weight_lr_power": float}
SLOW: Options = {
    "beta1": float, "beta2": float, "beta3": float, "alpha": float, "eps": float,
    "t_alpha": int, "t_beta3": int,
}  # fmt: skip
RMS: Options = {"alpha": float, "eps": float}

_adamw = light(torch.optim.AdamW)
_adamw8 = Choice(moments.AdamW, _adam, BITS, EIGHT)
_ademamix = Choice(moments.AdEMAMix, _three_betas, SLOW)
_ademamix8 = Choice(moments.AdEMAMix, _three_betas, SLOW | BITS, EIGHT)
_lion = Choice(moments.Lion, _betas)
_lion8 = Choice(moments.Lion, _betas, BITS, EIGHT)
_rmsprop = Choice(
    light(torch.optim.RMSprop),
    options={"momentum": float, "alpha": float, "eps": float, "centered": true},
)

CHOICES: dict[Names, Choice] = {
    Names.ADAMW_TORCH: Choice(_adamw, _adam),
    Names.ADAMW_TORCH_FUSED: Choice(_adamw, _adam, fixed={"fused": True}),
    Names.ADAFACTOR: Choice(Adafactor, fixed={"scale_parameter": False, "relative_step": False}),
    Names.SGD: Choice(
        light(torch.optim.SGD), options={"momentum": float, "dampening": float, "nesterov": true}
    ),
    Names.ADAGRAD: Choice(light(torch.optim.Adagrad), options={"lr_decay": float, "eps": float}),
    Names.RMSPROP: _rmsprop,
    Names.RMSPROP_BNB: Choice(moments.RMSprop, options=RMS),
    Names.RMSPROP_32BIT: Choice(moments.RMSprop, options=RMS),
    Names.RMSPROP_8BIT: Choice(moments.RMSprop, options=RMS | BITS, fixed=EIGHT),
    Names.ADAMW_TORCH_8BIT: _adamw8,
    Names.ADAMW_BNB: _adamw8,
    Names.ADAMW_8BIT: _adamw8,
    Names.PAGED_ADAMW_8BIT: _adamw8,
    Names.PAGED_ADAMW: Choice(moments.AdamW, _adam),
    Names.LION: _lion,
    Names.PAGED_LION: _lion,
    Names.LION_8BIT: _lion8,
    Names.PAGED_LION_8BIT: _lion8,
    Names.ADEMAMIX: _ademamix,
    Names.PAGED_ADEMAMIX: _ademamix,
    Names.ADEMAMIX_8BIT: _ademamix8,
    Names.PAGED_ADEMAMIX_8BIT: _ademamix8,
    Names.STABLE_ADAMW: Choice(moments.StableAdamW, _adam),
    Names.SCHEDULE_FREE_SGD: Choice(
        schedule_free.SGDScheduleFree, _warmup, AVERAGE | {"momentum": float}
    ),
    Names.SCHEDULE_FREE_ADAMW: Choice(schedule_free.AdamWScheduleFree, _adam_and_warmup, AVERAGE),
    Names.SCHEDULE_FREE_RADAM: Choice(
        schedule_free.RAdamScheduleFree, _adam, AVERAGE | {"silent_sgd_phase": true}
    ),
    Names.MUON: Choice(
        Muon,
        _adam,
        {"momentum": float, "nesterov": true, "ns_steps": int, "adjust_lr_fn": str},
    ),
}

GALORE = "use optim='adafactor', 'adamw_8bit' or an adapter to save memory"
NOT_HERE: dict[Names, str] = {
    Names.ADAMW_TORCH_XLA: "it is for TPUs; use 'adamw_torch'",
    Names.ADAMW_TORCH_NPU_FUSED: "it is for NPUs; use 'adamw_torch'",
    Names.ADAMW_APEX_FUSED: "it is apex's; use 'adamw_torch_fused'",
    Names.ADAMW_ANYPRECISION: "use 'adamw_torch' with bf16=True, or 'adamw_8bit'",
    Names.ADAMW_TORCH_4BIT: "use 'adamw_8bit'",
    Names.GROKADAMW: "use 'adamw_torch'",
    **{
        name: GALORE
        for name in Names
        if name.value.startswith(("galore", "apollo", "lomo", "adalomo"))
    },
}
