"""A run that something else ends: what the user sees, and that nothing is left half done."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
from pathlib import Path
from threading import enumerate as threads
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from enfold.train.callbacks import ProgressCallback, TrainerCallback
from enfold.train.trainer import Trainer
from tests.families.pairs import fresh
from tests.train.trainer.runs import curve, ours, rows

RUN = {"save_strategy": "steps", "save_steps": 3, "max_steps": 9, "learning_rate": 1e-2,
       "per_device_train_batch_size": 4}
DATA = rows("causal", 40)
GOES_ON = "checkpoint-3 is whole: train(resume_from_checkpoint=True) goes on from there"


def make(run: Path, kind: type[Trainer] = Trainer, data: Any = None, callbacks: Any = (),
         **arguments: Any) -> Any:
    options = {"callbacks": list(callbacks)} | ({} if data is None else {"train_dataset": data})
    return ours(fresh("llama", "ForCausalLM").ours, run, DATA, kind, options=options,
                **{**RUN, **arguments})


class Later(Trainer):
    async_save = True


class Interrupt(TrainerCallback):
    """Ctrl-C in step 5."""

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 4:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("kind", [Trainer, Later])
@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c(kind: type[Trainer], workers: int, tmp_path: Path) -> None:
    made = make(tmp_path, kind, callbacks=[Interrupt()], disable_tqdm=False,
                dataloader_num_workers=workers, save_steps=4)
    with pytest.raises(KeyboardInterrupt) as caught:
        made.train()
    assert caught.value.__notes__ == [
        "Training stood at step 4 of 9. checkpoint-4 is whole: train(resume_from_checkpoint=True) "
        "goes on from there"]
    bar = next(one for one in made.callback_handler.callbacks if isinstance(one, ProgressCallback))
    assert bar.training_bar is None and not made.is_in_train
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-4"}
    del caught
    assert "saving" not in {thread.name for thread in threads()}
    made.pop_callback(Interrupt)
    made.train(resume_from_checkpoint=True)  # the same object goes on
    whole = make(tmp_path / "whole", dataloader_num_workers=workers, save_steps=4)
    whole.train()
    assert curve(made) == curve(whole)
    for child in multiprocessing.active_children():
        child.join(20)
    assert not multiprocessing.active_children()


def test_an_error_of_a_callback_is_the_one_raised(tmp_path: Path) -> None:
    class Broken(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            raise ValueError("my callback")

    with pytest.raises(ValueError, match="my callback") as caught:
        make(tmp_path, callbacks=[Broken()]).train()
    assert "no checkpoint was written yet" in caught.value.__notes__[0]


class Rows(Dataset[Any]):
    """Rows of which one ends the worker that reads it, or is broken."""

    def __init__(self, bad: str) -> None:
        self.bad = bad

    def __len__(self) -> int:
        return len(DATA)

    def __getitem__(self, row: int) -> Any:
        if row == 30 and get_worker_info() is not None:
            fail(self.bad)
        return DATA[row]


class Stream(IterableDataset[Any]):
    def __init__(self, bad: str) -> None:
        self.bad = bad

    def __iter__(self) -> Any:
        for number, row in enumerate(DATA):
            if number == 14:  # of the eighth batch, or its neighbour
                fail(self.bad)
            yield row


def fail(how: str) -> None:
    if how == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ValueError("row 30 is broken")


@pytest.mark.parametrize(("bad", "said"), [
    ("killed", ["DataLoader worker", "smaller dataloader_num_workers"]),
    ("broken", ["row 30 is broken", "in fail"])])
@pytest.mark.parametrize("source", [Rows, Stream])
def test_a_worker_dies(bad: str, said: list[str], source: type, tmp_path: Path) -> None:
    made = make(tmp_path, data=source(bad), dataloader_num_workers=2, save_steps=1,
                train_sampling_strategy="sequential")
    with pytest.raises((RuntimeError, ValueError)) as caught:
        made.train()
    text = "\n".join([str(caught.value), *caught.value.__notes__])
    assert all(part in text for part in said), text
    assert re.search(r"checkpoint-\d is whole: train\(resume_from_checkpoint=True\)", text)
    assert all(path.name.startswith("checkpoint-") for path in tmp_path.iterdir())


def test_an_error_while_a_save_is_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed worker's error comes by a signal: here at the line that removes a half save."""
    removing = shutil.rmtree
    calls: list[Path] = []

    def once(path: Path, **options: Any) -> None:
        mine = Path(path).parent == tmp_path
        calls.extend([Path(path)] * mine)
        if mine and len(calls) == 1:
            raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed.")
        removing(path, **options)

    class Ends(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            monkeypatch.setattr(shutil, "rmtree", once)

    made = make(tmp_path, callbacks=[Ends()], save_steps=1, save_total_limit=1)
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        made.train()
    assert calls
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_memory_that_runs_out(tmp_path: Path) -> None:
    class Full(Trainer):
        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            if self.state.global_step == 4:
                torch.empty(2**60)  # the system's own error
            return super().training_step(model, inputs, num_items_in_batch)

    with pytest.raises(RuntimeError, match="allocate memory") as caught:
        make(tmp_path, Full).train()
    assert "Do: auto_find_batch_size=True" in caught.value.__notes__[0]
    assert GOES_ON in caught.value.__notes__[1]


NAN = float("nan")


class Regression(torch.nn.Module):
    """Scores of rows of numbers, through two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 1)

    def forward(self, values: Any, labels: Any = None) -> Any:
        scores = self.second(torch.tanh(self.first(values))).squeeze(-1)
        return {"loss": ((scores - labels) ** 2).mean(), "logits": scores}


@pytest.mark.parametrize(("row", "said"), [
    ({"values": [NAN] * 4, "labels": 1.0}, "the input 'values' of the model is not finite"),
    ({"values": [1.0] * 4, "labels": NAN}, "the input 'labels' of the model is not finite"),
    ({"values": [1.0] * 4, "labels": 1e30}, "loss of step 3 is inf.*so it is the loss itself")])
def test_data_that_are_no_numbers(row: dict[str, Any], said: str, tmp_path: Path) -> None:
    data = [{"values": [1.0, 0.5, 0.0, 2.0], "labels": 0.5}] * 8 + [row]
    with pytest.raises(FloatingPointError, match=said) as caught:
        ours(Regression(), tmp_path, data, options={"data_collator": None}, max_steps=3,
             train_sampling_strategy="sequential", per_device_train_batch_size=4,
             save_strategy="steps", save_steps=1).train()
    assert "checkpoint-2 is whole" in caught.value.__notes__[0]
