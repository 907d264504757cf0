"""kill -9 in each phase of a run: nothing that was saved is lost, and the run goes on exactly."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.data import Dataset
from enfold.files import open_checkpoint
from enfold.train.callbacks import TrainerCallback
from enfold.train.checkpoint import get_last_checkpoint
from enfold.train.trainer import Trainer
from tests.families.pairs import fresh
from tests.train.trainer.runs import curve, ours, rows

RUN = {"save_strategy": "steps", "save_steps": 3, "max_steps": 9, "learning_rate": 1e-2,
       "per_device_train_batch_size": 4, "eval_strategy": "steps", "eval_steps": 4,
       "save_total_limit": 1}
DATA = rows("causal", 30)
EVENTS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.truncate")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def killed(work: Callable[[], Any]) -> bool:
    """Run `work` in a process of its own; whether it was killed in it."""
    if (child := os.fork()) == 0:
        try:
            work()
        finally:
            os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status == signal.SIGKILL


def train(folder: Path, kind: type[Trainer] = Trainer, resume: Any = None,
          callbacks: Any = ()) -> Any:
    made = ours(fresh("llama", "ForCausalLM").ours, folder, DATA, kind, options={
        "eval_dataset": Dataset.from_list(DATA[:9]), "callbacks": list(callbacks)}, **RUN)
    made.train(resume_from_checkpoint=resume)
    return made


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run that nobody killed."""
    return train(tmp_path_factory.mktemp("whole"))


def goes_on(run: Path, wanted: Any, kind: type[Trainer] = Trainer) -> None:
    """Resumed, or begun anew where nothing was saved, the run is the one that was not killed."""
    made = train(run, kind, resume=get_last_checkpoint(run))
    for name in ("loss", "eval_loss", "grad_norm"):
        assert curve(made, name) == curve(wanted, name), name
    for name, tensor in wanted.model.state_dict().items():
        assert torch.equal(tensor, made.model.state_dict()[name]), name
    assert {path.name for path in run.iterdir()} == {"checkpoint-9"}


@pytest.mark.parametrize(("event", "step", "last"), [
    ("on_step_begin", 0, None), ("on_pre_optimizer_step", 4, 3), ("on_optimizer_step", 5, 3),
    ("on_prediction_step", 4, 3), ("on_save", 6, 6), ("on_epoch_end", 8, 6), ("on_train_end", 9, 9)
])
def test_killed_between_saves(event: str, step: int, last: int | None, tmp_path: Path,
                              wanted: Any) -> None:
    def kill(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step >= step:
            die()

    deadly = type("Deadly", (TrainerCallback,), {event: kill})
    assert killed(lambda: train(tmp_path, callbacks=[deadly()]))
    found = get_last_checkpoint(tmp_path)
    assert found == (None if last is None else str(tmp_path / f"checkpoint-{last}"))
    goes_on(tmp_path, wanted)


class Later(Trainer):
    async_save = True


def dying(run: Path, number: int) -> None:
    """Have this process die at its operation `number` on the files of a run."""
    done = [0]

    def count(*of: Any) -> None:
        done[0] += 1
        if done[0] == number:
            die()

    def look(event: str, args: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wxa")
        if (writes or event in EVENTS) and str(args[0]).startswith(str(run)):
            count()

    real = torch.save

    def save(value: Any, path: Any, *rest: Any, **options: Any) -> None:
        count()
        real(value, path, *rest, **options)
        size = os.path.getsize(path)
        os.truncate(path, size // 2)  # an event: killed with half of the file
        real(value, path, *rest, **options)
        count()

    torch.save = save
    sys.addaudithook(look)


@pytest.mark.parametrize("kind", [Trainer, Later])
def test_killed_at_each_operation_of_a_save(kind: type[Trainer], tmp_path: Path,
                                            wanted: Any) -> None:
    run, before, kept = tmp_path / "run", tmp_path / "before", tmp_path / "kept"
    ends: dict[tuple[str, bool], Path] = {}
    kills = [0]

    class Killed(kind):  # type: ignore[misc, valid-type]
        def _save_checkpoint(self, model: Any, trial: Any = None) -> None:
            if self.state.global_step == 6:
                self._idle_writer()
                shutil.copytree(run, before)
                while killed(lambda: self._dies(model)):
                    look()
            super()._save_checkpoint(model, trial)

        def _dies(self, model: Any) -> None:
            kills[0] += 1
            dying(run, kills[0])
            super()._save_checkpoint(model)
            self._idle_writer()

    def look() -> None:
        """What a kill has left can be read; then all is as before it."""
        kills[0] += 1
        last = get_last_checkpoint(run)
        assert last is not None
        checkpoint = open_checkpoint(last)
        assert all(torch.isfinite(checkpoint.get(name)).all() for name in checkpoint)
        for path in Path(last).glob("*.p*t*"):
            torch.load(path, weights_only=False)
        end = (Path(last).name, any(path.name.startswith(".enfold") for path in run.iterdir()))
        if end not in ends:
            ends[end] = kept / str(len(ends))
            shutil.copytree(run, ends[end])
        shutil.rmtree(run)
        shutil.copytree(before, run)

    made = train(run, Killed)
    assert curve(made) == curve(wanted) and kills[0] > 20
    assert {name for name, _ in ends} == {"checkpoint-3", "checkpoint-6"}
    for folder in ends.values():
        goes_on(folder, wanted, kind)
