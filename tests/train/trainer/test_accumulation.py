"""A step over 8 rows is the same step, however the rows are cut into batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from enfold.train.trainer import Trainer
from tests.families.pairs import fresh
from tests.families.tiny import TINY
from tests.train.trainer.runs import TASKS, curve, ours, rows

CUTS = [(8, 1), (4, 2), (1, 8), (3, 3)]
KINDS = [(kind, tiny.lm) for kind, tiny in TINY.items() if kind not in ("gpt_bigcode",)]


def run(model: Any, folder: Path, data: list[Any], batch: int, steps: int, trainer: Any = Trainer,
        options: dict[str, Any] | None = None, **more: Any) -> Any:
    made = ours(model, folder, data, trainer, options, max_steps=3, learning_rate=1e-3,
                per_device_train_batch_size=batch, gradient_accumulation_steps=steps, **more)
    made.train()
    return curve(made), curve(made, "grad_norm")


def same(first: Any, other: Any) -> None:
    for one, two in zip(first, other, strict=True):
        assert two == pytest.approx(one, abs=1e-5, rel=1e-5)


def ragged(task: str) -> list[dict[str, Any]]:
    """Rows of which some have no label at all."""
    data = rows(task, 24)
    if task != "classes":
        for row in data[::5]:
            row["labels"] = [-100] * len(row["labels"])
    return data


@pytest.mark.parametrize("task", TASKS)
def test_losses_of_heads(task: str, tmp_path: Path) -> None:
    found = [run(fresh(*TASKS[task]).ours, tmp_path, ragged(task), *cut) for cut in CUTS[:3]]
    for other in found[1:]:
        same(found[0], other)


@pytest.mark.parametrize(("kind", "suffix"), KINDS)
def test_every_family(kind: str, suffix: str, tmp_path: Path) -> None:
    task = "causal"
    found = [run(fresh(kind, suffix).ours, tmp_path, ragged(task), *cut) for cut in CUTS[:2]]
    same(*found)


class Plain(nn.Module):
    """Any Module: its loss is the mean over its batch, and it takes no num_items_in_batch."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table, self.out = nn.Embedding(48, 8), nn.Linear(8, 48)

    def forward(self, input_ids: Any, attention_mask: Any = None, labels: Any = None) -> Any:
        logits = self.out(self.table(input_ids))
        loss = None
        if labels is not None:
            loss = nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return {"loss": loss, "logits": logits}


def test_any_module(tmp_path: Path) -> None:
    found = [run(Plain(), tmp_path, ragged("tokens"), *cut) for cut in CUTS[:3]]
    for other in found[1:]:
        same(found[0], other)


def plain_mean(outputs: Any, labels: Any) -> Any:
    return nn.functional.cross_entropy(outputs["logits"].flatten(0, 1), labels.flatten())


def unused(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
    return plain_mean(outputs, labels)


def divided(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
    total = nn.functional.cross_entropy(outputs["logits"].flatten(0, 1), labels.flatten(),
                                        reduction="sum")
    return total / num_items_in_batch


class Older(Trainer):
    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False) -> Any:
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        loss = plain_mean(outputs, labels)
        return (loss, outputs) if return_outputs else loss


class Handed(Trainer):
    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False,
                     num_items_in_batch: Any = None) -> Any:
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)


class Summed(Trainer):
    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False,
                     num_items_in_batch: Any = None) -> Any:
        outputs = model(**inputs)
        loss = divided(outputs, inputs["labels"], num_items_in_batch)
        return (loss, outputs) if return_outputs else loss


class Ignoring(Trainer):
    def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False,
                     **kwargs: Any) -> Any:
        return super().compute_loss(model, inputs, return_outputs)


@pytest.mark.parametrize(("trainer", "function"), [
    (Older, None), (Handed, None), (Summed, None), (Ignoring, None), (Trainer, plain_mean),
    (Trainer, unused), (Trainer, divided)])
def test_own_losses(trainer: Any, function: Any, tmp_path: Path) -> None:
    data = rows("tokens", 24)  # a mean over nothing is the function's own affair
    wanted = run(fresh("bert", "ForTokenClassification").ours, tmp_path, data, 8, 1)
    for cut in CUTS[:3]:
        found = run(fresh("bert", "ForTokenClassification").ours, tmp_path, data, *cut,
                    trainer=trainer, options={"compute_loss_func": function} if function else None)
        same(wanted, found)


def test_label_smoothing(tmp_path: Path) -> None:
    found = [run(fresh("bart", "ForConditionalGeneration").ours, tmp_path, ragged("seq2seq"), *cut,
                 label_smoothing_factor=0.1) for cut in CUTS[:3]]
    for other in found[1:]:
        same(found[0], other)


def test_a_last_step_of_fewer_batches(tmp_path: Path) -> None:
    data = rows("causal", 20)
    found = [run(fresh("llama", "ForCausalLM").ours, tmp_path, data, *cut) for cut in CUTS[:3]]
    for other in found[1:]:
        same(found[0], other)
