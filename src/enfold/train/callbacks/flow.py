"""The callbacks that decide: when to log, evaluate and save, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping
from logging import getLogger
from typing import Any

from enfold.errors import ConfigError
from enfold.train.callbacks.callback import TrainerCallback
from enfold.train.callbacks.state import ExportableState, TrainerControl, TrainerState

_log = getLogger(__name__)
STEPS, EPOCH, NO = "steps", "epoch", "no"


class DefaultFlowCallback(TrainerCallback):
    """Logs, evaluates and saves by the arguments' strategies."""

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl,
                    **kwargs: Any) -> TrainerControl:
        step, last = state.global_step, state.global_step >= state.max_steps
        if (step == 1 and args.logging_first_step) or (
                args.logging_strategy == STEPS and step % state.logging_steps == 0):
            control.should_log = True
        if args.eval_strategy == STEPS and args.eval_delay <= step and (
                step % state.eval_steps == 0 or last):
            control.should_evaluate = True
        if args.save_strategy == STEPS and (
                last or (state.save_steps > 0 and step % state.save_steps == 0)):
            control.should_save = True
        if last:
            control.should_training_stop = True
        return control

    def on_epoch_end(self, args: Any, state: TrainerState, control: TrainerControl,
                     **kwargs: Any) -> TrainerControl:
        if args.logging_strategy == EPOCH:
            control.should_log = True
        if args.eval_strategy == EPOCH and args.eval_delay <= (state.epoch or 0):
            control.should_evaluate = True
        if args.save_strategy == EPOCH:
            control.should_save = True
        return control


class EarlyStoppingCallback(TrainerCallback, ExportableState):
    """Stops once `metric_for_best_model` was no better for so many evaluations in a row.

    early_stopping_patience: how many.  early_stopping_threshold: by more than this a value must be
    better to count.
    """

    def __init__(self, early_stopping_patience: int = 1,
                 early_stopping_threshold: float | None = 0.0) -> None:
        self.early_stopping_patience = early_stopping_patience
        self.early_stopping_threshold = early_stopping_threshold
        self.early_stopping_patience_counter = 0
        self._warned = False

    def check_metric_value(self, args: Any, state: TrainerState, control: TrainerControl,
                           metric_value: float) -> None:
        """Count an evaluation that is not better than the best so far."""
        best = state.best_metric
        if best is not None:
            gain = metric_value - best if args.greater_is_better else best - metric_value
            if not (gain > 0 and gain > (self.early_stopping_threshold or 0.0)):
                self.early_stopping_patience_counter += 1
                return
        self.early_stopping_patience_counter = 0

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl,
                       **kwargs: Any) -> None:
        if args.metric_for_best_model is None:
            raise ConfigError("EarlyStoppingCallback: metric_for_best_model is None, expected the "
                              "metric to watch. Do: TrainingArguments(metric_for_best_model="
                              "'loss', ...)")
        if args.eval_strategy == NO:
            raise ConfigError("EarlyStoppingCallback: eval_strategy is 'no', expected 'steps' or "
                              "'epoch': it looks at evaluations. Do: TrainingArguments("
                              "eval_strategy='epoch', ...)")
        if not args.load_best_model_at_end:
            _log.warning("EarlyStoppingCallback without load_best_model_at_end=True: the model at "
                         "the end is the last one, not the best")

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl,
                    metrics: Mapping[str, float] | None = None, **kwargs: Any) -> None:
        name = args.metric_for_best_model
        name = name if name.startswith("eval_") else f"eval_{name}"
        value = (metrics or {}).get(name)
        if value is None:
            if not self._warned:  # one of several evaluation sets has it, perhaps
                _log.warning("EarlyStoppingCallback: this evaluation has no %s, and does not "
                             "count; it has %s", name, ", ".join(metrics or ()))
            self._warned = True
            return
        self.check_metric_value(args, state, control, value)
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True

    def state(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {"args": {"early_stopping_patience": self.early_stopping_patience,
                         "early_stopping_threshold": self.early_stopping_threshold},
                "attributes": {"early_stopping_patience_counter":
                               self.early_stopping_patience_counter}}
