"""Reporters: what reaches files, and the services' own calls, by stand-ins for their packages."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest

from enfold.errors import ConfigError, DependencyError
from enfold.train.callbacks import (
    TrainerControl,
    TrainerState,
    get_reporting_integration_callbacks,
)
from enfold.train.callbacks.reporters import get_available_reporting_integrations, rewrite_logs
from enfold.train.callbacks.reporters.mlflow import flattened
from enfold.train.callbacks.reporters.tables import CSVCallback, JSONCallback

LOGS = [{"loss": 1.0, "epoch": 0.5}, {"eval_loss": 2.0, "eval_f1": 0.5, "epoch": 1.0},
        {"loss": 0.5, "epoch": 1.0}]


def arguments(folder: Path, **changes: Any) -> Any:
    return SimpleNamespace(output_dir=str(folder), run_name=None, logging_dir=str(folder / "tb"),
                           to_dict=lambda: {"lr": 1}, to_json_string=lambda: "{}", **changes)


def run(callback: Any, args: Any, logs: list[dict[str, Any]] = LOGS, start: int = 0) -> None:
    """A run with a log at each step from `start` on."""
    state, control = TrainerState(global_step=start), TrainerControl()
    model = SimpleNamespace(config=SimpleNamespace(to_dict=lambda: {"dim": 8, "lr": 0},
                                                   to_json_string=lambda: "{}"),
                            num_parameters=lambda: 7)
    callback.on_train_begin(args, state, control, model=model)
    for row in logs:
        state.global_step += 1
        callback.on_log(args, state, control, logs=row, model=model)
    callback.on_save(args, state, control, model=model)
    callback.on_train_end(args, state, control, model=model)


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    get = get_reporting_integration_callbacks
    assert get(None) == get("none") == get([]) == []
    assert get(["csv", "json"]) == [CSVCallback, JSONCallback]
    assert [one.__name__ for one in get(["tensorboard", "wandb", "mlflow"])] == [
        "TensorBoardCallback", "WandbCallback", "MLflowCallback"]
    assert set(get_available_reporting_integrations()) <= {"tensorboard", "wandb", "mlflow"}
    assert len(get("all")) == len(get_available_reporting_integrations())
    with pytest.raises(ConfigError, match=r"got 'tensorbord'.*nearest: 'tensorboard'"):
        get("tensorbord")
    with pytest.raises(NotImplementedError, match="report_to='comet_ml'"):
        get(["comet_ml"])


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_without_the_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DependencyError, match=f"pip install {name}"):
        get_reporting_integration_callbacks(name)[0]()


def test_csv_and_json(tmp_path: Path) -> None:
    for callback in (CSVCallback(), JSONCallback()):
        run(callback, arguments(tmp_path))
    with (tmp_path / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["step", "epoch", "loss", "eval_loss", "eval_f1"]
    assert [row["loss"] for row in rows] == ["1.0", "", "0.5"]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines[1] == {"step": 2, "epoch": 1.0, "eval_loss": 2.0, "eval_f1": 0.5}


def test_files_of_a_resumed_run_go_on(tmp_path: Path) -> None:
    for make in (CSVCallback, JSONCallback):
        run(make(), arguments(tmp_path))
        run(make(), arguments(tmp_path), [{"loss": 0.25}], start=2)
        late = TrainerState(global_step=3)  # an evaluation by a Trainer that did not train
        make().on_log(arguments(tmp_path), late, TrainerControl(), logs={"eval_loss": 9.0})
    with (tmp_path / "metrics.csv").open() as file:
        assert [(row["step"], row["loss"]) for row in csv.DictReader(file)] == [
            ("1", "1.0"), ("2", ""), ("3", "0.25"), ("3", "")]
    steps = [json.loads(line)["step"] for line in
             (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 3]
    run(JSONCallback(), arguments(tmp_path))
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3


def test_names_of_dashboards() -> None:
    assert rewrite_logs({"loss": 1, "eval_loss": 2, "test_f1": 3, "eval": 4}) == {
        "train/loss": 1, "eval/loss": 2, "test/f1": 3, "train/eval": 4}


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run(get_reporting_integration_callbacks("tensorboard")[0](), arguments(tmp_path))
    events = EventAccumulator(str(tmp_path / "tb"))
    events.Reload()
    assert [(one.step, one.value) for one in events.Scalars("train/loss")] == [(1, 1.0), (3, 0.5)]
    assert events.Scalars("eval/f1")[0].value == 0.5


def test_tensorboard_with_a_writer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from enfold.train.callbacks.reporters.tensorboard import TensorBoardCallback

    writer = MagicMock()
    run(TensorBoardCallback(writer), arguments(tmp_path), [{"loss": 1.0, "t": "a", "x": [1]}])
    writer.add_scalar.assert_called_once_with("train/loss", 1.0, 1)
    writer.add_text.assert_called_with("train/t", "a", 1)
    assert "train/x of class list is left out" in caplog.text
    writer.close.assert_called_once()


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = MagicMock(run=None)
    package.init.side_effect = lambda **given: setattr(package, "run", MagicMock(summary={}))
    monkeypatch.setitem(sys.modules, "wandb", package)
    monkeypatch.setenv("WANDB_PROJECT", "p")
    make = get_reporting_integration_callbacks("wandb")[0]
    run(make(), arguments(tmp_path), [*LOGS, {"train_runtime": 3.0}])
    package.init.assert_called_once_with(project="p")
    package.config.update.assert_any_call({"dim": 8, "lr": 1}, allow_val_change=True)
    assert package.log.call_args_list[1].args[0] == {
        "eval/loss": 2.0, "eval/f1": 0.5, "train/epoch": 1.0, "train/global_step": 2}
    assert package.run.summary == {"train_runtime": 3.0}
    monkeypatch.setenv("WANDB_LOG_MODEL", "end")
    with pytest.raises(ConfigError, match="which is not there"):
        run(make(), arguments(tmp_path))
    (tmp_path / "checkpoint-3").mkdir()
    run(make(), arguments(tmp_path))
    package.log_artifact.assert_called_once()
    monkeypatch.setenv("WANDB_LOG_MODEL", "yes")
    with pytest.raises(ConfigError, match="WANDB_LOG_MODEL is 'yes'"):
        make()


def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                caplog: pytest.LogCaptureFixture) -> None:
    package = MagicMock(spec=ModuleType)
    package.configure_mock(active_run=MagicMock(side_effect=[None, "run"]), start_run=MagicMock(),
                           log_params=MagicMock(), log_metrics=MagicMock(), end_run=MagicMock(),
                           set_tags=MagicMock(), log_artifacts=MagicMock(),
                           set_experiment=MagicMock())
    package.utils = SimpleNamespace(validation=SimpleNamespace(MAX_PARAM_VAL_LENGTH=5))
    monkeypatch.setitem(sys.modules, "mlflow", package)
    monkeypatch.setenv("MLFLOW_TAGS", '{"a": "b"}')
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "e")
    monkeypatch.setenv("HF_MLFLOW_LOG_ARTIFACTS", "1")
    args = arguments(tmp_path)
    args.to_dict = lambda: {"lr": 1, "long": "a long value"}
    run(get_reporting_integration_callbacks("mlflow")[0](), args, [{"loss(x)": 1, "s": "text"}])
    package.set_experiment.assert_called_once_with("e")
    package.set_tags.assert_called_once_with({"a": "b"})
    package.log_params.assert_called_once_with({"dim": 8, "lr": 1})
    package.log_metrics.assert_called_once_with(metrics={"loss_x_": 1.0}, step=1)
    package.log_artifacts.assert_called_once_with(str(tmp_path / "checkpoint-1"), "checkpoint-1")
    package.end_run.assert_called_once()
    assert "long left out" in caplog.text and "s left out" in caplog.text
    assert flattened({"a": {"b": 1, "c": {}}, "d": 2}) == {"a.b": 1, "a.c": {}, "d": 2}
