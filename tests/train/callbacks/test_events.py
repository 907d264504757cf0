"""Events, flags and trainer_state.json of whole runs, beside transformers' Trainer."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import transformers

from enfold.train import callbacks
from tests.families.pairs import fresh
from tests.train.trainer.runs import ours, rows, theirs

FLAGS = ("should_training_stop", "should_epoch_stop", "should_save", "should_evaluate",
         "should_log")
RUNS: dict[str, dict[str, Any]] = {
    "steps": {"max_steps": 7, "logging_steps": 2, "eval_strategy": "steps", "eval_steps": 3,
              "save_strategy": "steps", "save_steps": 4, "gradient_accumulation_steps": 2},
    "epochs": {"num_train_epochs": 2, "logging_strategy": "epoch", "eval_strategy": "epoch",
               "save_strategy": "epoch"},
    "parts of the run": {"max_steps": 10, "logging_steps": 0.25, "eval_strategy": "steps",
                         "eval_steps": 0.35, "save_strategy": "steps", "save_steps": 0.7},
    "late": {"num_train_epochs": 1, "logging_steps": 100, "logging_first_step": True,
             "eval_strategy": "steps", "eval_steps": 2, "eval_delay": 4},
    "late epochs": {"num_train_epochs": 3, "eval_strategy": "epoch", "eval_delay": 1.5},
    "nothing": {"max_steps": 2, "logging_strategy": "no"},
    "the best": {"max_steps": 6, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "best",
                 "metric_for_best_model": "loss"},
    "at the end the best": {"max_steps": 6, "eval_strategy": "steps", "eval_steps": 2,
                            "save_strategy": "steps", "save_steps": 2,
                            "load_best_model_at_end": True},
}


def recorder(base: type, stop: tuple[str, int] | None = None) -> Any:
    """A callback, of one library or the other, that notes every event; may set a flag."""

    class Recorder(base):  # type: ignore[misc]
        def __init__(self) -> None:
            self.seen: list[tuple[Any, ...]] = []

    def on(event: str) -> Any:
        def call(self: Any, args: Any, state: Any, control: Any, **given: Any) -> Any:
            logs = sorted(given.get("logs") or given.get("metrics") or ())
            self.seen.append((event, state.global_step, round(state.epoch or 0, 6),
                              *(getattr(control, flag) for flag in FLAGS), *logs))
            if stop is not None and event == "on_step_end" and state.global_step == stop[1]:
                setattr(control, stop[0], True)
                return control
            return None

        return call

    for event in callbacks.EVENTS:
        setattr(Recorder, event, on(event))
    return Recorder()


def both(tmp_path: Path, options: dict[str, Any], extra: Any = None, **arguments: Any
         ) -> tuple[Any, Any, Any, Any]:
    """Our run and theirs, and their recorders."""
    pair, data = fresh("bert", "ForSequenceClassification"), rows("classes", 20)
    made = []
    for library, make, model in ((callbacks, ours, pair.ours), (transformers, theirs, pair.theirs)):
        note = recorder(library.TrainerCallback, **options)
        told = [note, *(make_one(library) for make_one in extra or ())]
        trainer = make(model, tmp_path / library.__name__.partition('.')[0], data,
                       options={"callbacks": told, "eval_dataset": data[:8]},
                       per_device_train_batch_size=4, **arguments)
        trainer.train()
        made += [trainer, note]
    return made[0], made[1], made[2], made[3]


@pytest.mark.parametrize("name", RUNS)
def test_events_and_state(name: str, tmp_path: Path) -> None:
    mine, noted, other, expected = both(tmp_path, {}, **RUNS[name])
    assert noted.seen == expected.seen
    # theirs logs the sum over the batches of a step for this model, ours the mean
    same_state(asdict(mine.state), asdict(other.state),
               "gradient_accumulation_steps" not in RUNS[name])


@pytest.mark.parametrize("flag", FLAGS)
def test_flags_that_a_callback_sets(flag: str, tmp_path: Path) -> None:
    _, noted, _, expected = both(tmp_path, {"stop": (flag, 2)}, num_train_epochs=2,
                                 logging_steps=100)
    assert noted.seen == expected.seen


def test_early_stopping(tmp_path: Path) -> None:
    options = {"max_steps": 12, "eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps",
               "save_steps": 2, "load_best_model_at_end": True, "learning_rate": 1e-9,
               "metric_for_best_model": "loss", "greater_is_better": False}
    mine, noted, other, expected = both(
        tmp_path, {}, [lambda library: library.EarlyStoppingCallback(2, 0.1)], **options)
    assert noted.seen == expected.seen
    assert mine.state.global_step == 6
    same_state(asdict(mine.state), asdict(other.state))
    path = tmp_path / "enfold" / "checkpoint-6" / "trainer_state.json"
    theirs_too = tmp_path / "transformers" / "checkpoint-6" / "trainer_state.json"
    same_state(json.loads(path.read_text()), json.loads(theirs_too.read_text()))
    assert transformers.TrainerState.load_from_json(str(path)).global_step == 6
    assert callbacks.TrainerState.load_from_json(theirs_too).stateful_callbacks[
        "EarlyStoppingCallback"]["args"]["early_stopping_patience"] == 2


def same_state(mine: dict[str, Any], other: dict[str, Any], numbers: bool = True) -> None:
    """Equal fields; of numbers that depend on the clock, the names."""
    assert list(mine) == list(other)
    for name, value in other.items():
        if name == "log_history":
            assert [sorted(row) for row in mine[name]] == [sorted(row) for row in value]
            compared = ("loss", "eval_loss", "learning_rate", "grad_norm") if numbers else ()
            for row, theirs_row in zip(mine[name], value, strict=True):
                for key in ("step", "epoch", *compared):
                    assert row.get(key) == pytest.approx(theirs_row.get(key), abs=1e-4), key
        elif name == "best_model_checkpoint" and value:
            assert Path(mine[name]).name == Path(value).name
        elif name == "stateful_callbacks":
            assert not mine[name] or mine[name] == value
        elif isinstance(value, float):
            assert mine[name] == pytest.approx(value, rel=1e-4), name
        else:
            assert mine[name] == value, name


def test_fields_are_those_of_the_file() -> None:
    assert [one.name for one in fields(callbacks.TrainerState)] == [
        one.name for one in fields(transformers.TrainerState)]
    mine, other = callbacks.TrainerState(), transformers.TrainerState()
    assert asdict(mine) == asdict(other)
    assert asdict(callbacks.TrainerControl()) == asdict(transformers.TrainerControl())
    assert callbacks.TrainerControl().state() == transformers.TrainerControl().state()
    assert set(callbacks.EVENTS) == {name for name in vars(transformers.TrainerCallback)
                                     if name.startswith("on_")}
