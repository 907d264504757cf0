"""MLflow."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from logging import getLogger
from pathlib import Path
from typing import Any

from enfold.lazy import require
from enfold.train.callbacks.callback import TrainerCallback
from enfold.train.callbacks.reporters.wandb import described
from enfold.train.callbacks.state import TrainerControl, TrainerState

_log = getLogger(__name__)
TRUE = ("1", "TRUE", "YES", "ON")
AT_ONCE = 100  # parameters in a call
STRANGE = re.compile(r"[^0-9A-Za-z_\-. :/]")


class MLflowCallback(TrainerCallback):
    """Logs to a run of MLflow: the one that is active, or a new one, which it ends.

    Environment: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, MLFLOW_TAGS (a JSON dict),
    MLFLOW_NESTED_RUN, MLFLOW_RUN_ID (go on with a run), MLFLOW_FLATTEN_PARAMS,
    MLFLOW_MAX_LOG_PARAMS, HF_MLFLOW_LOG_ARTIFACTS (checkpoints too).
    """

    def __init__(self) -> None:
        self._ml_flow: Any = require("mlflow")
        self._initialized = self._auto_end_run = False
        self._log_artifacts = _flag("HF_MLFLOW_LOG_ARTIFACTS")

    def setup(self, args: Any, state: TrainerState, model: Any) -> None:
        """Open the run and describe it."""
        self._initialized = True
        if not state.is_world_process_zero:
            return
        flow, nested = self._ml_flow, _flag("MLFLOW_NESTED_RUN")
        if (uri := os.environ.get("MLFLOW_TRACKING_URI")) and not flow.is_tracking_uri_set():
            flow.set_tracking_uri(uri)
        if flow.active_run() is None or nested or os.environ.get("MLFLOW_RUN_ID"):
            if experiment := os.environ.get("MLFLOW_EXPERIMENT_NAME"):
                flow.set_experiment(experiment)
            flow.start_run(run_name=args.run_name, nested=nested)
            self._auto_end_run = True
        self._describe(described(args, model))
        if tags := os.environ.get("MLFLOW_TAGS"):
            flow.set_tags(json.loads(tags))

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl,
                       model: Any = None, **kwargs: Any) -> None:
        if not self._initialized:
            self.setup(args, state, model)

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl,
               logs: Mapping[str, Any] | None = None, model: Any = None, **kwargs: Any) -> None:
        if not self._initialized:
            self.setup(args, state, model)
        if state.is_world_process_zero:
            numbers = {STRANGE.sub("_", name): float(value) for name, value in (logs or {}).items()
                       if not isinstance(value, str) and hasattr(value, "__float__")}
            left = [name for name in logs or {} if STRANGE.sub("_", name) not in numbers]
            if left:
                _log.warning("MLflow takes numbers: %s left out", ", ".join(left))
            self._ml_flow.log_metrics(metrics=numbers, step=state.global_step)

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl,
                **kwargs: Any) -> None:
        if self._log_artifacts and state.is_world_process_zero:
            name = f"checkpoint-{state.global_step}"
            self._ml_flow.log_artifacts(str(Path(args.output_dir) / name), name)

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl,
                     **kwargs: Any) -> None:
        if self._auto_end_run and self._ml_flow.active_run() is not None:
            self._ml_flow.end_run()
            self._initialized = self._auto_end_run = False

    def _describe(self, found: dict[str, Any]) -> None:
        if _flag("MLFLOW_FLATTEN_PARAMS"):
            found = flattened(found)
        longest = self._ml_flow.utils.validation.MAX_PARAM_VAL_LENGTH
        kept = [(name, value) for name, value in found.items() if len(str(value)) <= longest]
        if len(kept) < len(found):
            _log.warning("MLflow takes values of at most %d characters: %s left out. Do: "
                         "MLFLOW_FLATTEN_PARAMS=1", longest,
                         ", ".join(sorted(found.keys() - dict(kept).keys())))
        kept = kept[:int(os.environ.get("MLFLOW_MAX_LOG_PARAMS") or len(kept))]
        for start in range(0, len(kept), AT_ONCE):
            self._ml_flow.log_params(dict(kept[start:start + AT_ONCE]))


def flattened(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Dicts in a dict as names with dots."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, Mapping) and value
        found |= flattened(value, f"{prefix}{name}.") if inner else {prefix + str(name): value}
    return found


def _flag(name: str) -> bool:
    return os.environ.get(name, "").upper() in TRUE
