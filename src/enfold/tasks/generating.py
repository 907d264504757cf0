"""What the tasks that write text share: settings of `generate`, batches of prompts, cut padding.

A setting comes from, first found: the call, the pipeline's construction, the config's
`task_specific_params`, the model's generation config, the task's own default.  One exception, as in
transformers: a `max_length` of `task_specific_params` yields to the default `max_new_tokens`.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from enfold.errors import TaskError
from enfold.tasks.base import Pipeline
from enfold.tasks.batching import Batch, Scheduler
from enfold.tasks.options import O

UNSET = {"max_new_tokens": None, "max_length": 20, "do_sample": False, "temperature": 1.0,
         "num_beams": 1}  # what a generation config holds where nobody set the value
SAMPLING = ("temperature",)  # defaults that mean nothing to greedy search and beams
ALONE = (  # arguments that see or end rows in a way that a shared batch would change
    "stop_strings", "stopping_criteria", "logits_processor", "prefix_allowed_tokens_fn", "streamer",
    "assistant_model", "prompt_lookup_num_tokens", "return_dict_in_generate", "past_key_values",
)  # fmt: skip
CPU_ROWS, GPU_ROWS = 32, 128


class GenerationPipeline(Pipeline[O]):
    """A task whose `forward` is `model.generate`."""

    defaults: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, model: Any, tokenizer: Any = None, *, task: str = "", **kwargs: Any) -> None:
        if not hasattr(model, "generate"):
            raise TaskError(f"{task or self.name}: {type(model).__name__} can't generate text. "
                            "Do: load the checkpoint with AutoModelForCausalLM or "
                            "AutoModelForSeq2SeqLM")
        super().__init__(model, tokenizer, task=task, **kwargs)
        config = model.config.to_dict()
        self._task_params = dict((config.get("task_specific_params") or {}).get(self.task) or {})
        self.prefix: str = self._task_params.pop("prefix", None) or config.get("prefix") or ""

    @abstractmethod
    def settings_of(self, options: O) -> Mapping[str, Any]:
        """The resolved arguments of `generate`."""

    def batch_limit(self, options: O) -> int | None:
        """One row at a time with the arguments in `ALONE`."""
        settings = self.settings_of(options)
        return 1 if any(settings.get(name) is not None for name in ALONE) else None

    def settings(self, given: Mapping[str, Any],
                 stop: str | list[str] | None = None) -> dict[str, Any]:
        """The arguments of `generate` for a call that gives `given`.

        What the call does not say goes into a copy of the model's generation config.
        """
        settings = dict(given)
        if settings.get("generation_config") is None:
            config = copy.deepcopy(self.model.generation_config)
            for name, value in self._unsaid(given).items():
                setattr(config, name, value)
            settings["generation_config"] = config
        return settings if stop is None else settings | self._stop(stop)

    def _unsaid(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Values that `given` leaves to the task and the tokenizer."""
        model = {name: getattr(self.model.generation_config, name, None) for name in UNSET}
        own = {name: value for name, value in model.items() if value not in (None, UNSET[name])}
        chosen = {**own, **given}
        found = {name: value for name, value in self.defaults.items() if name not in chosen}
        if not {**self.defaults, **chosen}.get("do_sample"):
            found = {name: value for name, value in found.items() if name not in SAMPLING}
        if "max_length" in chosen:
            found.pop("max_new_tokens", None)
        found |= {name: value for name, value in self._task_params.items() if name not in given}
        if found.get("max_new_tokens") or given.get("max_new_tokens"):
            found.pop("max_length", None)
        if self.model.generation_config.pad_token_id is None:
            found["pad_token_id"] = self.tokenizer.pad_token_id
        return {name: value for name, value in found.items() if name not in given}

    def _stop(self, sequence: str | list[str]) -> dict[str, Any]:
        """End at `sequence`: a single token is an end token, more are found in the text."""
        if isinstance(sequence, str):
            ids = self.tokenizer.encode(sequence, add_special_tokens=False)
            if len(ids) == 1:
                return {"eos_token_id": ids[0]}
        return {"stop_strings": sequence, "tokenizer": self.tokenizer}

    def limit_of(self, settings: Mapping[str, Any], name: str) -> Any:
        """A length setting from the call, its generation config, or the model's."""
        if settings.get(name) is not None:
            return settings[name]
        return getattr(settings["generation_config"], name, None)

    def generate(self, batch: Batch, settings: Mapping[str, Any]) -> list[tuple[Any, Any]]:
        """Per row its sequences, without the batch's padding on the right, and what else came."""
        output = self.model.generate(**batch.inputs, **settings)
        extra = dict(output) if isinstance(output, Mapping) else {"sequences": output}
        sequences = extra.pop("sequences").tolist()
        count = len(sequences) // len(batch.rows)
        return [(self._cut(sequences[line * count:(line + 1) * count], settings), extra)
                for line in range(len(batch.rows))]

    def _cut(self, sequences: list[list[int]], settings: Mapping[str, Any]) -> list[list[int]]:
        """One item's sequences, as long as the longest of them is without trailing padding."""
        ends = as_list(self.limit_of(settings, "eos_token_id"))
        if not ends:
            return sequences
        pad = self.limit_of(settings, "pad_token_id")
        pad = ends[0] if pad is None else pad
        keep = max(_length(sequence, pad, pad in ends) for sequence in sequences)
        return [sequence[:keep] for sequence in sequences]

    def _scheduler(self) -> Scheduler:
        scheduler = super()._scheduler()
        scheduler.rows = CPU_ROWS if self.device.type == "cpu" else GPU_ROWS
        scheduler.budget *= 4
        scheduler.overhead = scheduler.budget  # a step costs the same for one row and for many
        return scheduler


def as_list(value: Any) -> list[int]:
    """Token ids from an id, a sequence of them, a tensor or None."""
    if value is None:
        return []
    value = value.tolist() if hasattr(value, "tolist") else value
    return [value] if isinstance(value, int) else list(value)


def _length(sequence: Sequence[int], pad: int, pad_ends: bool) -> int:
    """The length without trailing padding; one pad stays if it is the end token too."""
    length = len(sequence)
    while length > 1 and sequence[length - 1] == pad:
        length -= 1
    return min(length + 1, len(sequence)) if pad_ends else length
