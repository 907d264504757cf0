"""What goes wrong in a worker, in the parent, or in the middle: an error soon, nothing left."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enfold.data.executor import WorkerError
from enfold.data.executor.faults import WorkerTraceback
from enfold.data.executor.process import pool

pytestmark = pytest.mark.skipif(os.name != "posix", reason="workers are POSIX only")


class Custom(ValueError):
    """An exception of a user's module."""


class Stubborn(Exception):
    """One that pickle can't make again: it takes two arguments and hands on one."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)


@pytest.fixture
def soon() -> Iterator[None]:
    """The test ends long before the slow tasks in it would."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 20


def failing(error: Callable[[], BaseException]) -> Callable[[int], int]:
    def run(x: int) -> int:
        if x == 3:
            raise error()
        time.sleep(0.02 if x < 3 else 30)
        return x

    return run


@pytest.mark.parametrize("error", [Custom("no such row"), KeyError("text"), SystemExit(3)])
def test_what_a_worker_raises_is_raised_here(go, soon, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        go(failing(lambda: error))
    assert caught.value.args == error.args
    assert isinstance(caught.value.__cause__, WorkerTraceback)
    text = str(caught.value.__cause__)
    assert "raise error()" in text and "test_faults.py" in text and "in worker process" in text


def test_an_exception_of_a_class_in_a_function_keeps_its_text(go, soon) -> None:
    class Local(Exception):
        pass

    with pytest.raises(WorkerError, match=r"raised .*Local: the reason"):
        go(failing(lambda: Local("the reason")))


def test_an_exception_that_cannot_travel_keeps_its_text(go, soon) -> None:
    with pytest.raises(WorkerError, match=r"raised .*Stubborn: two arguments") as caught:
        go(failing(lambda: Stubborn("two arguments", 1)))
    assert "raise error()" in str(caught.value.__cause__)


def test_an_exception_here_ends_the_workers(go, soon) -> None:
    def fails(x: int) -> None:
        time.sleep(0.3 if x < 3 else 30)
        if x == 2 or (x == 0 and os.getpid() == here):
            raise Custom("here")

    here = os.getpid()
    with pytest.raises(Custom):
        go(fails, here=True, seconds=100)


def test_an_exception_of_a_worker_ends_a_task_here(go, soon) -> None:
    """The task in this process is left at its next report of progress."""
    from enfold.data.executor import run_parallel

    here = os.getpid()

    class Job:
        def open(self, rank: int) -> None:
            if os.getpid() != here:
                raise Custom("at the start")

        def run(self, task, progress):
            for _ in range(300):
                time.sleep(0.1)
                progress(1)

    with pytest.raises(Custom, match="at the start"):
        run_parallel(Job(), range(4), 2, on_result=lambda *_: None, seconds=100)


def die(how: str) -> None:
    print("last words", file=sys.stderr)
    if how == "exit":
        os._exit(7)
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "fork":  # a process of the function's holds the connection open
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)
    ctypes.string_at(0)


@pytest.mark.parametrize(("how", "said"), [
    ("exit", "exited with code 7"), ("kill", r"killed by signal 9 \(SIGKILL\)"),
    ("fork", r"killed by signal 9 \(SIGKILL\)"), ("segfault", r"killed by signal 11 \(SIGSEGV\)"),
])
def test_a_worker_that_dies_is_told_of(go, soon, how: str, said: str) -> None:
    def run(x: str) -> None:
        if x == "deadly":
            die(how)
        time.sleep(30)

    with pytest.raises(WorkerError, match=f"{said} while on task 1 of 3 ..deadly.") as caught:
        go(run, ["deadly", "b", "c"])
    assert "last words" in str(caught.value) and "Do: look" in str(caught.value)
    if how == "segfault":
        assert "Segmentation fault" in str(caught.value)


def test_a_worker_killed_from_outside(go, soon) -> None:
    def run(x: int) -> int:
        if x == 4:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(30)
        return x

    with pytest.raises(WorkerError, match=r"SIGTERM.* task 5 of 8 \(4\)"):
        go(run)


def test_the_next_run_is_whole(go, soon) -> None:
    for _ in range(3):
        with pytest.raises(WorkerError):
            go(lambda x: os._exit(1))
        assert go(lambda x: x) == list(range(8))


def test_the_stem_killed_ends_the_run_and_the_next_is_whole(go, soon) -> None:
    def run(x: int) -> int:
        if x == 3:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(30)
        return x

    with pytest.raises(WorkerError, match="worker process"):
        go(run)
    assert go(lambda x: x) == list(range(8))


def test_an_interpreter_that_cannot_start_is_named(go, soon, monkeypatch) -> None:
    pool.close()
    monkeypatch.setattr(sys, "executable", "/bin/cat")
    with pytest.raises(WorkerError, match=r"can't be started: /bin/cat ended(.|\n)*invalid option"):
        go(lambda x: x)


def test_an_idle_worker_that_was_killed_is_not_used(go, soon) -> None:
    pids = set(go(lambda x: (time.sleep(0.1), os.getpid())[1], range(4)))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for worker in pool.idle:
        worker.process.wait()
    assert not pids & set(go(lambda x: os.getpid()))


