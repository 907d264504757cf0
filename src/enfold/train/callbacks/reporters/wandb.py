"""Weights & Biases."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from enfold.errors import ConfigError
from enfold.lazy import require
from enfold.train.callbacks.callback import TrainerCallback
from enfold.train.callbacks.reporters import rewrite_logs
from enfold.train.callbacks.state import TrainerControl, TrainerState

ONCE = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss",
        "total_flos")
STEP = "train/global_step"


class WandbCallback(TrainerCallback):
    """Logs to a run of W&B: the one that is open, or a new one.

    Environment: WANDB_PROJECT ("huggingface"); WANDB_WATCH ("false", "gradients", "parameters",
    "all"); WANDB_LOG_MODEL ("false", or "checkpoint" for every checkpoint as an artifact, or "end"
    for the last one).  A subclass may override `setup`.
    """

    def __init__(self) -> None:
        self._wandb: Any = require("wandb")
        self._initialized = False
        self._log_model = os.environ.get("WANDB_LOG_MODEL", "false").lower()
        if self._log_model not in ("false", "checkpoint", "end"):
            raise ConfigError(f"WANDB_LOG_MODEL is {self._log_model!r}, expected 'false', "
                              "'checkpoint' or 'end'")

    def setup(self, args: Any, state: TrainerState, model: Any, **kwargs: Any) -> None:
        """Open the run and describe it."""
        self._initialized = True
        if not state.is_world_process_zero:
            return
        if self._wandb.run is None:
            self._wandb.init(project=os.environ.get("WANDB_PROJECT", "huggingface"),
                             **_named(args, state))
        self._wandb.config.update(described(args, model), allow_val_change=True)
        self._wandb.define_metric(STEP)
        self._wandb.define_metric("*", step_metric=STEP, step_sync=True)
        watch = os.environ.get("WANDB_WATCH", "false")
        if watch in ("all", "parameters", "gradients"):
            self._wandb.watch(model, log=watch, log_freq=max(100, state.logging_steps))
        if hasattr(model, "num_parameters"):
            self._wandb.config.update({"model/num_parameters": model.num_parameters()},
                                      allow_val_change=True)

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl,
                       model: Any = None, **kwargs: Any) -> None:
        if state.is_hyper_param_search:  # a run for each trial
            self._wandb.finish()
            self._initialized = False
        self._ready(args, state, model)

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl, model: Any = None,
               logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        self._ready(args, state, model)
        if not state.is_world_process_zero:
            return
        logs = logs or {}
        for name in ONCE:
            if name in logs:
                self._wandb.run.summary[name] = logs[name]
        rest = {name: value for name, value in logs.items() if name not in ONCE}
        self._wandb.log(rewrite_logs(rest) | {STEP: state.global_step})

    def on_predict(self, args: Any, state: TrainerState, control: TrainerControl, metrics: Any,
                   model: Any = None, **kwargs: Any) -> None:
        self._ready(args, state, model)
        if state.is_world_process_zero:
            self._wandb.log(rewrite_logs(metrics))

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl,
                **kwargs: Any) -> None:
        if self._log_model == "checkpoint" and state.is_world_process_zero:
            self._upload(args, state)

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl,
                     **kwargs: Any) -> None:
        if self._log_model == "end" and state.is_world_process_zero:
            self._upload(args, state)

    def _ready(self, args: Any, state: TrainerState, model: Any) -> None:
        if not self._initialized:
            self.setup(args, state, model)

    def _upload(self, args: Any, state: TrainerState) -> None:
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if not folder.is_dir():
            raise ConfigError(f"WANDB_LOG_MODEL={self._log_model} uploads {folder}, which is not "
                              "there. Do: save_strategy='steps' or 'epoch', or "
                              "WANDB_LOG_MODEL=false")
        artifact = self._wandb.Artifact(name=f"model-{self._wandb.run.id}", type="model")
        artifact.add_dir(str(folder))
        self._wandb.log_artifact(artifact, aliases=[
            f"epoch_{round(state.epoch or 0, 2)}", f"checkpoint_global_step_{state.global_step}"])


def described(args: Any, model: Any) -> dict[str, Any]:
    """The settings of a run: of the adapter, the model and the training, the later the stronger."""
    found: dict[str, Any] = {}
    if getattr(model, "peft_config", None) is not None:
        found["peft_config"] = model.peft_config
    if getattr(model, "config", None) is not None:
        config = model.config
        found |= config if isinstance(config, dict) else config.to_dict()
    found |= args.to_dict()
    return found


def _named(args: Any, state: TrainerState) -> dict[str, str]:
    if state.trial_name is not None:
        return {"name": state.trial_name, "group": args.run_name or args.output_dir}
    return {} if args.run_name is None else {"name": args.run_name}
