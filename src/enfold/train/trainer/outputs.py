"""What the trainer returns and hands to `compute_metrics`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch

Arrays = Any  # an array, or tuples, lists and dicts of arrays


class EvalPrediction:
    """What `compute_metrics` gets: predictions and label_ids, as arrays or tuples of arrays.

    inputs and losses: where `include_for_metrics` asks for them.  Also unpacks:
    `predictions, labels = prediction`.
    """

    def __init__(self, predictions: Arrays, label_ids: Arrays, inputs: Arrays | None = None,
                 losses: Arrays | None = None) -> None:
        self.predictions, self.label_ids = predictions, label_ids
        self.inputs, self.losses = inputs, losses
        extras = tuple(part for part in (inputs, losses) if part is not None)
        self.elements = (predictions, label_ids, *extras)

    def __iter__(self) -> Iterator[Arrays]:
        return iter(self.elements)

    def __getitem__(self, index: int) -> Arrays:
        return self.elements[index]


class EvalLoopOutput(NamedTuple):
    """What an evaluation loop gives."""

    predictions: Arrays
    label_ids: Arrays | None
    metrics: dict[str, float] | None
    num_samples: int | None


class PredictionOutput(NamedTuple):
    """What `predict` gives."""

    predictions: Arrays
    label_ids: Arrays | None
    metrics: dict[str, float] | None


class TrainOutput(NamedTuple):
    """What `train` gives: steps done, mean loss, and metrics (runtime, speed, loss)."""

    global_step: int
    training_loss: float
    metrics: dict[str, float]


class BestRun(NamedTuple):
    """The best trial of a hyperparameter search."""

    run_id: str
    objective: float | list[float]
    hyperparameters: dict[str, Any]
    run_summary: Any | None = None


def speed_metrics(split: str, start_time: float, num_samples: float | None = None,
                  num_steps: int | None = None, num_tokens: int | None = None
                  ) -> dict[str, float]:
    """Runtime in seconds since `start_time`, and samples, steps and tokens per second."""
    runtime = time.time() - start_time
    found = {f"{split}_runtime": round(runtime, 4)}
    if runtime == 0:
        return found
    if num_samples is not None:
        found[f"{split}_samples_per_second"] = round(num_samples / runtime, 3)
    if num_steps is not None:
        found[f"{split}_steps_per_second"] = round(num_steps / runtime, 3)
    if num_tokens is not None:
        found[f"{split}_tokens_per_second"] = round(num_tokens / runtime, 3)
    return found


def plain(value: Any) -> Any:
    """Metrics as JSON has them: arrays and tensors of one number are that number."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(plain(part) for part in value)
    if isinstance(value, np.generic) or (torch.is_tensor(value) and value.numel() == 1):
        return value.item()
    return value
