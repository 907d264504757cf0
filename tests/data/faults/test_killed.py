"""kill -9 and Ctrl-C in the middle of a pass; two processes at the same pass."""

from __future__ import annotations

import os
import signal

import pytest

from tests.data.faults.conftest import RESULT, Scene, until


@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_process_leaves_nothing_that_is_found(scene: Scene, processes: int) -> None:
    process = scene.start(processes, pause=0.06)
    scene.until_writing()
    process.kill()
    process.wait()
    scene.nobody_left()
    assert scene.results() == [] and scene.drafts()
    scene.finished()
    assert len(scene.results()) == 1 and scene.drafts() == []


def test_a_killed_worker_ends_the_run(scene: Scene) -> None:
    process = scene.start(2, pause=0.06)
    scene.until_writing()
    until(lambda: len(list(scene.traces.iterdir())) == 2)
    worker = int(next(scene.traces.iterdir()).name.removeprefix("worked-"))
    os.kill(worker, signal.SIGKILL)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert f"worker process {worker}" in errors and "SIGKILL" in errors
    scene.nobody_left()
    assert scene.results() == scene.drafts() == list(scene.temporary.iterdir()) == []
    scene.finished()


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("moment", ["the first batch", "the pass"])
def test_ctrl_c_leaves_nothing(scene: Scene, processes: int, moment: str) -> None:
    process = scene.start(processes, pause=0.2, first=1 if moment == "the first batch" else 0)
    assert process.stdout is not None and process.stdout.readline() == "started\n"
    if moment == "the pass":
        scene.until_writing()
    else:
        until(lambda: len(scene.running()) >= processes)
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=10)
    assert process.returncode in (-signal.SIGINT, 130), errors
    assert "KeyboardInterrupt" in errors and RESULT not in output
    scene.nobody_left()
    assert scene.results() == scene.drafts() == list(scene.temporary.iterdir()) == []


def test_two_processes_share_one_result(scene: Scene) -> None:
    both = [scene.start(pause=0.02) for _ in range(2)]
    shown = [process.communicate(timeout=60) for process in both]
    assert [output.splitlines()[-1] for output, _ in shown] == [RESULT] * 2, shown
    assert len(list(scene.traces.iterdir())) == 1
    assert len(scene.results()) == 1 and scene.drafts() == []
