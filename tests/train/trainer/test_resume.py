"""A run that is interrupted and resumed is the run that was not."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

import enfold
from enfold.data import Dataset as Table
from enfold.train.callbacks import TrainerCallback
from enfold.train.trainer import Trainer
from tests.families.tiny import TINY
from tests.train.trainer.runs import ours, pad, rows

STEPS, ROWS = 11, 28
TIMES = ("runtime", "per_second")


class Killed(BaseException):
    """The process is gone."""


class Kill(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise Killed


def noisy(features: list[dict[str, Any]]) -> dict[str, Any]:
    """A collator that draws from all generators, and keeps the row's first ids."""
    import numpy as np

    batch = pad(features)
    ids = batch["input_ids"]
    swap = torch.rand(ids.shape) < 0.1
    swap |= torch.from_numpy(np.random.rand(*ids.shape) < 0.1)
    ids[swap] = random.randrange(4, 48)
    return batch


def model() -> Any:
    torch.manual_seed(0)
    values = {**TINY["bert"].config(), "hidden_dropout_prob": 0.2,
              "attention_probs_dropout_prob": 0.2}
    config = enfold.AutoConfig.for_model("bert", **values)
    return enfold.AutoModelForTokenClassification.from_config(config)


class Seen(Trainer):
    """Notes what it trains on."""

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        self.seen.setdefault(self.state.global_step, []).append(inputs["input_ids"].tolist())
        return super().training_step(model, inputs, num_items_in_batch)


def table() -> Any:
    return Table.from_list(rows("tokens", ROWS))


def stream() -> Any:
    return table().to_iterable_dataset(num_shards=3).shuffle(seed=3, buffer_size=10)


class Foreign(Dataset[Any]):
    def __len__(self) -> int:
        return ROWS

    def __getitem__(self, index: int) -> Any:
        row = rows("tokens", ROWS)[index]
        row["input_ids"][0] = 4 + int(torch.randint(40, ()))
        return row


class ForeignStream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return iter(rows("tokens", ROWS))


class OwnLoader(Seen):
    """A loader that knows nothing of places."""

    def get_train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(rows("tokens", ROWS), batch_size=2, shuffle=True, collate_fn=noisy)


def attempt(folder: Path, data: Any, kill: int | None, resume: bool, seen: dict[int, Any],
            trainer: Any = Seen, **arguments: Any) -> Any:
    given = {"save_strategy": "steps", "save_steps": 2, "logging_steps": 3, "max_steps": STEPS,
             "per_device_train_batch_size": 2, "gradient_accumulation_steps": 2,
             "learning_rate": 1e-3, "eval_strategy": "steps", "eval_steps": 5, **arguments}
    made = ours(model(), folder, [], trainer, {
        "train_dataset": data(), "eval_dataset": table().select(range(6)), "data_collator": noisy,
        "callbacks": [] if kill is None else [Kill(kill)]}, **given)
    made.seen = seen
    try:
        made.train(resume_from_checkpoint=resume)
    except Killed:
        return None
    return made


def logs(trainer: Any) -> list[dict[str, float]]:
    return [{name: value for name, value in log.items() if not name.endswith(TIMES)}
            for log in trainer.state.log_history]


def check(tmp_path: Path, data: Any, kills: list[int], **arguments: Any) -> None:
    order: dict[int, Any] = {}
    whole = attempt(tmp_path / "whole", data, None, False, order, **arguments)
    seen: dict[int, Any] = {}
    for number, step in enumerate(kills):
        assert attempt(tmp_path / "cut", data, step, number > 0, seen, **arguments) is None
        saved = max(int(path.name.split("-")[1]) for path in (tmp_path / "cut").glob("checkp*"))
        seen = {step: batches for step, batches in seen.items() if step < saved}
    last = attempt(tmp_path / "cut", data, None, True, seen, **arguments)
    assert seen == order
    assert logs(last) == logs(whole)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, last.model.state_dict()[name]), name


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("data", [table, stream, Foreign, ForeignStream])
def test_exact(data: Any, workers: int, tmp_path: Path) -> None:
    kills = sorted(random.Random(f"{data.__name__}{workers}").sample(range(3, STEPS), 3))
    check(tmp_path, data, kills, dataloader_num_workers=workers)


def test_exact_with_a_loader_of_ones_own(tmp_path: Path) -> None:
    check(tmp_path, table, [3, 6, 9], trainer=OwnLoader)


@pytest.mark.parametrize("options", [
    {"dataloader_persistent_workers": True, "dataloader_num_workers": 1},
    {"train_sampling_strategy": "group_by_length"}, {"bf16": True}, {"fp16": True},
    {"logging_steps": 7, "save_steps": 3},
    {"max_steps": -1, "num_train_epochs": 2, "eval_strategy": "epoch", "save_steps": 7},
    {"lr_scheduler_type": "reduce_lr_on_plateau", "metric_for_best_model": "loss"},
])
def test_exact_with(options: dict[str, Any], tmp_path: Path) -> None:
    check(tmp_path, table, [8, 9, 10], **options)
