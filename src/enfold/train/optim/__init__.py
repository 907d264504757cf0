"""Optimizers, by the names of `TrainingArguments.optim`."""

from __future__ import annotations

from enfold.train.optim.groups import decay_groups, get_decay_parameter_names
from enfold.train.optim.make import make_optimizer

__all__ = ["decay_groups", "get_decay_parameter_names", "make_optimizer"]
