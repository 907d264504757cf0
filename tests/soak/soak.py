"""500 runs of `map(num_proc=2)` in the situations that hang other libraries (`make soak`).

Each situation is a script in a process of its own, which has a minute; a run is one `map`.  What
hangs, fails, or leaves a process or a file behind is told, and the exit code is 1.

    python tests/soak/soak.py [--runs 500] [--only tokenizer]
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

MINUTE = 60.0
MAPS = 4  # runs in one process: small and larger data, workers started anew and used again

# Every other process starts workers whatever the data is worth, so that 3 rows have them too.
HEAD = """
import os, signal, sys, time
import enfold.data as data
from enfold.data.executor import process, run
from enfold.data.plan import parallel
data.disable_progress_bars()
data.disable_caching()
if {forced}:
    run._SETTLED = run._WORTH = run._WORTH_STEM = run._WORTH_WARM = parallel._BELIEVED = -1.0
    parallel._BEGIN = 1

def mapped(rows, number, function=None):
    ds = data.Dataset.from_dict({{"x": list(range(rows))}})
    out = ds.map(function or (lambda row: {{"y": row["x"] + number}}), num_proc=2)
    assert len(out) == rows
    return out

def checked(rows, number):
    assert mapped(rows, number)["y"][:] == [x + number for x in range(rows)]

def four():
    checked(3, 1)
    checked(10_000, 2)
    process.pool.close()
    checked(3, 3)
    checked(10_000, 4)
"""

SCRIPTS = {
    "script": "four()",
    "tokenizer": """
from tokenizers import Tokenizer, models, pre_tokenizers
tok = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
tok.pre_tokenizer = pre_tokenizers.Whitespace()
tok.encode_batch(["a b c"] * 1000)
for rows in (3, 10_000, 3, 10_000):
    out = mapped(rows, 0, lambda row: {"n": len(tok.encode("a b " * (row["x"] % 7)).ids)})
    assert out["n"][:] == [x % 7 * 2 for x in range(rows)]
    if rows == 10_000:
        process.pool.close()
""",
    "import": "import at_import; assert at_import.DONE",
    "pytest": """
import pytest
sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", "test_map.py"]))
""",
    "threads": """
from threading import Thread
failed = []
def work(number):
    try:
        checked(3, number)
        checked(10_000, number)
    except BaseException as error:
        failed.append(error)
threads = [Thread(target=work, args=(number,)) for number in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert not failed, failed
""",
    "fork": """
import multiprocessing
checked(10_000, 1)
with multiprocessing.get_context("fork").Pool(1) as pool:
    assert pool.apply(abs, (-3,)) == 3
checked(10_000, 2)
checked(3, 3)
checked(10_000, 4)
""",
    "raises": """
def fails(row):
    time.sleep(0.0002)
    if row["x"] == 4_000:
        raise KeyError("row 4000")
    return {"y": 1}
for _ in range(4):
    try:
        mapped(10_000, 0, fails)[9_999]
    except KeyError as error:
        assert error.args == ("row 4000",)
    else:
        raise AssertionError("no error")
""",
    "dies": """
here = os.getpid()
def dies(row):
    time.sleep(0.0002)
    if os.getpid() != here:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"y": 1}
for _ in range(4):
    began = time.monotonic()
    try:
        mapped(10_000, 0, dies)[9_999]
    except RuntimeError as error:
        assert "SIGKILL" in str(error), error
        assert time.monotonic() - began < 15
    else:
        raise AssertionError("no error")
""",
}  # fmt: skip
ENDLESS = """
def slow(row):
    time.sleep(0.002 if row["x"] < 1500 else 0.05)
    return {"y": os.getpid()}
print("began", flush=True)
mapped(10_000, 0, slow)[9_999]
"""


def main() -> int:
    """Run all situations; 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--only", help="one situation")
    args = parser.parse_args()
    return 1 if soak(args.runs, args.only) else 0


def soak(runs: int = 500, only: str | None = None) -> list[str]:
    """What failed in so many runs, or a few more; a line each."""
    situations: dict[str, Callable[[Path, bool], str | None]] = {
        **{name: _script(body) for name, body in SCRIPTS.items()},
        "parent killed": _ended(signal.SIGKILL), "ctrl-c": _ended(signal.SIGINT)}
    chosen = {only: situations[only]} if only else situations
    rounds = -(-runs // (MAPS * len(chosen)))
    failures: list[str] = []
    for name, situation in chosen.items():
        began, slowest, failed = time.monotonic(), 0.0, 0
        for number in range(rounds):
            since = time.monotonic()
            if said := _tried(situation, forced=number % 2 == 1):
                failures.append(f"{name}, process {number}: {said}")
                failed += 1
                print(failures[-1], flush=True)
            slowest = max(slowest, time.monotonic() - since)
        print(f"{name:14} {rounds * MAPS:4} runs, {failed} failed, {time.monotonic() - began:.0f} s"
              f" (slowest process {slowest:.1f} s)", flush=True)
    return failures


def _tried(situation: Callable[[Path, bool], str | None], forced: bool) -> str | None:
    """What went wrong; None if nothing did."""
    with tempfile.TemporaryDirectory() as folder:
        return situation(Path(folder), forced)


def _script(body: str) -> Callable[[Path, bool], str | None]:
    def situation(folder: Path, forced: bool) -> str | None:
        process = _started(folder, forced, body)
        try:
            _, err = process.communicate(timeout=MINUTE)
        except subprocess.TimeoutExpired:
            return f"hangs: {_killed(process)}"
        if process.returncode:
            return f"exit code {process.returncode}: {err[-2000:]}"
        return _left(process)

    return situation


def _ended(number: signal.Signals) -> Callable[[Path, bool], str | None]:
    """A run that is ended from outside while workers are at work."""
    def situation(folder: Path, forced: bool) -> str | None:
        process = _started(folder, forced, ENDLESS)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(1.2)
        if number == signal.SIGKILL:
            process.kill()
        else:
            os.killpg(process.pid, number)
        try:
            _, err = process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            return f"hangs: {_killed(process)}"
        if process.returncode != -number:
            return f"exit code {process.returncode}: {err[-2000:]}"
        return _left(process) or (_files(folder) if number == signal.SIGINT else None)

    return situation


def _started(folder: Path, forced: bool, body: str) -> subprocess.Popen[str]:
    head = HEAD.format(forced=forced)
    (folder / "tmp").mkdir()
    (folder / "script.py").write_text(head + body)
    (folder / "at_import.py").write_text(head + "four()\nDONE = True\n")
    (folder / "test_map.py").write_text(head + "def test_map():\n    four()\n")
    env = os.environ | {"TMPDIR": str(folder / "tmp"), "HF_HOME": str(folder / "home"),
                        "PYTHONHASHSEED": "random", "TOKENIZERS_PARALLELISM": "true"}
    return subprocess.Popen([sys.executable, "script.py"], cwd=folder, env=env, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            start_new_session=True)


def _killed(process: subprocess.Popen[str]) -> str:
    """End a process group, and what it had said."""
    os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[1][-2000:]


def _left(process: subprocess.Popen[str]) -> str | None:
    """Processes of the group that live on."""
    for _ in range(50):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    return "a process was left"


def _files(folder: Path) -> str | None:
    found = [str(path) for path in (folder / "tmp").rglob("*") if path.is_file()]
    return f"files were left: {found[:5]}" if found else None


if __name__ == "__main__":
    sys.exit(main())
