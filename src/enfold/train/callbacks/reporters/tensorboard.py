"""TensorBoard: event files of a run, written through torch."""

from __future__ import annotations

import os
from datetime import datetime
from logging import getLogger
from pathlib import Path
from socket import gethostname
from typing import Any

from enfold.lazy import require
from enfold.train.callbacks.callback import TrainerCallback
from enfold.train.callbacks.reporters import rewrite_logs
from enfold.train.callbacks.state import TrainerControl, TrainerState

_log = getLogger(__name__)


class TensorBoardCallback(TrainerCallback):
    """Writes every number that is logged, and the arguments and config as texts.

    tb_writer: a SummaryWriter to use.  Else one is made at the first event, for the folder
    TENSORBOARD_LOGGING_DIR, or args.logging_dir, or output_dir/runs/<time>_<host>; trials of a
    search get a folder each.  Raises DependencyError without tensorboard.
    """

    def __init__(self, tb_writer: Any = None) -> None:
        self.tb_writer = tb_writer
        self.logging_dir = os.environ.get("TENSORBOARD_LOGGING_DIR")
        if tb_writer is None:
            require("tensorboard")

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl,
                       model: Any = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        writer = self._writer(args, state.trial_name if state.is_hyper_param_search else None)
        writer.add_text("args", args.to_json_string())
        if getattr(model, "config", None) is not None:
            writer.add_text("model_config", model.config.to_json_string())

    def on_log(self, args: Any, state: TrainerState, control: TrainerControl,
               logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero:
            return
        writer = self._writer(args)
        for name, value in rewrite_logs(logs or {}).items():
            if isinstance(value, str):
                writer.add_text(name, value, state.global_step)
            elif isinstance(value, (int, float)):
                writer.add_scalar(name, value, state.global_step)
            else:
                _log.warning("TensorBoard takes numbers and texts: %s of class %s is left out",
                             name, type(value).__name__)
        writer.flush()

    def on_train_end(self, args: Any, state: TrainerState, control: TrainerControl,
                     **kwargs: Any) -> None:
        if self.tb_writer is not None:
            self.tb_writer.close()
        self.tb_writer = None

    def _writer(self, args: Any, trial: str | None = None) -> Any:
        if self.tb_writer is None:
            make = require("torch.utils.tensorboard").SummaryWriter
            self.tb_writer = make(log_dir=str(self._folder(args, trial)))
        return self.tb_writer

    def _folder(self, args: Any, trial: str | None) -> Path:
        if trial is not None:
            return Path(args.output_dir) / "runs" / trial
        if self.logging_dir is None:
            self.logging_dir = getattr(args, "logging_dir", None)
        if self.logging_dir is None:  # kept, so that a second train() goes on in it
            now = datetime.now().strftime("%b%d_%H-%M-%S")
            self.logging_dir = os.path.join(args.output_dir, "runs", f"{now}_{gethostname()}")
        return Path(self.logging_dir).expanduser()
