"""TrainingArguments: what a run of the Trainer is told, in transformers' names.

The fields stand in three groups (learning, feedback, machine); older spellings are in `older`, what
is not implemented in `limits`, and what follows from what in `checking`.
"""

# ruff: noqa: RUF009 - `arg` is dataclasses.field with a line of help
from __future__ import annotations

import json
from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any

from enfold.train.arguments.checking import prepare
from enfold.train.arguments.field import arg
from enfold.train.arguments.older import OLDER, OlderNames, older_property
from enfold.train.arguments.setters import Setters


@dataclass(repr=False)
class TrainingArguments(Setters, metaclass=OlderNames):
    """What a run of the Trainer is told.

    Takes every name of transformers 4.57 and 5.x: `evaluation_strategy` and `eval_strategy` are one
    setting. Raises InputError (a ValueError) for values that can't be meant, ArgumentError (a
    TypeError) for a name that does not exist, and NotImplementedError, naming the argument, for
    what enfold does not do.
    """

    def __post_init__(self) -> None:
        prepare(self)

    def to_dict(self) -> dict[str, Any]:
        """The arguments as JSON takes them; tokens are masked."""
        return {
            field.name: _plain(field.name, getattr(self, field.name))
            for field in fields(self)
            if field.init
        }

    def to_json_string(self) -> str:
        """The arguments as indented JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def to_sanitized_dict(self) -> dict[str, Any]:
        """The arguments as numbers, booleans and strings, for the tables of reporters."""
        values = self.to_dict()
        values |= {
            "train_batch_size": self.train_batch_size,
            "eval_batch_size": self.eval_batch_size,
        }
        kinds = (bool, int, float, str)
        return {name: v if type(v) in kinds else str(v) for name, v in values.items()}

    def __str__(self) -> str:
        lines = (f"{name}={value!r}," for name, value in sorted(self.to_dict().items()))
        return "\n".join([f"{type(self).__name__}(", *lines, ")"])

    __repr__ = __str__


for _name in OLDER:
    setattr(TrainingArguments, _name, older_property(_name))


@dataclass(repr=False)
class Seq2SeqTrainingArguments(TrainingArguments):
    """TrainingArguments with the settings of generation while evaluating."""

    sortish_sampler: bool = arg(False, "Nearly sorted batches: set group_by_length instead.")
    predict_with_generate: bool = arg(False, "Evaluate on generated text, not on logits.")
    generation_max_length: int | None = arg(None, "max_length of that text.")
    generation_num_beams: int | None = arg(None, "num_beams of its search.")
    generation_config: str | Path | Any | None = arg(
        None, "A GenerationConfig, or the name or path of one, for that text."
    )


def _plain(name: str, value: Any) -> Any:
    """A value as JSON takes it."""
    if name.endswith("_token") and value is not None:
        return f"<{name.upper()}>"
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain("", item) for item in value]
    if isinstance(value, dict):
        return {key: _plain("", item) for key, item in value.items()}
    if hasattr(value, "to_dict"):
        return value.to_dict()
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
