"""A full disk: the error says what to do, what was written before is whole, nothing is left."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enfold.train.checkpoint import get_last_checkpoint
from enfold.train.trainer import Trainer
from tests.families.pairs import fresh
from tests.train.trainer.runs import curve, ours, rows

RUN = {"save_strategy": "steps", "save_steps": 3, "max_steps": 9, "learning_rate": 1e-2,
       "per_device_train_batch_size": 4}


class Later(Trainer):
    async_save = True


def trained(run: Path, kind: type[Trainer], resume: bool = False) -> Any:
    made = ours(fresh("llama", "ForCausalLM").ours, run, rows("causal", 30), kind, **RUN)
    made.train(resume_from_checkpoint=resume)
    return made


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own with room for a checkpoint and a half."""
    folder = tmp_path / "disk"
    folder.mkdir()
    trained(tmp_path / "sizes", Trainer)
    size = sum(path.stat().st_size // 4096 * 4096 + 4096
               for path in (tmp_path / "sizes" / "checkpoint-3").iterdir())
    command = ["mount", "-t", "tmpfs", "-o", f"size={size * 3 // 2}", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root mounts a disk of its own")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def check(run: Path, error: BaseException, kind: type[Trainer]) -> None:
    text = "\n".join([str(error), *error.__notes__])
    assert "Do: free some space" in text and "bytes" in text, text
    assert "checkpoint-3 is whole: train(resume_from_checkpoint=True)" in text
    assert {path.name for path in run.iterdir()} == {"checkpoint-3"}
    assert get_last_checkpoint(run) == str(run / "checkpoint-3")


@pytest.mark.parametrize("kind", [Trainer, Later])
def test_no_space_left(kind: type[Trainer], small_disk: Path, tmp_path: Path) -> None:
    run = small_disk / "run"
    with pytest.raises(OSError, match="a checkpoint could not be written") as caught:
        trained(run, kind)
    check(run, caught.value, kind)
    shutil.copytree(run, tmp_path / "roomy")
    made = trained(tmp_path / "roomy", kind, resume=True)
    assert curve(made) == curve(trained(tmp_path / "whole", Trainer))


@pytest.mark.parametrize("file", ["model.safetensors", "optimizer.pt"])
@pytest.mark.parametrize("kind", [Trainer, Later])
def test_a_file_that_can_not_be_written(kind: type[Trainer], file: str, tmp_path: Path) -> None:
    """The second time this file is written the system refuses, as a quota does."""
    run = tmp_path / "run"

    class Limited(kind):  # type: ignore[misc, valid-type]
        def _save_checkpoint(self, model: Any, trial: Any = None) -> None:
            before = resource.getrlimit(resource.RLIMIT_FSIZE)
            if self.state.global_step == 6:
                size = os.path.getsize(run / "checkpoint-3" / file)
                resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, before[1]))
            try:
                super()._save_checkpoint(model, trial)
                self._idle_writer()
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, before)

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with pytest.raises(OSError, match="a checkpoint could not be written") as caught:
            trained(run, Limited)
    finally:
        signal.signal(signal.SIGXFSZ, handler)
    check(run, caught.value, kind)
