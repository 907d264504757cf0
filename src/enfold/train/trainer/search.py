"""Hyperparameter search with Optuna."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from enfold.errors import ConfigError
from enfold.lazy import require
from enfold.train.trainer.core import Core
from enfold.train.trainer.outputs import BestRun


class Search(Core):
    """`hyperparameter_search`."""

    hp_search_backend: str | None
    hp_name: Callable[[Any], str] | None
    hp_space: Callable[[Any], dict[str, Any]]
    compute_objective: Callable[[dict[str, float]], float]
    objective: Any
    _trial: Any

    def hyperparameter_search(self, hp_space: Callable[[Any], dict[str, Any]] | None = None,
                              compute_objective: Callable[[dict[str, float]], float] | None = None,
                              n_trials: int = 20, direction: str | list[str] = "minimize",
                              backend: Any = None, hp_name: Callable[[Any], str] | None = None,
                              **kwargs: Any) -> Any:
        """Train with different arguments and return the `BestRun`; needs `model_init`.

        hp_space(trial): the arguments of a trial.  compute_objective(metrics): what is minimised
        or maximised (`direction`); a list of directions for several, which gives several runs.
        backend: "optuna".  kwargs: of optuna.create_study, and timeout, gc_after_trial.  Each
        evaluation is reported, so that a pruner can end a trial; checkpoints of trial 3 are in
        output_dir/run-3 (hp_name(trial) names it).  Afterwards `args` are as before.
        """
        name = str(getattr(backend, "value", backend or "optuna"))
        if name != "optuna":
            raise NotImplementedError(f"hyperparameter_search(backend={name!r}). Do: "
                                      "backend='optuna'")
        if self.model_init is None:
            raise ConfigError("hyperparameter_search trains anew for each trial, so it needs "
                              "model_init instead of model. Do: Trainer(model_init=...)")
        if self.args.world_size > 1 or kwargs.pop("n_jobs", 1) != 1:
            raise NotImplementedError("hyperparameter_search trains one trial after the other in "
                                      "one process. Do: leave out n_jobs and torchrun; several "
                                      "processes can share a study by storage= and study_name=")
        self.hp_search_backend, self.hp_name = name, hp_name
        self.hp_space = hp_space or default_hp_space
        self.compute_objective = compute_objective or default_compute_objective
        before = dict(vars(self.args))
        try:
            return self._study(n_trials, direction, kwargs)
        finally:
            self.hp_search_backend = self._trial = None
            vars(self.args).update(before)

    def _study(self, trials: int, direction: str | list[str], kwargs: dict[str, Any]) -> Any:
        optuna = require("optuna")
        run = {name: kwargs.pop(name) for name in ("timeout", "gc_after_trial") if name in kwargs}
        several = isinstance(direction, list)
        aim = {"directions" if several else "direction": direction}
        study = optuna.create_study(**aim, **kwargs)
        study.optimize(self._try, n_trials=trials, **run)
        found = [BestRun(str(trial.number), trial.values if several else trial.value,
                         dict(trial.params))
                 for trial in (study.best_trials if several else [study.best_trial])]
        return found if several else found[0]

    def _try(self: Any, trial: Any) -> Any:
        self._trial, self.objective = trial, None
        self.train(trial=trial)
        if self.objective is None:  # no evaluation after the last step
            self.objective = self.compute_objective(dict(self.evaluate()))
        return self.objective

    def _report_trial(self, metrics: dict[str, float]) -> None:
        """Tell the study of an evaluation; raises TrialPruned to end a trial of no promise."""
        if self.hp_search_backend is None or self._trial is None:
            return
        self.objective = self.compute_objective(dict(metrics))
        if isinstance(self.objective, (int, float)):  # several can't be compared on the way
            self._trial.report(self.objective, self.state.global_step)
            if self._trial.should_prune():
                raise require("optuna").TrialPruned

    def _hp_search_setup(self, trial: Any) -> None:
        """Have the arguments of a trial, before it is trained."""
        if self.hp_search_backend is None or trial is None:
            return
        for name, value in self.hp_space(trial).items():
            if not hasattr(self.args, name):
                raise ConfigError(f"the search space has {name!r}, which is not in "
                                  "TrainingArguments. Do: read it from `trial.params` in "
                                  "model_init")
            old = getattr(self.args, name)
            setattr(self.args, name, value if old is None else type(old)(value))
        self._train_batch_size = self.args.train_batch_size

    def _get_output_dir(self, trial: Any = None) -> str:
        """Where the checkpoints of a run, or of a trial, are written."""
        import os

        trial = self._trial
        if self.hp_search_backend is None or trial is None:
            return str(self.args.output_dir)
        name = self.hp_name(trial) if self.hp_name is not None else f"run-{trial.number}"
        return os.path.join(self.args.output_dir, name)


def default_compute_objective(metrics: dict[str, float]) -> float:
    """The sum of all metrics but loss, epoch and speeds; the loss where there is none."""
    speeds = ("_runtime", "_per_second", "_model_preparation_time")
    found = {name: value for name, value in metrics.items()
             if name not in ("eval_loss", "epoch") and not name.endswith(speeds)}
    return sum(found.values()) if found else metrics["eval_loss"]


def default_hp_space(trial: Any) -> dict[str, Any]:
    """Learning rate, epochs, seed and batch size, as the reference searches them."""
    return {"learning_rate": trial.suggest_float("learning_rate", 1e-6, 1e-4, log=True),
            "num_train_epochs": trial.suggest_int("num_train_epochs", 1, 5),
            "seed": trial.suggest_int("seed", 1, 40),
            "per_device_train_batch_size": trial.suggest_categorical(
                "per_device_train_batch_size", [4, 8, 16, 32, 64])}
