"""The checkpoints of a Trainer: saved in the background, read by transformers, killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import enfold
from enfold.files import open_checkpoint
from enfold.train.checkpoint import get_last_checkpoint
from enfold.train.trainer import Trainer
from tests.families.pairs import fresh
from tests.families.tiny import TINY
from tests.train.trainer.runs import curve, ours, rows, theirs

SAVING = {"save_strategy": "steps", "save_steps": 3, "max_steps": 9, "learning_rate": 1e-2,
          "per_device_train_batch_size": 4}


class Later(Trainer):
    async_save = True


def train(folder: Path, trainer: type[Trainer] = Trainer, resume: Any = None,
          options: dict[str, Any] | None = None, **arguments: Any) -> Any:
    made = ours(fresh("llama", "ForCausalLM").ours, folder, rows("causal", 30), trainer,
                options, **{**SAVING, **arguments})
    made.train(resume_from_checkpoint=resume)
    return made


def weights(folder: Path) -> dict[str, torch.Tensor]:
    checkpoint = open_checkpoint(str(folder))
    return {name: checkpoint.get(name) for name in checkpoint}


def test_saved_in_the_background_is_what_is_saved_at_once(tmp_path: Path) -> None:
    now, later = train(tmp_path / "now"), train(tmp_path / "later", Later)
    assert curve(now) == curve(later)
    for step in (3, 6, 9):
        one, other = (tmp_path / run / f"checkpoint-{step}" for run in ("now", "later"))
        assert {p.name for p in one.iterdir()} == {p.name for p in other.iterdir()}
        for got, want in zip(weights(other).values(), weights(one).values(), strict=True):
            assert torch.equal(got, want)
        states = [torch.load(at / "optimizer.pt", weights_only=True)["state"]
                  for at in (one, other)]
        for number, state in states[0].items():
            assert all(torch.equal(states[1][number][name], value)
                       for name, value in state.items())
    again = train(tmp_path / "later", Later, tmp_path / "later" / "checkpoint-6")
    assert curve(again) == curve(now)


def test_layers_that_go_by_tiles_follow_transformers_and_resume(tmp_path: Path) -> None:
    sizes = {**TINY["llama"].config(), "hidden_size": 256, "intermediate_size": 384}
    torch.manual_seed(0)
    start = enfold.AutoModelForCausalLM.from_config(enfold.AutoConfig.for_model("llama", **sizes))
    start.save_pretrained(tmp_path / "start")
    common = {**SAVING, "learning_rate": 1e-3, "per_device_train_batch_size": 30, "max_steps": 6}

    def run(folder: str, resume: Any = None) -> Any:
        model = enfold.AutoModelForCausalLM.from_pretrained(tmp_path / "start")
        made = ours(model, tmp_path / folder, rows("causal", 60), **common)
        made.train(resume_from_checkpoint=resume)
        return made

    whole = run("whole")
    again = run("again", tmp_path / "whole" / "checkpoint-3")
    assert curve(again) == curve(whole)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], tensor)
    other = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "start")
    peer = theirs(other, tmp_path / "theirs", rows("causal", 60), **common)
    peer.train()
    assert curve(whole) == pytest.approx(curve(peer), abs=1e-5, rel=1e-5)


def test_an_error_of_the_background_ends_the_run(tmp_path: Path) -> None:
    class Full(Later):
        def _save_beside(self, folder: Path) -> None:
            if self.state.global_step >= 6:
                raise OSError(28, "No space left on device")
            super()._save_beside(folder)

    with pytest.raises(OSError, match="No space left") as caught:
        train(tmp_path, Full, save_steps=6, max_steps=7)
    assert "the one before it is whole" in caught.value.__notes__[0]
    assert get_last_checkpoint(tmp_path) is None


def test_transformers_reads_what_is_beside_the_weights(tmp_path: Path) -> None:
    train(tmp_path)
    folder = tmp_path / "checkpoint-9"
    args = torch.load(folder / "training_args.bin", weights_only=False)
    assert (args.max_steps, args.learning_rate) == (9, 1e-2)
    state = transformers.TrainerState.load_from_json(str(folder / "trainer_state.json"))
    assert state.global_step == 9
    assert transformers.trainer_utils.get_last_checkpoint(str(tmp_path)) == str(folder)
    rng = torch.load(folder / "rng_state.pth", weights_only=False)
    assert {"python", "numpy", "cpu"} <= rng.keys()


@pytest.mark.parametrize("kind", [Trainer, Later])
def test_killed_while_saving_goes_on_from_the_last(tmp_path: Path, kind: type[Trainer]) -> None:
    wanted = curve(train(tmp_path / "whole", save_strategy="no"))
    run = tmp_path / "run"
    if (child := os.fork()) == 0:
        _kill_in_the_second_save()
        train(run, kind)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    last = get_last_checkpoint(run)
    assert last == str(run / "checkpoint-3")
    assert any(path.name.startswith(".enfold-saving") for path in run.iterdir())
    assert curve(train(run, kind, resume=True)) == wanted
    assert {path.name for path in run.iterdir()} == {f"checkpoint-{step}" for step in (3, 6, 9)}


def _kill_in_the_second_save() -> None:
    real, count = torch.save, [0]

    def save(value: Any, path: Any, *rest: Any, **options: Any) -> None:
        if Path(path).name == "optimizer.pt":
            count[0] += 1
            if count[0] == 2:
                Path(path).write_bytes(b"half")
                os.kill(os.getpid(), signal.SIGKILL)
        real(value, path, *rest, **options)

    torch.save = save
