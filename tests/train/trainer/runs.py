"""Tiny runs, ours and transformers', on the same rows."""

from __future__ import annotations

import random
from typing import Any

import torch

from enfold.data import Dataset
from enfold.train.arguments import TrainingArguments
from enfold.train.trainer import Trainer
from tests.families.tiny import PAD

QUIET = {"report_to": "none", "disable_tqdm": True, "use_cpu": True, "logging_steps": 1,
         "save_strategy": "no", "logging_strategy": "steps"}
TASKS = {"causal": ("llama", "ForCausalLM"), "masked": ("bert", "ForMaskedLM"),
         "classes": ("bert", "ForSequenceClassification"),
         "tokens": ("distilbert", "ForTokenClassification"),
         "seq2seq": ("bart", "ForConditionalGeneration")}


def rows(task: str, count: int = 48, seed: int = 0) -> list[dict[str, Any]]:
    """Ragged texts with labels, of which a part is -100."""
    draw = random.Random(seed)
    return [_row(task, draw, draw.randrange(3, 14)) for _ in range(count)]


def _row(task: str, draw: random.Random, length: int) -> dict[str, Any]:
    ids = [draw.randrange(4, 48) for _ in range(length)]
    row: dict[str, Any] = {"input_ids": ids, "attention_mask": [1] * length}
    if task == "classes":
        return {**row, "labels": draw.randrange(3)}
    hidden = draw.random()
    kept = [draw.random() > hidden for _ in ids]
    kept[-1] = True
    if task == "tokens":
        return {**row, "labels": [i % 3 if k else -100 for i, k in zip(ids, kept, strict=True)]}
    return {**row, "labels": [i if k else -100 for i, k in zip(ids, kept, strict=True)]}


def pad(features: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Rows padded on the right: ids with PAD, labels with -100."""
    fill = {"input_ids": PAD, "attention_mask": 0, "labels": -100}
    batch = {}
    for name in (n for n in fill if n in features[0]):
        column = [torch.as_tensor(row[name]) for row in features]
        batch[name] = torch.stack(column) if column[0].dim() == 0 else \
            torch.nn.utils.rnn.pad_sequence(column, batch_first=True, padding_value=fill[name])
    return batch


def ours(model: Any, folder: Any, data: list[dict[str, Any]], trainer: Any = Trainer,
         options: dict[str, Any] | None = None, **arguments: Any) -> Any:
    """Our trainer, ready."""
    args = TrainingArguments(str(folder), **{**QUIET, **arguments})
    return trainer(model, args, **{"train_dataset": Dataset.from_list(data),
                                   "data_collator": pad, **(options or {})})


def theirs(model: Any, folder: Any, data: list[dict[str, Any]],
           options: dict[str, Any] | None = None, **arguments: Any) -> Any:
    """transformers' trainer, ready."""
    import datasets
    import transformers

    args = transformers.TrainingArguments(str(folder), **{**QUIET, **arguments})
    return transformers.Trainer(model, args, **{
        "train_dataset": datasets.Dataset.from_list(data), "data_collator": pad,
        **(options or {})})


def curve(trainer: Any, name: str = "loss") -> list[float]:
    """A number that was logged at each step."""
    return [log[name] for log in trainer.state.log_history if name in log]
