"""The workers of one run: hired, listened to, and let go."""

from __future__ import annotations

import os
import selectors
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import IO, Any

from enfold.data.executor import faults, frames
from enfold.data.executor.lanes import Lane
from enfold.data.executor.late import mentions_pandas
from enfold.data.executor.limits import share
from enfold.data.executor.process import Worker, dismiss, pool
from enfold.data.fingerprint import dumps

_LOOK = 0.5  # seconds between two looks at whether a process still runs
_FAREWELL = 2.0  # seconds for a worker to say that it is done


class Crew:
    """Up to `size` workers that take the tasks of lanes; `results` gathers what they did."""

    def __init__(self, job: Any, tasks: Sequence[Any], size: int, lanes: list[Lane],
                 on_progress: Callable[[int], None]) -> None:
        self.job, self.tasks, self.size, self.lanes = job, tasks, size, lanes
        self.on_progress = on_progress
        self.workers: list[Worker] = []
        self.results: deque[tuple[int, Any]] = deque()
        self._selector = selectors.DefaultSelector()
        self._payload: IO[bytes] | None = None
        self._pandas = False  # whether the job mentions it
        self._looked = 0.0
        self._all_done = False

    @property
    def ready(self) -> int:
        """How many take tasks."""
        return sum(worker.ready for worker in self.workers)

    def hire(self, count: int) -> None:
        """Have up to `count` more at work.  They start up while the job is pickled."""
        first = len(self.workers)
        if self._payload is None and pool.idle:  # it tells which of those that are there will do
            self._payload = self._file()
        for rank in range(first, min(self.size, first + count)):
            worker = pool.take(share(self.size), self._pandas)
            self.workers.append(worker)
            self._selector.register(worker.link, selectors.EVENT_READ, (worker, None))
            for stream, _ in worker.outputs:
                self._selector.register(stream, selectors.EVENT_READ, (worker, stream))
            worker.rank = rank
        if self._payload is None:
            self._payload = self._file()
        for worker in self.workers[first:]:
            lane = self.lanes[worker.rank % len(self.lanes)]
            worker.plain |= not self._pandas
            worker.order(worker.rank, self._payload.fileno(), lane.reader)

    def listen(self, timeout: float) -> None:
        """Handle what has come, waiting up to `timeout` seconds for something to come."""
        for lane in self.lanes:
            lane.fill()
        for key, _ in self._selector.select(timeout):
            worker, stream = key.data
            if stream is None:
                self._hear(worker)
            elif not worker.forward(stream):
                self._selector.unregister(stream)
        if time.monotonic() - self._looked > _LOOK:
            self._looked = time.monotonic()
            for worker in self.workers:
                if worker.process.poll() is not None and not worker.done:
                    self._lost(worker)

    def finish(self) -> None:
        """All results are here: keep the workers that may be used again, end the others."""
        self._all_done = True
        deadline = time.monotonic() + _FAREWELL
        while time.monotonic() < deadline and not all(
                worker.done for worker in self.workers if worker.ready):
            self.listen(0.1)
        for worker in self.workers:
            for stream, _ in worker.outputs:
                worker.forward(stream)
        kept = [worker for worker in self.workers if worker.done and worker.keep]
        for worker in kept:
            self.workers.remove(worker)
            pool.give(worker)
        self.stop()

    def stop(self) -> None:
        """End all workers at once."""
        workers, self.workers = self.workers, []
        dismiss(workers)
        self._selector.close()
        if self._payload is not None:
            self._payload.close()
        for lane in self.lanes:
            lane.close()

    def _file(self) -> IO[bytes]:
        """The job and the tasks in a file without a name, which all workers read."""
        try:
            content = dumps((self.job, list(self.tasks)))
        except Exception as error:
            raise faults.unpicklable(self.job, error) from error
        self._pandas = mentions_pandas(content)
        in_memory = hasattr(os, "memfd_create")
        file: Any = (os.fdopen(os.memfd_create("enfold-job"), "w+b") if in_memory
                     else tempfile.TemporaryFile())  # noqa: SIM115 - closed by `stop`
        file.write(content)
        file.flush()
        return file  # type: ignore[no-any-return]

    def _hear(self, worker: Worker) -> None:
        frame = frames.receive(worker.link)
        if frame is None:
            self._lost(worker)
        else:
            self._handle(worker, frame)

    def _handle(self, worker: Worker, frame: frames.Frame) -> None:
        kind, number, parts = frame
        if kind == frames.READY:
            worker.ready = True
        elif kind == frames.TOOK:
            worker.task = number
        elif kind == frames.PROGRESS:
            self.on_progress(number)
        elif kind == frames.RESULT:
            worker.task = None
            self.results.append((number, frames.unpack(parts)))
        elif kind == frames.DONE:
            worker.done, worker.keep = True, bool(number)
        else:
            for stream, _ in worker.outputs:
                worker.forward(stream)
            raise faults.raised(parts, worker.process.pid)

    def _lost(self, worker: Worker) -> None:
        """A worker ended: read what it had sent, then raise."""
        self._selector.unregister(worker.link)
        worker.link.settimeout(0.2)  # where another process holds its end
        try:
            while frame := frames.receive(worker.link):
                self._handle(worker, frame)
        except TimeoutError:
            pass
        worker.done, worker.keep = True, False
        if self._all_done:
            return
        try:
            code = worker.process.wait(1.0)
        except subprocess.TimeoutExpired:
            code = None
        for stream, _ in worker.outputs:
            worker.forward(stream)
        task = "while it started" if worker.task is None else (
            f"while on task {worker.task + 1} of {len(self.tasks)} "
            f"({faults.shown(self.tasks[worker.task])})")
        if worker.ready and worker.task is None:
            task = "between two tasks"
        if not worker.process.pid:
            raise faults.not_started(worker.process.trouble())
        raise faults.died(worker.process.pid, code, task, worker.stderr)
