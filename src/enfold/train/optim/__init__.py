"""Optimizers, by the names of `TrainingArguments.optim`."""

from __future__ import annotations

from enfold.train.optim.adafactor import Adafactor, AdafactorSchedule, get_adafactor_schedule
from enfold.train.optim.groups import decay_groups, get_decay_parameter_names
from enfold.train.optim.make import get_optimizer_cls_and_kwargs, make_optimizer
from enfold.train.optim.moments import AdamW, AdEMAMix, Lion, RMSprop, StableAdamW
from enfold.train.optim.muon import Muon, muon_groups
from enfold.train.optim.schedule_free import (
    AdamWScheduleFree,
    RAdamScheduleFree,
    SGDScheduleFree,
)

__all__ = [
    "AdEMAMix",
    "Adafactor",
    "AdafactorSchedule",
    "AdamW",
    "AdamWScheduleFree",
    "Lion",
    "Muon",
    "RAdamScheduleFree",
    "RMSprop",
    "SGDScheduleFree",
    "StableAdamW",
    "decay_groups",
    "get_adafactor_schedule",
    "get_decay_parameter_names",
    "get_optimizer_cls_and_kwargs",
    "make_optimizer",
    "muon_groups",
]