SCRIPT = """
import os, sys, time
from enfold.data.executor import run_parallel
class Job:
    def open(self, rank): pass
    def run(self, task, progress):
        {body}
def done(number, result):
    print(result, flush=True)
print("began", os.getpid(), flush=True)
{call}
print("over", flush=True)
"""
CALL = "run_parallel(Job(), range(40), 2, on_result=done, here={here}, seconds=100)"
LONG = CALL.replace("40", "4000")
SLOW = "time.sleep(0.1); return os.getpid()"


def script(tmp_path: Path, here: bool, body: str = SLOW, call: str = LONG) -> subprocess.Popen[str]:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(body=body, call=call.format(here=here)))
    return subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True,
                            stderr=subprocess.PIPE, start_new_session=True,
                            env=os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": str(tmp_path)})


def workers_of(process: subprocess.Popen[str], count: int) -> set[int]:
    """So many workers, once each has done a task."""
    found: set[int] = set()
    assert process.stdout is not None
    while len(found) < count:
        line = process.stdout.readline()
        assert line, "the script ended"
        found |= {int(line)} - {process.pid} if line.strip().isdigit() else set()
    return found


def gone(pids: set[int], within: float = 5.0) -> bool:
    deadline = time.monotonic() + within
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("here", [False, True])
def test_workers_end_when_the_parent_is_killed(tmp_path: Path, here: bool) -> None:
    process = script(tmp_path, here)
    workers = workers_of(process, 1 if here else 2)
    process.kill()
    process.wait()
    assert gone(workers)


@pytest.mark.parametrize("here", [False, True])
@pytest.mark.parametrize("group", [True, False])
def test_ctrl_c_leaves_nothing(tmp_path: Path, here: bool, group: bool) -> None:
    process = script(tmp_path, here)
    workers = workers_of(process, 1 if here else 2)
    if group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert err.count("KeyboardInterrupt") == 1 and "over" not in out
    assert gone(workers) and os.listdir(tmp_path) == ["script.py"]


def test_ctrl_c_while_workers_start(tmp_path: Path) -> None:
    process = script(tmp_path, here=False)
    assert process.stdout is not None and process.stdout.readline().startswith("began")
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == -signal.SIGINT
    assert err.count("Traceback") == 1
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_ctrl_c_does_not_wait_for_a_slow_start(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import signal, sys, time\n"
        "if '-c' in sys.orig_argv:\n"
        "    signal.signal(signal.SIGINT, lambda *_: None)\n"
        "    time.sleep(20)\n")
    process = script(tmp_path, here=False)
    assert process.stdout is not None and process.stdout.readline().startswith("began")
    time.sleep(1)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=8)
    assert process.returncode == -signal.SIGINT
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_script_without_main_guard_ends_with_its_workers(tmp_path: Path) -> None:
    process = script(tmp_path, here=False, body="return os.getpid()", call=CALL)
    out, err = process.communicate(timeout=30)
    lines = out.split()
    assert (process.returncode, err) == (0, "")
    assert lines.count("began") == 1 and lines[-1] == "over"
    assert gone({int(line) for line in lines if line.isdigit()})


def test_at_the_import_of_a_module(tmp_path: Path, python) -> None:
    (tmp_path / "at_import.py").write_text(
        SCRIPT.format(body="return other(task)", call=CALL.format(here=False))
        .replace("class Job", "RATE = 2\ndef other(x): return x * RATE\nclass Job"))
    done = python("-c", "import at_import; print('imported')",
                  env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split()
    assert lines.count("began") == 1 and lines[-2:] == ["over", "imported"]
    assert sorted(map(int, lines[2:-2])) == [x * 2 for x in range(40)]


def test_after_a_fast_tokenizer_was_used(tmp_path: Path, python, minilm: Path) -> None:
    (tmp_path / "tokens.py").write_text(f"""
from tokenizers import Tokenizer
from enfold.data.executor import run_parallel
tok = Tokenizer.from_file({str(minilm / "tokenizer.json")!r})
tok.encode_batch(["some text", "more of it"] * 50)
class Job:
    def open(self, rank): pass
    def run(self, task, progress): return [len(e.ids) for e in tok.encode_batch(["a b"] * task)]
got = {{}}
for _ in range(5):
    run_parallel(Job(), range(3), 2, on_result=got.__setitem__, here=False)
    assert [len(got[n]) for n in range(3)] == [0, 1, 2]
""")
    done = python(tmp_path / "tokens.py", env={"TOKENIZERS_PARALLELISM": "true"})
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fork_of_this_process_leaves_the_workers_alone(go) -> None:
    go(lambda x: (time.sleep(0.1), os.getpid())[1], range(4))
    pids = {worker.process.pid for worker in pool.idle}  # a late one may have got no task
    child = os.fork()
    if child == 0:
        os._exit(len(pool.idle))
    assert os.waitpid(child, 0)[1] == 0
    assert set(go(lambda x: (time.sleep(0.1), os.getpid())[1], range(4))) <= pids


def test_a_worker_ends_after_some_idle_seconds(go, monkeypatch: pytest.MonkeyPatch) -> None:
    go(lambda x: x)
    worker = pool.idle[-1]
    worker.idle_since -= 60
    assert os.getpid() != worker.process.pid
    pids = go(lambda x: os.getpid())
    assert worker.process.pid not in pids and worker.process.returncode is not None
