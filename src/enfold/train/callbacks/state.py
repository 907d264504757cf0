"""Where a run is and what it does next: what callbacks read, and `trainer_state.json` holds.

The file has the reference's fields, sorted, so that its runs resume here and ours resume there.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from logging import getLogger
from pathlib import Path
from typing import Any, Self

from enfold.errors import ConfigError, InputError
from enfold.files.atomic import atomic_write
from enfold.files.jsons import read_json

_log = getLogger(__name__)


class ExportableState:
    """What checkpoints keep: `state()` is saved with each, and `from_state()` makes it again.

    `state()` returns {"args": arguments of the constructor, "attributes": what is set after it},
    all of it JSON.
    """

    def state(self) -> dict[str, Any]:
        raise NotImplementedError(f"{type(self).__name__} is an ExportableState without state(). "
                                  "Do: return {'args': {...}, 'attributes': {...}} from it")

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The object with which this state was saved."""
        made = cls(**state["args"])
        for name, value in state["attributes"].items():
            setattr(made, name, value)
        return made


@dataclass
class TrainerState:
    """Where a run is; a step is an optimizer step, whatever the number of batches in it.

    epoch: with the part of the current one that is done.  global_step, max_steps: done, and to do.
    logging_steps, eval_steps, save_steps: in steps, also where the arguments have a fraction.
    log_history: every log, with its step.  best_metric, best_global_step, best_model_checkpoint:
    value, step and folder of the best evaluation.  num_input_tokens_seen, total_flos: so far, if
    counted.  is_local_process_zero, is_world_process_zero: this process is the first of its
    machine, of all.  trial_name, trial_params: of a hyperparameter search.  stateful_callbacks:
    the `ExportableState`s of the run, held as {class name: state, or list of them}.
    """

    epoch: float | None = 0
    global_step: int = 0
    max_steps: int = 0
    logging_steps: int = 500
    eval_steps: int = 500
    save_steps: int = 500
    train_batch_size: int | None = None
    num_train_epochs: int = 0
    num_input_tokens_seen: int = 0
    total_flos: float = 0
    log_history: list[dict[str, Any]] = field(default_factory=list)
    best_metric: float | None = None
    best_global_step: int | None = None
    best_model_checkpoint: str | None = None
    is_local_process_zero: bool = True
    is_world_process_zero: bool = True
    is_hyper_param_search: bool = False
    trial_name: str | None = None
    trial_params: dict[str, str | float | int | bool] | None = None
    stateful_callbacks: Any = None

    def __post_init__(self) -> None:
        if self.log_history is None:
            self.log_history = []
        if not isinstance(self.stateful_callbacks, dict):
            self.stateful_callbacks = exported(self.stateful_callbacks or [])

    def save_to_json(self, json_path: str | os.PathLike[str]) -> None:
        """Write it as `trainer_state.json`; a reader never sees half of it."""
        text = json.dumps(asdict(self), indent=2, sort_keys=True, default=_plain) + "\n"
        atomic_write(Path(json_path), text.encode())

    @classmethod
    def load_from_json(cls, json_path: str | os.PathLike[str]) -> Self:
        """Read a `trainer_state.json`.  Raises ConfigError if it is damaged."""
        found = read_json(Path(json_path))
        known = {one.name for one in fields(cls)}
        if unknown := sorted(found.keys() - known):
            _log.warning("%s: fields %s are of another version, and are left out", json_path,
                         ", ".join(unknown))
        return cls(**{name: value for name, value in found.items() if name in known})

    def compute_steps(self, args: Any, max_steps: int) -> None:
        """Take the arguments' logging_steps, eval_steps and save_steps, fractions as steps."""
        for kind in ("logging", "eval", "save"):
            steps = getattr(args, f"{kind}_steps")
            if steps is not None:
                steps = math.ceil(max_steps * steps) if steps < 1 else steps
                setattr(self, f"{kind}_steps", steps)

    def init_training_references(self, trainer: Any, max_steps: int, num_train_epochs: int,
                                 trial: Any) -> None:
        """Note what a run begins with."""
        searched, hp_name = getattr(trainer, "_trial", None), getattr(trainer, "hp_name", None)
        if hp_name is not None and searched is not None:
            self.trial_name = hp_name(searched)
        self.trial_params = None if trial is None else dict(getattr(trial, "params", trial))
        self.max_steps, self.num_train_epochs = max_steps, num_train_epochs
        self.is_local_process_zero = trainer.is_local_process_zero()
        self.is_world_process_zero = trainer.is_world_process_zero()


@dataclass
class TrainerControl(ExportableState):
    """What the loop does next: callbacks set these, and the loop looks after every event.

    should_training_stop and should_epoch_stop hold until the next run and epoch; should_save,
    should_evaluate and should_log until done, or the next step.
    """

    should_training_stop: bool = False
    should_epoch_stop: bool = False
    should_save: bool = False
    should_evaluate: bool = False
    should_log: bool = False

    def state(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return {"args": asdict(self), "attributes": {}}


def exported(callbacks: Sequence[Any]) -> dict[str, Any]:
    """States by class name; a list of states where a class is there more than once."""
    found: dict[str, Any] = {}
    for callback in callbacks:
        if not hasattr(callback, "from_state"):
            raise InputError(f"TrainerState: stateful_callbacks has a {type(callback).__name__}, "
                             "expected an ExportableState. Do: let its class inherit "
                             "ExportableState, with a state()")
        name, state = type(callback).__name__, callback.state()
        if name not in found:
            found[name] = state
        elif isinstance(found[name], list):
            found[name].append(state)
        else:
            found[name] = [found[name], state]
    return found


def _plain(value: Any) -> Any:
    """numpy and torch scalars as numbers."""
    if hasattr(value, "item"):
        return value.item()
    raise ConfigError(f"trainer_state.json: got {value!r} of class {type(value).__name__}, "
                      "expected numbers, texts, lists and dicts. Do: convert what you log")
