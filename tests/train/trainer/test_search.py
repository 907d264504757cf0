"""hyperparameter_search, with a study in memory in optuna's place where that is not installed."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import enfold
from enfold.data import Dataset
from enfold.train.trainer import Trainer
from tests.families.pairs import fresh
from tests.train.trainer.runs import ours, rows

DATA = rows("classes", 16)
RATES = [1e-3, 3e-2, 1e-2, 2e-2]


class TrialPruned(Exception):
    pass


class Trial:
    """The calls of a trial that the Trainer makes."""

    def __init__(self, number: int) -> None:
        self.number, self.params, self.reports = number, dict[str, Any](), dict[int, float]()
        self.value: float | None = None
        self.values: list[float] = []

    def suggest_float(self, name: str, low: float, high: float, log: bool = False) -> float:
        self.params[name] = RATES[self.number] if low < 1e-3 else random.uniform(low, high)
        return self.params[name]

    def suggest_int(self, name: str, low: int, high: int) -> int:
        self.params[name] = low
        return low

    def suggest_categorical(self, name: str, choices: list[Any]) -> Any:
        self.params[name] = choices[self.number % len(choices)]
        return self.params[name]

    def report(self, value: float, step: int) -> None:
        self.reports[step] = value

    def should_prune(self) -> bool:
        return self.number == 3


class Study:
    def __init__(self, direction: str | None = None, directions: Any = None, **kwargs: Any) -> None:
        self.direction, self.directions, self.given = direction, directions, kwargs
        self.trials: list[Trial] = []
        Study.last = self

    last: Study

    def optimize(self, objective: Any, n_trials: int, **kwargs: Any) -> None:
        for number in range(n_trials):
            self.trials.append(Trial(number))
            try:
                found = objective(self.trials[-1])
                self.trials[-1].value = None if isinstance(found, list) else found
                self.trials[-1].values = found if isinstance(found, list) else [found]
            except TrialPruned:
                continue

    @property
    def best_trial(self) -> Trial:
        done = [trial for trial in self.trials if trial.value is not None]
        pick = min if self.direction == "minimize" else max
        return pick(done, key=lambda trial: trial.value)

    @property
    def best_trials(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.values]


@pytest.fixture(autouse=True)
def optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("optuna")
    module.create_study, module.TrialPruned = Study, TrialPruned  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "optuna", module)


def trainer(folder: Path, **arguments: Any) -> Any:
    config = fresh("bert", "ForSequenceClassification").ours.config
    given: list[Any] = []

    def model_init(trial: Any) -> Any:
        given.append(trial)
        return enfold.AutoModelForSequenceClassification.from_config(config)

    made = ours(None, folder, DATA, options={
        "model_init": model_init, "eval_dataset": Dataset.from_list(DATA[:8])},
        **{"max_steps": 3, "eval_strategy": "steps", "eval_steps": 1, "save_strategy": "steps",
           "save_steps": 3, "learning_rate": 7e-3, **arguments})
    made.trials = given
    return made


def space(trial: Any) -> dict[str, Any]:
    return {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
            "per_device_train_batch_size": trial.suggest_categorical("size", [4, 8])}


def test_a_search(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    best = made.hyperparameter_search(space, n_trials=4, study_name="mine")
    study = Study.last
    assert study.direction == "minimize" and study.given == {"study_name": "mine"}
    assert [list(trial.reports) for trial in study.trials] == [[1, 2, 3]] * 3 + [[1]]  # one pruned
    done = study.trials[:3]
    assert all(trial.value == trial.reports[3] for trial in done)
    assert best.objective == min(trial.value for trial in done)
    assert best.hyperparameters == done[int(best.run_id)].params
    assert made.trials[0] is None and made.trials[1:] == study.trials
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run-0", "run-1", "run-2"]
    assert made.args.learning_rate == 7e-3 and made.args.per_device_train_batch_size == 8
    made.args.learning_rate = best.hyperparameters["learning_rate"]
    made.train()  # with what was found, where runs go
    assert (tmp_path / "checkpoint-3").is_dir()


def test_several_aims_and_the_default_space(tmp_path: Path) -> None:
    made = trainer(tmp_path, eval_strategy="no", save_strategy="no")
    best = made.hyperparameter_search(
        n_trials=2, direction=["minimize", "maximize"],
        compute_objective=lambda metrics: [metrics["eval_loss"], metrics["eval_runtime"]])
    assert [run.run_id for run in best] == ["0", "1"] and len(best[0].objective) == 2
    assert best[0].hyperparameters.keys() == {
        "learning_rate", "num_train_epochs", "seed", "per_device_train_batch_size"}


def test_what_is_not_there(tmp_path: Path) -> None:
    made = trainer(tmp_path)
    with pytest.raises(NotImplementedError, match="one process. Do: leave out n_jobs"):
        made.hyperparameter_search(n_jobs=2)
    with pytest.raises(NotImplementedError, match=r"backend='ray'\). Do: backend='optuna'"):
        made.hyperparameter_search(backend="ray")
    with pytest.raises(ValueError, match="'lerning_rate', which is not in TrainingArguments"):
        made.hyperparameter_search(lambda trial: {"lerning_rate": 1}, n_trials=1)
    assert issubclass(type(made), Trainer)
