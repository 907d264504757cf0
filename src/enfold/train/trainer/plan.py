"""How long a run is: steps, epochs, batches."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import Any

from enfold.errors import ConfigError
from enfold.train.trainer.batches import has_length


@dataclass(frozen=True)
class Plan:
    """A run in numbers.

    steps: of the optimizer, in all.  epochs: begun, the last one perhaps not ended.
    epoch_steps: optimizer steps of an epoch.  epoch_batches: batches of an epoch on this rank.
    accumulate: batches of a step.  rows: of an epoch, on all ranks.  together: rows of a step.
    seen: rows of the run.
    """

    steps: int
    epochs: int
    epoch_steps: int
    epoch_batches: int
    accumulate: int
    rows: int
    together: int
    seen: float


def make_plan(args: Any, loader: Any, batch_size: float, rows: int | None) -> Plan:
    """The plan for a loader of batches of that many rows, on average.

    One without a length needs `args.max_steps`.
    """
    accumulate = int(args.gradient_accumulation_steps)
    together = round(batch_size * accumulate * int(args.world_size))
    limited = args.max_steps > 0
    if not has_length(loader):
        if not limited:
            raise ConfigError("the training data has no length, so num_train_epochs says nothing "
                              "about how long to train, and max_steps is "
                              f"{args.max_steps}. Do: TrainingArguments(max_steps=...)")
        steps = int(args.max_steps)
        return Plan(steps, sys.maxsize, steps, steps * accumulate, accumulate, together * steps,
                    together, together * steps)
    batches = len(loader)
    if not batches:
        raise ConfigError("the training data gives no batch. Do: give it rows, or set "
                          "dataloader_drop_last=False where there are fewer than a batch")
    epoch_steps = -(-batches // accumulate)
    rows = round(batches * batch_size) if rows is None else rows
    if limited:
        steps = int(args.max_steps)
        return Plan(steps, -(-steps // epoch_steps), epoch_steps, batches, accumulate, rows,
                    together, steps * together)
    steps = math.ceil(args.num_train_epochs * epoch_steps)
    return Plan(steps, math.ceil(args.num_train_epochs), epoch_steps, batches, accumulate, rows,
                together, rows * float(args.num_train_epochs))
