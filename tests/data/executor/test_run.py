"""Results, tasks, threads, output, progress and what is sent to workers."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from functools import partial
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest

from enfold.data.executor import process, run_parallel
from enfold.data.executor.process import pool
from enfold.errors import DataError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="workers are POSIX only")

FACTOR = 3


def scaled(x):
    return helper(x) * FACTOR


def helper(x):
    return x + 1


class Scaler:
    """A class of a module that another process can import."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def apply(self, x: int) -> int:
        return x * self.factor


@pytest.mark.parametrize("num_proc", [1, 2, 3])
@pytest.mark.parametrize("here", [True, False])
def test_every_task_is_done_once(go, num_proc: int, here: bool) -> None:
    assert go(lambda x: x * x, range(12), num_proc, here=here) == [x * x for x in range(12)]


def test_there_are_no_more_workers_than_tasks(go, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr(pool, "take", lambda threads, _: taken.append(1) or process.Worker(threads))
    assert go(lambda x: x, range(2), 20) == [0, 1]
    assert len(taken) == 2


def test_no_task_is_no_work(go) -> None:
    assert go(lambda x: x, []) == []


@pytest.mark.parametrize("function", [
    scaled, partial(scaled), Scaler(2).apply, lambda x: scaled(x), len,
], ids=["module", "partial", "method", "lambda", "builtin"])
def test_functions_travel(go, function) -> None:
    tasks = ["a", "bb", "ccc"] if function is len else [1, 2, 3]
    assert go(function, tasks) == [function(task) for task in tasks]


def test_globals_travel_as_they_are_now(go, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "FACTOR", 10)
    assert go(scaled, [1, 2]) == [20, 30]


def test_classes_of_a_module_that_no_import_finds(go, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("enfold_made_by_hand")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec("class Box:\n"
         "    def __init__(self, x): self.x = x\n"
         "def boxed(x): return Box(x).x + 1\n", vars(module))
    assert go(module.boxed, [1, 2]) == [2, 3]


def test_arrow_and_numpy_come_back(go) -> None:
    def table(size: int) -> tuple[pa.Table, np.ndarray]:
        values = np.arange(size)
        return pa.table({"x": values, "t": [f"text {value}" for value in values]}), values

    for size, (got, array) in zip((0, 1, 300_000), go(table, (0, 1, 300_000)), strict=True):
        expected, values = table(size)
        assert got.equals(expected)
        assert array.tolist() == values.tolist()


def test_more_tasks_than_a_pipe_holds(go) -> None:
    assert go(lambda x: -x, range(20_000)) == [-x for x in range(20_000)]


def test_work_is_shared_out_as_it_is_done(go) -> None:
    def slow_first(x: int) -> int:
        time.sleep(0.5 if x == 0 else 0.002)
        return os.getpid()

    pids = go(slow_first, range(60))
    assert pids.count(pids[0]) < 15


def test_this_process_works_until_the_workers_do(go) -> None:
    pids = go(lambda x: (time.sleep(0.02), os.getpid())[1], range(200), here=True)
    assert pids[0] == os.getpid() and len(set(pids)) > 1


def test_short_data_starts_no_process(go, monkeypatch: pytest.MonkeyPatch) -> None:
    pool.close()
    monkeypatch.setattr(subprocess, "Popen", None)
    assert go(lambda x: x, range(20), here=True) == list(range(20))


def test_ranks_pin_tasks(go) -> None:
    ranks = [0, 0, 1, 1, 2, 2]
    pids = go(lambda x: (time.sleep(0.05), os.getpid())[1], range(6), 3, ranks=ranks)
    assert len(set(pids)) == 3
    assert pids[0::2] == pids[1::2]


def test_ranks_are_done_here_too(go) -> None:
    assert go(lambda x: x, range(6), 3, ranks=[0, 0, 1, 1, 2, 2], here=True) == list(range(6))


def test_open_is_called_once_per_process(no_worker_left) -> None:
    class Job:
        def __init__(self) -> None:
            self.opened: list[int] = []

        def open(self, rank: int) -> None:
            self.opened.append(rank)

        def run(self, task, progress):
            time.sleep(0.02)
            return os.getpid(), tuple(self.opened)

    results = {}
    run_parallel(Job(), range(30), 2, on_result=results.__setitem__, here=False)
    by_process = dict(results.values())
    assert sorted(by_process.values()) == [(0,), (1,)]


def test_threads_are_shared_out(go, monkeypatch: pytest.MonkeyPatch) -> None:
    def limits(_):
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS")
        return [os.environ[name] for name in names], pa.cpu_count()

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    monkeypatch.setattr("enfold.data.executor.limits.cores", lambda: 6)
    assert go(limits, [0, 1]) == [(["1", "3", "3", "3"], 3)] * 2


def test_surroundings_are_handed_over(go, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ENFOLD_TEST_VALUE", "here")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    (tmp_path / "json.py").write_text("raise SystemExit('the current folder was imported from')")
    found = go(lambda _: (os.getcwd(), os.environ["ENFOLD_TEST_VALUE"], list(sys.path)), [0, 1])
    assert found == [(str(tmp_path), "here", sys.path)] * 2


def test_workers_load_only_what_the_job_needs(go) -> None:
    pool.close()
    watched = ("torch", "pandas", "tqdm", "numpy", "pyarrow", "transformers")
    loaded = go(lambda _: [name for name in watched if name in sys.modules], [0, 1])
    assert loaded == [["numpy", "pyarrow"]] * 2


def test_idle_workers_are_used_again(go) -> None:
    pool.close()
    first = set(go(lambda _: (time.sleep(0.1), os.getpid())[1], range(4)))
    assert set(go(lambda _: (time.sleep(0.1), os.getpid())[1], range(4))) == first
    os.environ["ENFOLD_TEST_VALUE"] = "another"
    try:
        assert not set(go(lambda _: os.getpid(), range(4))) & first
    finally:
        del os.environ["ENFOLD_TEST_VALUE"]


def test_workers_draw_different_numbers(go) -> None:
    pool.close()
    drawn = go(lambda _: (time.sleep(0.1), random.random(), np.random.rand())[1:], [0, 1])
    assert len({number for numbers in drawn for number in numbers}) == 4


def test_pandas_is_noticed_where_a_job_mentions_it(go) -> None:
    def series(values):
        import pandas

        frame = pandas.DataFrame({"x": values})
        return (pa.array([1, pandas.NA], from_pandas=True).null_count,
                pa.array(frame["x"]).null_count, pa.Table.from_pandas(frame).column("x").null_count)

    def plain(values):
        loaded = any(name.startswith("panda") for name in sys.modules)
        return pa.array(values).null_count, loaded

    values = [1.0, float("nan")]
    pool.close()
    assert go(plain, [values] * 2) == [(0, False)] * 2
    assert go(series, [values] * 2) == [(1, 1, 1)] * 2  # by others
    assert [count for count, _ in go(plain, [values] * 2)] == [0, 0]


def test_pandas_is_noticed_when_something_else_imports_it(go) -> None:
    def series(values):
        from importlib import import_module

        before = pa.array(values).null_count
        frame = import_module("".join(["pan", "das"])).DataFrame({"x": values})
        made = pa.Table.from_pandas(frame).column("x")
        return before, pa.array(frame["x"]).null_count, made.null_count

    pool.close()
    assert go(series, [[1.0, float("nan")]] * 2) == [(0, 1, 1)] * 2


def test_runs_that_share_the_cores_otherwise_leave_each_other_alone(go, monkeypatch) -> None:
    monkeypatch.setattr("enfold.data.executor.limits.cores", lambda: 6)
    found: list[list[int]] = []
    slow = threading.Thread(target=lambda: found.append(
        go(lambda x: (time.sleep(0.1), x)[1], range(10))))
    slow.start()
    time.sleep(0.3)
    assert go(lambda x: x, range(6), 3) == list(range(6))
    slow.join(30)
    assert found == [list(range(10))]


def test_workers_that_imported_a_module_of_the_users_are_not(go, tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "enfold_test_module.py"

    def value(_):
        import enfold_test_module

        return enfold_test_module.VALUE

    module.write_text("VALUE = 1")
    assert go(value, [0, 1]) == [1, 1]
    module.write_text("VALUE = 'two'")
    assert go(value, [0, 1]) == ["two", "two"]


def test_prints_come_here(go, capsys: pytest.CaptureFixture[str]) -> None:
    def say(x: int) -> None:
        print("out", x)
        print("err", x, file=sys.stderr)
        os.system(f"echo by a program {x}")

    go(say, range(3))
    captured = capsys.readouterr()
    assert sorted(captured.out.split("\n")) == ["", *(f"by a program {x}" for x in range(3)),
                                               *(f"out {x}" for x in range(3))]
    assert sorted(captured.err.split("\n")) == ["", "err 0", "err 1", "err 2"]


@pytest.mark.parametrize("here", [True, False])
def test_progress_adds_up(go, here: bool) -> None:
    rows: list[int] = []
    go(lambda x: time.sleep(0.02), range(40), on_progress=rows.append, here=here)
    assert sum(rows) == 40


def test_runs_in_several_threads(go) -> None:
    results: dict[int, list[int]] = {}

    def run(place: int) -> None:
        results[place] = go(lambda x: x + place, range(10))

    threads = [threading.Thread(target=run, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {place: [x + place for x in range(10)] for place in range(3)}


def test_a_run_within_a_worker_stays_there(go) -> None:
    def nested(x: int) -> tuple[bool, list[int]]:
        from enfold.data.executor import run_parallel

        class Job:
            def open(self, rank):
                pass

            def run(self, task, progress):
                return os.getpid()

        found: list[int] = []
        run_parallel(Job(), range(3), 2, on_result=lambda _, pid: found.append(pid))
        return set(found) == {os.getpid()}

    assert go(nested, range(2)) == [True, True]


@pytest.mark.parametrize(("make", "named"), [
    (lambda held: lambda x: held, "captured variable 'held'"),
    (lambda held: partial(max, held), "argument '0'"),
    (lambda held: lambda x, held=held: held, "default 'held'"),
    (lambda held: lambda x, all={"deep": [held]}: all, "item 0"),
])
def test_what_cannot_be_pickled_is_named(go, make, named: str) -> None:
    with pytest.raises(DataError, match=rf"{named}, a _thread\.lock.*Do: make it inside"):
        go(make(threading.Lock()))


def test_fifty_runs_in_a_row(go) -> None:
    for size in range(50):
        assert go(lambda x: x, range(size)) == list(range(size))
