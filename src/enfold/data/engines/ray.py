"""Ray: the stretches of rows of a pass as tasks of a cluster (extra `ray`).

    this process          cluster                            this process
    rows 0..9999    ──▶   functions of the plan, in order    ──▶  00001-00000.arrow
    rows 10000..    ──▶   ... on another worker              ──▶  00002-00000.arrow

Rows go out and results come back as Arrow data, so machines share no file system; each needs
enfold.  What comes back are the files that local processes would have written: new columns and row
numbers, and the result is put together and cached in the same way.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import pyarrow as pa

from enfold.data.engines.cluster import Cluster
from enfold.data.executor.faults import WorkerError, WorkerTraceback, unpicklable
from enfold.data.fingerprint import dumps, loads
from enfold.data.frame import Frame, open_stream
from enfold.data.frame.gather import Rows
from enfold.data.plan.job import PassJob

_AHEAD = 2  # tasks per worker that are under way, with their rows in the cluster's memory
_RETRIES = 3  # of a task whose machine or process is lost
_PATIENCE = 1.0  # seconds between two looks at whether Ctrl-C was pressed

Task = tuple[int, int, int]


class RayEngine(Cluster):
    """A Ray cluster that runs passes, connected within a `with` block."""

    title = "run"
    workers = 2

    def __enter__(self) -> Self:
        super().__enter__()
        self.workers = max(2, int(self.ray.cluster_resources().get("CPU", 2)))
        return self

    def run(self, job: PassJob, tasks: Sequence[Task], ranks: Sequence[int] | None,
            on_result: Callable[[int, Any], None], on_progress: Callable[[int], None]) -> None:
        """Run `job` on all tasks; see `plan.engine.Engine`."""
        remote = self.ray.remote(max_retries=_RETRIES)(run_task)
        sent = self.ray.put(_sent(job))
        waiting = list(reversed(range(len(tasks))))
        running: dict[Any, int] = {}
        try:
            while waiting or running:
                while waiting and len(running) < _AHEAD * self.workers:
                    number = waiting.pop()
                    rows = self.ray.put(_packed(job.base, tasks[number]))
                    rank = ranks[number] if ranks is not None else 0
                    running[remote.remote(sent, rows, tasks[number], rank)] = number
                done, _ = self.ray.wait(list(running), num_returns=1, timeout=_PATIENCE)
                for reference in done:
                    number = running.pop(reference)
                    on_result(number, self._received(reference, job, tasks[number]))
                    on_progress(tasks[number][2] - tasks[number][1])
        except BaseException:
            for reference in running:
                self.ray.cancel(reference, force=True)
            raise

    def _received(self, reference: Any, job: PassJob, task: Task) -> Any:
        """The result of a task, its files written; raises what the function raised."""
        try:
            reply = self.ray.get(reference)
        except self.ray.exceptions.RayError as error:
            raise WorkerError(
                f"Ray could not run rows {task[1]} to {task[2] - 1}: {_last_line(error)} Expected "
                "a worker that has enfold and memory for these rows. Do: look at the cluster's "
                "logs, and pass runtime_env= with what the function needs") from error
        if isinstance(reply, Failure):
            raise reply.raised()
        for name, data in reply.files.items():
            (job.folder or Path()).joinpath(name).write_bytes(data)
        return reply.result


@dataclass(frozen=True)
class Reply:
    """What a task gave: its result and its files."""

    result: Any
    files: dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """What a task raised.  error: the exception pickled, if it can be."""

    text: str
    error: bytes | None

    def raised(self) -> BaseException:
        """The exception here, where it was raised there as its cause."""
        try:
            error: Any = loads(self.error) if self.error is not None else None
        except Exception:  # its class is not here
            error = None
        if not isinstance(error, BaseException):
            error = WorkerError(f"a Ray worker raised {self.text.splitlines()[-1]} (an exception "
                                "that can't be brought to this process; its traceback is above)")
        error.__cause__ = WorkerTraceback(f"in a Ray worker:\n{self.text}")
        return error  # type: ignore[no-any-return]


def run_task(sent: bytes, rows: Any, task: Task, rank: int) -> Reply | Failure:
    """What a worker of the cluster does: steps of a plan on a stretch of rows."""
    try:
        job: PassJob = loads(sent)
        job.base = _unpacked(rows, task)
        job.open(rank)
        with TemporaryDirectory(prefix="enfold-") as scratch:
            job.folder = Path(scratch) if job.folder is not None else None
            result = job.run(task, lambda rows: None)
            files = {path.name: pa.memory_map(str(path)).read_buffer()
                     for path in Path(scratch).iterdir()}
        return Reply(result, files)
    except Exception as error:
        text = "".join(traceback.format_exception(error)).rstrip()
        try:
            return Failure(text, dumps(error))
        except Exception:
            return Failure(text, None)


@dataclass(frozen=True, eq=False, slots=True)
class Stretch(Frame):
    """Some rows of a frame, under the numbers that they have there, from `first` on."""

    first: int = 0

    def slice(self, start: int, stop: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows start to stop of the whole frame."""
        return Frame.slice(self, start - self.first, stop - self.first, columns)

    def take(self, indices: Rows, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows by their numbers in the whole frame."""
        return Frame.take(self, indices - self.first, columns)


def _sent(job: PassJob) -> bytes:
    """The job without its rows."""
    job = copy(job)
    job.base = Frame({}, 0)
    try:
        return dumps(job)
    except Exception as error:
        raise unpicklable(job, error) from error


def _packed(base: Frame, task: Task) -> pa.Buffer:
    table = base.slice(task[1], task[2])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _unpacked(rows: Any, task: Task) -> Stretch:
    _, start, stop = task
    columns = Frame.of(open_stream(pa.BufferReader(rows))).columns
    return Stretch(columns, stop - start, (), start)


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip().rstrip(".") + "."
