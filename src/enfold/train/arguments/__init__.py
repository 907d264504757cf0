"""TrainingArguments and the words it takes."""

from __future__ import annotations

from enfold.train.arguments.names import (
    DebugOption,
    EvaluationStrategy,
    ExplicitEnum,
    FSDPOption,
    HubStrategy,
    IntervalStrategy,
    OptimizerNames,
    ParallelMode,
    SaveStrategy,
    SchedulerType,
)
from enfold.train.arguments.training import Seq2SeqTrainingArguments, TrainingArguments

__all__ = [
    "DebugOption",
    "EvaluationStrategy",
    "ExplicitEnum",
    "FSDPOption",
    "HubStrategy",
    "IntervalStrategy",
    "OptimizerNames",
    "ParallelMode",
    "SaveStrategy",
    "SchedulerType",
    "Seq2SeqTrainingArguments",
    "TrainingArguments",
]
