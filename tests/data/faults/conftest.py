"""A script that maps a file slowly, in processes that can be found again, and what they left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex

import pyarrow as pa
import pytest

ROWS = 3000
SCRIPT = """
import os, sys, time
from pathlib import Path
from enfold.data import Dataset, disable_progress_bars
disable_progress_bars()

def slow(row):
    if not row["n"] % 50:
        first = row["n"] < 1000
        if not first:
            Path(os.environ["TRACES"], f"worked-{os.getpid()}").touch()
        time.sleep(float(os.environ["FIRST" if first else "PAUSE"]))
    return {"m": row["n"] * 2, "long": row["text"] * 3}

print("started", flush=True)
rows = Dataset.from_file(sys.argv[1]).map(slow, num_proc=int(sys.argv[2]))
print("mapped", flush=True)
print(len(rows), sum(rows["m"]), rows[len(rows) - 1]["m"], flush=True)
"""
RESULT = f"{ROWS} {sum(range(ROWS)) * 2} {(ROWS - 1) * 2}"


@pytest.fixture
def file(tmp_path: Path) -> str:
    """An Arrow stream of "text" and "n", as `datasets` writes them."""
    return str(written(tmp_path / "data.arrow"))


def written(path: Path) -> Path:
    table = pa.table({"text": [f"row {n} " + "x" * 100 for n in range(ROWS)],
                      "n": list(range(ROWS))})
    with pa.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=700)
    return path


class Scene:
    """A cache, a folder for temporary files, and the processes that use them."""

    def __init__(self, folder: Path, file: str) -> None:
        self.folder, self.file, self.mark = folder, file, token_hex(8)
        self.cache, self.temporary, self.traces = (folder / name for name in
                                                   ("cache/data", "temporary", "traces"))
        for path in (self.temporary, self.traces):
            path.mkdir()
        self.started: list[subprocess.Popen[str]] = []

    def start(self, processes: int = 1, pause: float = 0.0,
              first: float = 0.0) -> subprocess.Popen[str]:
        """The script, in a process group of its own; pauses in seconds for every 50 rows.

        first: for the first thousand rows, which are run at once.
        """
        env = os.environ | {
            "ENFOLD_CACHE": str(self.cache.parent), "TMPDIR": str(self.temporary),
            "PAUSE": str(pause), "FIRST": str(first), "TRACES": str(self.traces),
            "FAULTS": self.mark}
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, self.file, str(processes)], env=env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        self.started.append(process)
        return process

    def finished(self) -> None:
        """Run the script without pauses: it must succeed."""
        output, errors = self.start().communicate(timeout=60)
        assert output.splitlines()[-1:] == [RESULT], errors

    def until_writing(self) -> None:
        """Wait until a result is being written."""
        until(lambda: any(self.cache.glob("*/.*/data.arrow/*")))

    def running(self) -> list[int]:
        """The processes of this scene that are alive, but for those waited for."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                if self.mark.encode() in _environment(pid)]

    def results(self) -> list[str]:
        """The keys of whole results in the cache."""
        return [path.parent.name for path in self.cache.glob("*/*/data.arrow")
                if not path.parent.name.startswith(".") and not path.parent.name.endswith("-head")]

    def drafts(self) -> list[Path]:
        """What is half-written in the cache."""
        return [path for path in self.cache.glob("*/.*") if path.parent.name != ".locks"]

    def nobody_left(self) -> None:
        """Every process ends within seconds."""
        until(lambda: not self.running(), 8)


@pytest.fixture
def scene(tmp_path: Path, file: str) -> Iterator[Scene]:
    if not os.path.isdir("/proc/self"):
        pytest.skip("processes are looked up in /proc, which is not here")
    scene = Scene(tmp_path, file)
    yield scene
    for process in scene.started:
        if process.poll() is None:
            process.kill()
        process.communicate()
    scene.nobody_left()


def until(done: Callable[[], object], seconds: float = 30) -> None:
    """Wait for something to be true."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
