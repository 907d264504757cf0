"""A checkpoint is there whole or not at all, whenever its writer is killed."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from enfold.errors import CheckpointError
from enfold.train.checkpoint import Writer, get_last_checkpoint, rotate_checkpoints, writing
from enfold.train.checkpoint.folders import checkpoints

STATE = "trainer_state.json"


def save(run: Path, step: int, text: str = "new", writer: Writer | None = None) -> None:
    with writing(run / f"checkpoint-{step}", writer=writer) as folder:
        for name in ("model.safetensors", "optimizer.pt"):
            (folder / name).write_text(f"{text} {name}")
        (folder / STATE).write_text(f'{{"step": "{text}"}}')


def content(folder: Path | str) -> dict[str, str]:
    return {path.name: path.read_text() for path in Path(folder).iterdir()}


def whole(text: str) -> dict[str, str]:
    return {"model.safetensors": f"{text} model.safetensors",
            "optimizer.pt": f"{text} optimizer.pt", STATE: f'{{"step": "{text}"}}'}


def names(run: Path) -> set[str]:
    return {path.name for path in run.iterdir()}


CALLS = [(os, "replace"), (os, "fsync"), (os, "mkdir"), (os, "unlink"), (os, "rmdir"),
         (Path, "write_text")]


def killed_at(number: int, work: Callable[[], Any], when: str) -> bool:
    """Run `work` in a process killed at its call `number` to the disk; whether it was."""
    if (child := os.fork()) == 0:
        count = [0]
        for owner, name in CALLS:
            setattr(owner, name, _deadly(getattr(owner, name), count, number, when))
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status == signal.SIGKILL


def _deadly(function: Any, count: list[int], number: int, when: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        count[0] += 1
        if count[0] == number and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        this = count[0]
        try:
            return function(*args, **kwargs)
        finally:
            if this == number:
                os.kill(os.getpid(), signal.SIGKILL)

    return call


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_each_call_to_the_disk(tmp_path: Path, when: str) -> None:
    number, killed = 0, True
    while killed:
        run = tmp_path / str(number)
        save(run, 10, "old")

        def work(run: Path = run) -> None:
            save(run, 20, "new")
            rotate_checkpoints(str(run), 1)

        number += 1
        killed = killed_at(number, work, when)
        last = get_last_checkpoint(run)
        assert last is not None
        assert content(last) == whole("new" if last.endswith("20") else "old")
        save(run, 20, "again")  # the next run goes on, and leaves nothing behind
        rotate_checkpoints(str(run), 1)
        assert names(run) == {"checkpoint-20"}
        assert content(run / "checkpoint-20") == whole("again")
    assert number > 12  # there was much to be killed at


@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_while_a_step_is_saved_again(tmp_path: Path, when: str) -> None:
    number, killed = 0, True
    while killed:
        run = tmp_path / str(number)
        save(run, 10, "old")
        number += 1
        killed = killed_at(number, lambda run=run: save(run, 10, "new"), when)
        assert get_last_checkpoint(run) == str(run / "checkpoint-10")
        assert content(run / "checkpoint-10") in (whole("old"), whole("new"))
        save(run, 10, "again")
        assert names(run) == {"checkpoint-10"}
    assert number > 12


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    save(tmp_path, 10, "old")
    with pytest.raises(OSError, match="no space"):
        _fill_the_disk(tmp_path / "checkpoint-10")
    assert names(tmp_path) == {"checkpoint-10"}
    assert content(tmp_path / "checkpoint-10") == whole("old")


def _fill_the_disk(folder: Path) -> None:
    with writing(folder) as staging:
        (staging / "half").write_text("half")
        raise OSError(28, "no space left on device")


def test_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-1").write_text("")
    with pytest.raises(CheckpointError, match="can't save to .*checkpoint-1: it is a file"):
        save(tmp_path, 1)


def test_last_passes_over_halves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert get_last_checkpoint(tmp_path) is None
    for step in (5, 9, 10):
        save(tmp_path, step)
    (tmp_path / "checkpoint-9" / "optimizer.pt").unlink()  # save_only_model
    (tmp_path / "checkpoint-20").mkdir()
    (tmp_path / "checkpoint-30").mkdir()
    (tmp_path / "checkpoint-30" / STATE).write_text('{"step"')
    (tmp_path / "checkpoint-best").mkdir()
    (tmp_path / "checkpoint-40").write_text("")
    assert get_last_checkpoint(str(tmp_path)) == str(tmp_path / "checkpoint-10")
    assert "checkpoint-20, checkpoint-30, checkpoint-40 have no complete trainer_state.json" \
        in caplog.text


@pytest.mark.parametrize(("limit", "best", "only_best", "kept"), [
    (None, None, False, [1, 2, 3, 10]), (0, None, False, [1, 2, 3, 10]), (2, None, False, [3, 10]),
    (2, 2, False, [2, 10]), (1, 2, False, [2, 10]), (1, 10, False, [10]), (1, 2, True, [2]),
    (3, 1, False, [1, 3, 10])])
def test_rotation(tmp_path: Path, limit: int | None, best: int | None, only_best: bool,
                  kept: list[int]) -> None:
    for step in (1, 2, 3, 10):
        save(tmp_path, step)
    rotate_checkpoints(str(tmp_path), limit,
                       None if best is None else str(tmp_path / f"checkpoint-{best}"), only_best)
    assert names(tmp_path) == {f"checkpoint-{step}" for step in kept}


def test_rotation_keeps_what_was_written_last(tmp_path: Path) -> None:
    for step in (50, 60, 10):  # resumed from an early step
        save(tmp_path, step)
        path = tmp_path / f"checkpoint-{step}" / STATE
        os.utime(path, ns=(1, {50: 1, 60: 2, 10: 3}[step] * 10**9))
    rotate_checkpoints(str(tmp_path), 1)
    assert names(tmp_path) == {"checkpoint-10"}


# ---- in the background ---------------------------------------------------------------------------
def test_saved_in_the_background(tmp_path: Path) -> None:
    writer, go_on, weight = Writer(background=True), threading.Event(), torch.zeros(3)
    with writing(tmp_path / "checkpoint-1", writer=writer) as folder:
        writer.do(go_on.wait)
        writer.save({"w": [weight]}, folder / "optimizer.pt")
        (folder / STATE).write_text("{}")
    writer.start()
    weight += 1  # training goes on
    assert checkpoints(tmp_path) == []
    go_on.set()
    writer.wait()
    assert checkpoints(tmp_path) == [tmp_path / "checkpoint-1"]
    assert torch.equal(torch.load(tmp_path / "checkpoint-1" / "optimizer.pt")["w"][0],
                       torch.zeros(3))


def test_an_error_in_the_background_is_raised(tmp_path: Path) -> None:
    writer = Writer(background=True)
    save(tmp_path, 1, "old", writer)
    writer.start()
    writer.wait()
    with writing(tmp_path / "checkpoint-2", writer=writer) as folder:
        writer.save(1, folder / "nowhere" / "optimizer.pt")
    writer.start()
    with pytest.raises(RuntimeError, match="nowhere") as caught:
        writer.wait()
    assert "the one before it is whole" in caught.value.__notes__[0]
    writer.wait()
    assert checkpoints(tmp_path) == [tmp_path / "checkpoint-1"]
