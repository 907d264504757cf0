"""run_parallel(job, tasks, num_proc, on_result=...): tasks worked on by several processes.

The calling process works on tasks itself until all workers do, so that nothing waits for their
start: 0.2 s, more where the function's libraries are large.  Data that one process is through with
before that never starts any.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from enfold.data.executor import worker
from enfold.data.executor.crew import Crew
from enfold.data.executor.lanes import Lane
from enfold.data.executor.limits import cores, share
from enfold.data.executor.nursery import nursery
from enfold.data.executor.process import pool

_SETTLED = 0.05  # seconds after which the time per task is believed
_UNKNOWN = 0.25  # seconds after which a first task that is not done yet counts as long
_START_UP = 0.3  # seconds that a worker takes to start, about
_WORTH = 0.8  # seconds of work left that are worth the start of a worker
_WORTH_STEM = 0.1  # ... of one that only has to be forked
_WORTH_WARM = 0.05  # ... that are worth the use of one that is there
_LONG = 1.5  # seconds of work expected for which all workers are started at once
_PUMP = 0.05  # seconds between two looks at the workers from within a task
_QUEUED = 16  # results that wait while this process is in a task of its own


class Job(Protocol):
    """What is done to each task; pickled by `enfold.data.fingerprint.dumps`."""

    def open(self, rank: int) -> None:
        """Called once in each process that works, before its first task."""

    def run(self, task: Any, progress: Callable[[int], None]) -> Any:
        """The result of a task.

        Call `progress(rows)` often: it costs next to nothing, and a failure elsewhere is noticed
        then at the latest, while this process is at work itself.
        """


def run_parallel(job: Job, tasks: Sequence[Any], num_proc: int, *,
                 on_result: Callable[[int, Any], None],
                 on_progress: Callable[[int], None] | None = None, seconds: float = 0.0,
                 here: bool = True, stays: bool = False,
                 ranks: Sequence[int] | None = None) -> None:
    """Run `job` on all tasks by `num_proc` processes; `on_result(index, result)` as they are done.

    on_progress: told the rows that `job.run` reports.  Both are called in this thread, and never
    while `job.run` is at work here, but for `on_progress`.
    seconds: what all tasks would take one process, if that is known; more than 1.5 s starts all
    workers at once.  here: whether this process works on tasks too until the workers do; without,
    a function that kills its process never kills this one, and short data waits for the start.
    stays: it is one of the `num_proc` itself and works to the end, `job.run` reporting often.
    ranks: for each task the one worker (0 .. num_proc - 1) that may run it, for functions that
    keep something per rank, such as a device.  This process, at the start, runs any.

    An exception of the job is raised here as it is; a worker's has its traceback as the cause.  A
    worker that dies raises `WorkerError`, a job that can't be pickled `DataError`, naming what of
    it.  After any exception, also KeyboardInterrupt, no worker is left.
    """
    tell = on_progress or _ignore
    size = min(num_proc, len(tasks)) if ranks is None else num_proc
    if size > 1 and _can_start():
        _Run(job, tasks, size - (here and stays), on_result, tell, seconds, here, stays,
             ranks).drive()
    elif tasks:
        job.open(0)
        for number, task in enumerate(tasks):
            on_result(number, job.run(task, tell))


def _can_start() -> bool:
    """Whether workers can be started: not within one, on Windows, or in a frozen program."""
    frozen = getattr(sys, "frozen", False) or not sys.executable
    return os.name == "posix" and not frozen and not worker.inside


def worth(num_proc: int) -> float:
    """The seconds of work left for one process from which `num_proc` of them are faster.

    Where the machine is full of other work, a worker takes longer to start and then gets less.
    """
    if not _can_start():
        return float("inf")
    busy = max(1.0, os.getloadavg()[0] / cores())
    return busy ** 2 * _worth(share(num_proc))


def _worth(threads: int) -> float:
    if pool.warm(threads):
        return _WORTH_WARM
    return _WORTH_STEM if nursery.warm(threads) else _WORTH


def _ignore(rows: int) -> None:
    pass


class _Run:
    """One call of run_parallel."""

    def __init__(self, job: Job, tasks: Sequence[Any], size: int,
                 on_result: Callable[[int, Any], None], on_progress: Callable[[int], None],
                 seconds: float, here: bool, stays: bool, ranks: Sequence[int] | None) -> None:
        self.job, self.tasks, self.size, self.here, self.stays = job, tasks, size, here, stays
        self.on_result, self.on_progress = on_result, on_progress
        self.expected, self.threads = seconds, share(size + stays)
        self.done = 0
        self.began = self.pumped = time.perf_counter()
        self.hired = 0.0
        self.crew = Crew(job, tasks, size, _lanes(len(tasks), size, ranks), on_progress)

    def drive(self) -> None:
        try:
            if not self.here or self.stays or self.expected > _LONG:
                self.crew.hire(self.size)
            if self.here:
                self._work()
            while self.done < len(self.tasks):
                self.crew.listen(0.5)
                self._deliver()
            self.crew.finish()
        except BaseException:
            self.crew.stop()
            raise

    def _work(self) -> None:
        """Work on tasks until all workers do, if not to the end, or none is left."""
        opened = False
        while (self.stays or self.crew.ready < self.size) and (
                number := self._take()) is not None:
            if not opened:
                self.job.open(0)
                opened = True
            self.on_result(number, self.job.run(self.tasks[number], self._progress))
            self.done += 1
            self._pump()
            self._deliver()

    def _take(self) -> int | None:
        taken = (lane.take() for lane in self.crew.lanes)
        return next((number for number in taken if number is not None), None)

    def _progress(self, rows: int) -> None:
        """What a task in this process reports; a chance to look at the workers."""
        self.on_progress(rows)
        if time.perf_counter() - self.pumped > _PUMP and len(self.crew.results) < _QUEUED:
            self._pump()

    def _pump(self) -> None:
        now = self.pumped = time.perf_counter()
        crew = self.crew
        if not crew.workers:
            warm = pool.warm(self.threads)
            settled = now - self.began > (_WORTH_WARM if warm else _SETTLED)
            if settled and self._left(now) > (_WORTH_WARM if warm else _WORTH):
                crew.hire(self.size if warm else 1)
                self.hired = now
        elif len(crew.workers) < self.size and self._left(now) > _WORTH and (
                crew.ready or now - self.hired > _START_UP):
            crew.hire(self.size)
        if crew.workers:
            crew.listen(0)

    def _left(self, now: float) -> float:
        """The seconds of work left for one process, from those it took so far."""
        if self.done:
            return (now - self.began) / self.done * (len(self.tasks) - self.done)
        return float("inf") if now - self.began > _UNKNOWN else 0.0

    def _deliver(self) -> None:
        while self.crew.results:
            self.on_result(*self.crew.results.popleft())
            self.done += 1


def _lanes(tasks: int, size: int, ranks: Sequence[int] | None) -> list[Lane]:
    """One lane for all, or one for each rank; their readers are the workers and this process."""
    if ranks is None:
        return [Lane(range(tasks), size + 1)]
    return [Lane([task for task in range(tasks) if ranks[task] == rank], 2)
            for rank in range(size)]
