"""What a run shows: a bar with loss, rate and time left, and a table of its evaluations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tqdm.auto import tqdm

from enfold.train.callbacks.callback import TrainerCallback
from enfold.train.callbacks.state import TrainerControl, TrainerState
from enfold.train.callbacks.table import EvaluationTable

BESIDE = {"loss": "loss", "learning_rate": "lr", "grad_norm": "norm"}  # beside the bar


class ProgressCallback(TrainerCallback):
    """Bars of training and evaluation; logs are written above them.

    max_str_len: texts in logs that are longer are left out, with their length.
    """

    def __init__(self, max_str_len: int = 100) -> None:
        self.training_bar: Any = None
        self.prediction_bar: Any = None
        self.max_str_len = max_str_len
        self.current_step = 0
        self.table = EvaluationTable()

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl,
                       **kwargs: Any) -> None:
        if state.is_world_process_zero:
            self.table = EvaluationTable()
            self.training_bar = tqdm(total=state.max_steps, initial=state.global_step,
                                     dynamic_ncols=True, unit="step")
        self.current_step = state.global_step

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl,
                    **kwargs: Any) -> None:
        if self.training_bar is not None:
            self.training_bar.update(state.global_step - self.current_step)
        self.current_step = state.global_step

    def on_prediction_step(self, args: Any, state: TrainerState, control: TrainerControl,
                           eval_dataloader: Any = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero or not _has_length(eval_dataloader):
            return
        if self.prediction_bar is None:
            self.prediction_bar = tqdm(total=len(eval_dataloader), dynamic_ncols=True,
                                       leave=self.training_bar is None)
        self.prediction_bar.update(1)

    def on_evaluate(self, args: Any, state: TrainerState, control: TrainerControl,
                    metrics: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        self._close_prediction()
        if self.training_bar is not None and metrics:
            loss = last(state, "loss")
            lines = self.table.lines(state.global_step, state.epoch, loss, metrics,
                                     is_best(args, state, metrics))
            self.training_bar.write("\n".join(lines))

    def on_predict(self, args: Any, state: TrainerState, control: TrainerControl, metrics: Any,
                   **kwargs: Any) -> None:
        self._close_prediction()

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl,
               logs: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        if self.training_bar is None or not logs:
            return
        if any(name.startswith("eval_") for name in logs):
            return  # the table has them
        beside = {short: short_number(logs[name]) for name, short in BESIDE.items() if name in logs}
        if beside:
            self.training_bar.set_postfix(beside)
        if not beside or self.training_bar.disable or not _is_terminal(self.training_bar):
            self.training_bar.write(str(readable(logs, self.max_str_len)))

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl,
                     **kwargs: Any) -> None:
        self.close()

    def tell(self, text: str) -> None:
        """A line above the bar."""
        if self.training_bar is not None:
            self.training_bar.write(text)

    def close(self) -> None:
        """End the bars where they are."""
        self._close_prediction()
        if self.training_bar is not None:
            self.training_bar.close()
        self.training_bar = None

    def _close_prediction(self) -> None:
        if self.prediction_bar is not None:
            self.prediction_bar.close()
        self.prediction_bar = None


class PrinterCallback(TrainerCallback):
    """Prints the logs, a dict each: where bars are of no use."""

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl,
               logs: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        if state.is_local_process_zero and logs is not None:
            print(readable(logs))

    def tell(self, text: str) -> None:
        """A line."""
        print(text)


def readable(logs: Mapping[str, Any], longest: int | None = None) -> dict[str, Any]:
    """Logs with four digits of each number and without long texts and `total_flos`."""
    found = {name: short_number(value) for name, value in logs.items() if name != "total_flos"}
    for name, value in logs.items():
        if longest is not None and isinstance(value, str) and len(value) > longest:
            found[name] = f"[a text of {len(value)} characters; max_str_len is {longest}]"
    return found


def short_number(value: Any) -> Any:
    """A float as text of four digits; anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else value


def last(state: TrainerState, name: str) -> float | None:
    """The value of that name that was logged last."""
    return next((row[name] for row in reversed(state.log_history) if name in row), None)


def is_best(args: Any, state: TrainerState, metrics: Mapping[str, Any]) -> bool:
    """Whether an evaluation is better than the best before it; False if nothing says what that is.

    The loop takes note of a best one only after the callbacks have heard of it.
    """
    name = getattr(args, "metric_for_best_model", None)
    if not name:
        return False
    name = name if name.startswith("eval_") else f"eval_{name}"
    if name not in metrics:
        return False
    value, before = float(metrics[name]), state.best_metric
    return before is None or (value > before if args.greater_is_better else value < before)


def _has_length(loader: Any) -> bool:
    try:
        return len(loader) is not None
    except (TypeError, AttributeError, NotImplementedError):
        return False


def _is_terminal(bar: Any) -> bool:
    isatty = getattr(getattr(bar, "fp", None), "isatty", None)
    return isatty is not None and bool(isatty())
