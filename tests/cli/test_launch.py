"""`enfold launch`: torchrun with fewer words, and a plain end when a rank fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from enfold.cli import launch
from enfold.cli.parser import parse

SCRIPT = """\
import os, sys
rank, world = os.environ["RANK"], os.environ["WORLD_SIZE"]
line = f"rank {rank} of {world}: {sys.argv[1:]} {os.environ['OMP_NUM_THREADS']}\\n"
os.write(1, line.encode())  # at once: ranks share the pipe
if "--fail" in sys.argv and rank == "1":
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    return path


def test_words_of_torchrun() -> None:
    args = parse(["launch", "-n", "2", "train.py", "--lr", "1", "--debug", "--", "x"])
    assert launch.words(args, 2) == [
        "--nproc-per-node", "2", "--nnodes", "1", "--max-restarts", "0", "--standalone",
        "train.py", "--lr", "1", "--debug", "--", "x"]
    args = parse(["launch", "--nnodes", "2", "--rdzv-endpoint", "a:1", "--module", "m"])
    assert launch.words(args, 1)[-8:] == ["--rdzv-backend", "c10d", "--rdzv-id", "enfold",
                                          "--rdzv-endpoint", "a:1", "--module", "m"]


def test_runs_every_rank(python, script: Path) -> None:
    done = python("-m", "enfold", "launch", "--nproc-per-node", "2", script, "--lr", "3e-5")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == [f"rank {rank} of 2: ['--lr', '3e-5'] 1"
                                                for rank in range(2)]


def test_a_rank_that_dies_is_named(python, script: Path) -> None:
    done = python("-m", "enfold", "launch", "-n", "2", script, "--fail")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert done.stderr.rstrip().splitlines()[-1] == (
        f"enfold launch: rank 1 of {script} failed first (killed by SIGKILL), and the others were "
        "stopped. What it said is above. Do: mend that and start again, with "
        "trainer.train(resume_from_checkpoint=True)")


@pytest.mark.parametrize(("words", "message"), [
    (["nowhere.py"], "nowhere.py: there is no such file. Do: check the path, or --module for the "
                     "name of a module"),
    (["--nnodes", "2", "--module", "m"],
     "--nnodes 2 and no --rdzv-endpoint. Do: name one machine and a free port of it, the same on "
     "all: --rdzv-endpoint host:29400"),
    (["--address", "auto", "--module", "m"],
     "--address auto is for a Ray cluster. Do: add --ray, or --rdzv-endpoint HOST:PORT for "
     "machines without one"),
    (["--ray", "--rdzv-endpoint", "a:1", "--module", "m"],
     "--rdzv-endpoint a:1 with --ray, which finds one itself. Do: leave it out"),
    (["--ray", "-n", "gpu", "--module", "m"],
     "--nproc-per-node gpu with --ray: expected a number"),
    (["-n", "many", "--module", "m"], "--nproc-per-node many: expected a number, gpu, cpu or auto"),
    (["-n", "gpu", "--module", "m"], "--nproc-per-node gpu: there is no GPU. Do: give a number"),
])
def test_errors(command, words: list[str], message: str) -> None:
    done = command("launch", *words)
    assert (done.code, done.err) == (1, f"enfold launch: {message}\n")


def test_an_unknown_option_before_the_script(command) -> None:
    done = command("launch", "--many", "2", "train.py")
    assert done.code == 2
    assert done.err == "enfold launch: unknown argument --many. Do: enfold launch --help\n"
