"""Callbacks one by one: what they show, decide and refuse."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from enfold.errors import ConfigError, InputError
from enfold.train.callbacks import (
    CallbackHandler,
    DefaultFlowCallback,
    EarlyStoppingCallback,
    ExportableState,
    PrinterCallback,
    ProgressCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
)
from enfold.train.callbacks.table import EvaluationTable

ARGS = SimpleNamespace(metric_for_best_model="accuracy", greater_is_better=True,
                       eval_strategy="epoch", load_best_model_at_end=True)


def handler(*callbacks: Any) -> CallbackHandler:
    return CallbackHandler([DefaultFlowCallback, *callbacks], "model", "tokenizer", None, None)


def test_handler_adds_finds_and_removes() -> None:
    class Mine(TrainerCallback):
        pass

    one, two = Mine(), Mine()
    told = handler(one, two)
    assert told.callback_list == "DefaultFlowCallback\nMine\nMine"
    assert told.pop_callback(Mine) is one and told.pop_callback(two) is two
    assert told.pop_callback(Mine) is None
    told.remove_callback(Mine)
    told.add_callback(PrinterCallback)
    told.remove_callback(PrinterCallback)
    assert told.callback_list == "DefaultFlowCallback"
    with pytest.raises(InputError, match="a Mine that is not among"):
        told.remove_callback(one)
    with pytest.raises(InputError, match="class object has no on_init_end"):
        told.add_callback(object())


def test_the_control_that_is_returned_goes_on() -> None:
    class Swaps(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> Any:
            return TrainerControl(should_save=True)

    seen = []

    class Sees(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None,
                        processing_class: Any = None, **given: Any) -> None:
            seen.append((control.should_save, model, processing_class, sorted(given)))

    args = SimpleNamespace(logging_first_step=False, logging_strategy="no", eval_strategy="no",
                           save_strategy="no")
    control = handler(Swaps, Sees).on_step_end(args, TrainerState(max_steps=9), TrainerControl())
    assert control.should_save
    assert seen == [(True, "model", "tokenizer", ["eval_dataloader", "lr_scheduler", "optimizer",
                                                  "train_dataloader"])]


def test_warnings(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        CallbackHandler([PrinterCallback, PrinterCallback], None, None, None, None)
    assert "two callbacks of class PrinterCallback" in caplog.text
    assert "no callback decides when to log" in caplog.text


# ---- state ---------------------------------------------------------------------------------------
def test_state_is_written_and_read(tmp_path: Path) -> None:
    state = TrainerState(global_step=3, log_history=[{"loss": np.float32(0.5), "step": 3}],
                         stateful_callbacks=[EarlyStoppingCallback(3), TrainerControl(),
                                             EarlyStoppingCallback(4)])
    state.save_to_json(tmp_path / "s.json")
    again = TrainerState.load_from_json(tmp_path / "s.json")
    assert again.log_history == [{"loss": 0.5, "step": 3}]
    stops = again.stateful_callbacks["EarlyStoppingCallback"]
    assert [EarlyStoppingCallback.from_state(one).early_stopping_patience for one in stops] == [
        3, 4]
    assert list(json.loads((tmp_path / "s.json").read_text())) == sorted(vars(state))


def test_state_of_another_version(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "s.json").write_text('{"global_step": 2, "newer": 1}')
    assert TrainerState.load_from_json(tmp_path / "s.json").global_step == 2
    assert "fields newer" in caplog.text
    (tmp_path / "s.json").write_text('{"global_step"')
    with pytest.raises(ConfigError, match="s.json"):
        TrainerState.load_from_json(tmp_path / "s.json")


def test_state_refuses(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has a DefaultFlowCallback, expected an ExportableState"):
        TrainerState(stateful_callbacks=[DefaultFlowCallback()])
    with pytest.raises(NotImplementedError, match="ExportableState without state"):
        ExportableState().state()
    with pytest.raises(ConfigError, match="of class object, expected numbers"):
        TrainerState(log_history=[{"x": object()}]).save_to_json(tmp_path / "s.json")


# ---- early stopping ------------------------------------------------------------------------------
@pytest.mark.parametrize(("greater", "threshold", "values", "stops"), [
    (True, 0.0, [0.5, 0.6, 0.6, 0.6], [False, False, False, True]),
    (False, 0.0, [0.5, 0.6, 0.4, 0.4, 0.5], [False, False, False, False, True]),
    (True, 0.2, [0.5, 0.6, 0.65], [False, False, True])])
def test_early_stopping(greater: bool, threshold: float, values: list[float],
                        stops: list[bool]) -> None:
    args = SimpleNamespace(**{**vars(ARGS), "greater_is_better": greater})
    stop, state, found = EarlyStoppingCallback(2, threshold), TrainerState(), []
    for value in values:
        control = TrainerControl()
        stop.on_evaluate(args, state, control, metrics={"eval_accuracy": value})
        found.append(control.should_training_stop)
        best = state.best_metric
        if best is None or (value > best if greater else value < best):
            state.best_metric = value
    assert found == stops


@pytest.mark.parametrize(("changes", "message"), [
    ({"metric_for_best_model": None}, "metric_for_best_model is None"),
    ({"eval_strategy": "no"}, "eval_strategy is 'no'")])
def test_early_stopping_refuses(changes: dict[str, Any], message: str) -> None:
    args = SimpleNamespace(**{**vars(ARGS), **changes})
    with pytest.raises(ConfigError, match=message):
        EarlyStoppingCallback().on_train_begin(args, TrainerState(), TrainerControl())


def test_early_stopping_warns(caplog: pytest.LogCaptureFixture) -> None:
    stop, control = EarlyStoppingCallback(), TrainerControl()
    args = SimpleNamespace(**{**vars(ARGS), "load_best_model_at_end": False})
    stop.on_train_begin(args, TrainerState(), control)
    for _ in range(2):
        stop.on_evaluate(args, TrainerState(), control, metrics={"eval_loss": 1.0})
    assert "the last one, not the best" in caplog.text
    assert caplog.text.count("has no eval_accuracy") == 1 and not control.should_training_stop


# ---- what is shown -------------------------------------------------------------------------------
def test_printer(capsys: pytest.CaptureFixture[str]) -> None:
    logs = {"loss": 0.123456, "total_flos": 3, "n": 2}
    PrinterCallback().on_log(ARGS, TrainerState(), TrainerControl(), logs=logs)
    PrinterCallback().on_log(ARGS, TrainerState(is_local_process_zero=False), TrainerControl(),
                             logs=logs)
    assert capsys.readouterr().out == "{'loss': '0.1235', 'n': 2}\n"
    assert logs["total_flos"] == 3


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    bar, state, control = ProgressCallback(max_str_len=5), TrainerState(max_steps=4), None
    bar.on_train_begin(ARGS, state, control)
    for step in (1, 2):
        state.global_step, state.epoch = step, step / 2
        bar.on_step_end(ARGS, state, control)
        state.log_history.append({"loss": 1.0 / step})
        bar.on_log(ARGS, state, control, logs={"loss": 1.0 / step, "note": "too long"})
        bar.on_prediction_step(ARGS, state, control, eval_dataloader=[1, 2])
        metrics = {"eval_accuracy": step / 4, "eval_loss": 1.0, "eval_runtime": 1.0, "epoch": 1.0}
        bar.on_log(ARGS, state, control, logs=metrics)
        bar.on_evaluate(ARGS, state, control, metrics=metrics)
        state.best_metric = step / 4
    assert bar.training_bar.n == 2 and bar.prediction_bar is None
    bar.on_train_end(ARGS, state, control)
    out = capsys.readouterr()
    assert [line.split() for line in out.out.splitlines() if "loss'" not in line] == [
        ["step", "epoch", "loss", "eval_loss", "accuracy"],
        ["1", "0.50", "1.0000", "1.0000", "0.2500", "*"],
        ["2", "1.00", "0.5000", "1.0000", "0.5000", "*"]]
    assert "[a text of 8 characters; max_str_len is 5]" in out.out
    assert "loss=0.5" in out.err and "2/4" in out.err


def test_progress_of_other_ranks_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    bar, state = ProgressCallback(), TrainerState(max_steps=2, is_world_process_zero=False)
    for event in ("on_train_begin", "on_step_end", "on_evaluate", "on_train_end"):
        getattr(bar, event)(ARGS, state, None)
    bar.on_log(ARGS, state, None, logs={"loss": 1.0})
    bar.on_prediction_step(ARGS, state, None, eval_dataloader=[1])
    assert capsys.readouterr() == ("", "")


def test_table_has_a_new_head_for_new_columns() -> None:
    table = EvaluationTable()
    assert len(table.lines(1, 0.5, None, {"eval_loss": 1.0})) == 2
    assert len(table.lines(2, 1.0, 0.5, {"eval_loss": 1.0})) == 1
    assert table.lines(2, None, 1e-7, {"eval_loss": 123456.0})[-1].split() == [
        "2", "-", "1.000e-07", "1.235e+05"]
    assert len(table.lines(3, 1.0, 1.0, {"eval_loss": 1.0, "eval_f1": np.float64(0.5)})) == 2
