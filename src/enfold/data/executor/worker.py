"""A worker process: takes orders from its parent, works on tasks, ends when the parent does."""

from __future__ import annotations

import faulthandler
import gc
import mmap
import os
import pickle
import select
import signal
import socket
import sys
import sysconfig
import threading
import time
import traceback
from functools import cache
from typing import Any

from enfold.data.executor import frames, lanes
from enfold.data.executor.late import leave_pandas, mentions_pandas
from enfold.data.executor.limits import limit_threads

IDLE = 10.0  # seconds that a worker waits for its next order
TOLD = 0.1  # seconds between two reports of progress

inside = False  # whether this process is a worker


def main(link: int, life: int, parent: int, threads: int) -> None:
    """Work until the parent closes the link, or gives no order for `IDLE` seconds.

    link: a socket to the parent.  life: a pipe whose other end only the parent holds.
    """
    global inside
    inside = True
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is the parent's to handle
    faulthandler.enable()
    threading.Thread(target=_follow, args=(life, parent), daemon=True).start()
    limit_threads(threads)
    own = set(sys.modules)
    with socket.socket(fileno=link) as channel:
        while order := _order(channel):
            _obey(channel, *order, own)
            gc.collect()


def _follow(life: int, parent: int) -> None:
    """End this process with its parent, also where another process inherited the parent's end."""
    poll = select.poll()
    poll.register(life, select.POLLIN)
    while not poll.poll(1000) and os.getppid() == parent:
        pass
    os._exit(1)


def _order(channel: socket.socket) -> tuple[int, int, int] | None:
    """(rank, job, lane), the latter two file descriptors."""
    poll = select.poll()
    poll.register(channel, select.POLLIN)
    if not poll.poll(int(IDLE * 1000)):
        return None
    head, descriptors, _, _ = socket.recv_fds(channel, frames.HEAD.size, 2)
    if not head:
        return None
    job, lane = descriptors
    return frames.HEAD.unpack(head)[1], job, lane


def _obey(channel: socket.socket, rank: int, job: int, lane: int, own: set[str]) -> None:
    """One order: load the job, take tasks until none is left.

    own: the modules that were here before any job.
    """
    number = -1
    try:
        work, tasks = _load(job)
        work.open(rank)
        frames.send(channel, frames.READY)
        while (number := _next(lane)) != lanes.END:
            frames.send(channel, frames.TOOK, number)
            report = _Report(channel)
            parts = frames.pack(work.run(tasks[number], report))
            report.send()
            _flush()
            frames.send(channel, frames.RESULT, number, parts)
        del work, tasks
        frames.send(channel, frames.DONE, _reusable(own))
    except ConnectionError:
        os._exit(1)  # the parent is gone
    except BaseException as error:
        _flush()
        frames.send(channel, frames.ERROR, number, _described(error))
    finally:
        os.close(lane)


def _load(descriptor: int) -> Any:
    with open(descriptor, "rb") as file, mmap.mmap(
            file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if not mentions_pandas(content):
            leave_pandas()
        return pickle.loads(content)


def _next(lane: int) -> int:
    number = lanes.take(lane)
    return lanes.END if number is None else number


class _Report:
    """The `progress` of a job: adds up, and tells the parent some times a second."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel, self.rows, self.last = channel, 0, time.monotonic()

    def __call__(self, rows: int) -> None:
        self.rows += rows
        if time.monotonic() - self.last > TOLD:
            self.send()

    def send(self) -> None:
        if self.rows:
            frames.send(self.channel, frames.PROGRESS, self.rows)
        self.rows, self.last = 0, time.monotonic()


def _described(error: BaseException) -> list[bytes | memoryview]:
    """Traceback, then the exception if it can be pickled."""
    text = "".join(traceback.format_exception(error)).encode(errors="replace")
    try:
        packed = frames.pack(error)
    except Exception:  # the text tells what the object can't
        packed = []
    return [text, *packed]


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _reusable(own: set[str]) -> bool:
    """Whether nothing is left here that another run should not meet, or that takes up a device.

    A module of the user's may be edited before the next run, a CUDA context holds memory.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return False
    loaded = [sys.modules.get(name) for name in sys.modules.keys() - own if "." not in name]
    return threading.active_count() == 2 and not any(  # this thread and the one that follows
        map(_of_user, loaded))


def _of_user(module: Any) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and os.path.isabs(file) and not file.startswith(_libraries())


@cache
def _libraries() -> tuple[str, ...]:
    """The folders of what Python ships and of what is installed."""
    places = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    named = [place for place in sys.path if place.endswith(("site-packages", "dist-packages"))]
    own = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return (*places, *named, own)

