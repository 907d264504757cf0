"""Two ranks: streams that end unevenly, what they put together, and one of them dying."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enfold.train.checkpoint import get_last_checkpoint
from tests.train.faults import rank

ROOT = Path(__file__).parents[3]


def ranks(count: int, out: Path, *kinds: str) -> list[tuple[int, str]]:
    """How each process ended, and what it said; none may take two minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "tests.train.faults.rank", str(out), *kinds]
    started = [subprocess.Popen(command, cwd=ROOT, text=True, stderr=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, env={
                                    **os.environ, "OMP_NUM_THREADS": "1", "RANK": str(rank),
                                    "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count),
                                    "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})
               for rank in range(count)]
    try:
        return [(one.wait(120), one.communicate()[1]) for one in started]
    finally:
        for one in started:
            one.kill()


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("two")


@pytest.fixture(scope="module")
def ended(out: Path) -> list[tuple[int, str]]:
    """One start of two processes for all tests, as starting them takes longest."""
    return ranks(2, out, "uneven", "averages", "objects", "nan", "killed")


@pytest.fixture
def two(ended: list[tuple[int, str]], out: Path) -> Callable[[str], Any]:
    """What a kind found."""
    def read(kind: str) -> Any:
        path = out / f"{kind}.json"
        assert path.is_file(), ended[0][1][-3000:]
        return json.loads(path.read_text())

    return read


def test_streams_that_end_unevenly(two: Callable[[str], Any], tmp_path: Path) -> None:
    one, got = rank.uneven(tmp_path), two("uneven")
    assert len(got["loss"]) == 8 and got["rows"] == one["rows"] == 1
    for name in ("loss", "norm", "eval", "one", "epoch"):
        assert got[name] == pytest.approx(one[name], abs=1e-5, rel=1e-5), name


def test_average_tokens_across_devices(two: Callable[[str], Any]) -> None:
    found = two("averages")
    assert found["each"][0] != pytest.approx(found["each"][1], abs=1e-3)
    assert found["loss"][0] == pytest.approx(sum(found["each"]) / 2, abs=1e-5)


def test_eval_use_gather_object(two: Callable[[str], Any]) -> None:
    assert two("objects")["texts"] == two("objects")["wanted"]


def test_a_loss_of_one_rank_is_no_number(two: Callable[[str], Any]) -> None:
    first, second = two("nan")["said"]
    assert "the loss of step 5 is nan" in second and "the weight 'model.embed" in second
    assert "means over all ranks, of which another may say more" in first


def test_a_rank_is_killed(ended: list[tuple[int, str]], out: Path) -> None:
    (code, said), (other, _) = ended
    assert (code, other) == (1, -signal.SIGKILL)
    assert "Another rank has ended, so this one can't go on" in said, said[-3000:]
    assert "checkpoint-3 is whole: train(resume_from_checkpoint=True)" in said
    assert get_last_checkpoint(out / "killed") == str(out / "killed" / "checkpoint-3")
