"""A worker process as its parent holds it: started, given orders, listened to, kept for a while.

Workers are forks of the stem (see `stem`), not of this process: no lock or thread of this one is
copied into them in the middle of its work, and neither `__main__` nor any module of the user's is
imported there.
"""

from __future__ import annotations

import atexit
import codecs
import os
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import IO, Any

from enfold.data.executor import frames
from enfold.data.executor.nursery import nursery, surroundings
from enfold.data.executor.worker import IDLE

_TAIL = 4000  # characters of stderr that are kept for the error of a worker that dies
_MARGIN = 3.0  # seconds before its own end in which an idle worker gets no order any more


class Worker:
    """A process, its link (a socket), and what it wrote."""

    def __init__(self, threads: int) -> None:
        self.rank = 0
        self.task: int | None = None
        self.ready = self.done = self.keep = False
        self.plain = False  # whether pyarrow in it may have begun without pandas
        self.idle_since = 0.0
        self.stderr = ""
        self.key = surroundings(threads)
        self.link, theirs = socket.socketpair()
        life, self._life = os.pipe()
        pipes = [os.pipe(), os.pipe()]
        given = [theirs.fileno(), life, *(end for _, end in pipes)]
        self.outputs: list[tuple[IO[bytes], Any]] = []
        for end, _ in pipes:
            os.set_blocking(end, False)
            self.outputs.append((open(end, "rb", buffering=0),  # noqa: SIM115 - closed by `close`
                                 codecs.getincrementaldecoder("utf-8")("replace")))
        try:
            self.process = nursery.fork(given, threads)
        except BaseException:
            self._disconnect()
            raise
        finally:
            theirs.close()
            for end in given[1:]:
                os.close(end)

    def order(self, rank: int, job: int, lane: int) -> None:
        """Have it run the job of one file descriptor on the tasks of another."""
        self.rank, self.task = rank, None
        self.ready = self.done = self.keep = False
        self.stderr = ""
        head = frames.HEAD.pack(frames.ORDER, rank, 0)
        with suppress(BrokenPipeError, ConnectionResetError):  # ended already: `listen` sees that
            socket.send_fds(self.link, [head], [job, lane])

    def forward(self, stream: IO[bytes]) -> bool:
        """Print here what the worker printed; False at the end of the stream."""
        decoder = next(decoder for known, decoder in self.outputs if known is stream)
        while True:
            try:
                read = os.read(stream.fileno(), 65536)
            except BlockingIOError:
                return True
            text = decoder.decode(read, final=not read)
            error = stream is self.outputs[1][0]
            if error:
                self.stderr = (self.stderr + text)[-_TAIL:]
            target = sys.stderr if error else sys.stdout
            if target is not None and text:
                target.write(text)
                target.flush()
            if not read:
                return False

    def kill(self) -> None:
        """End it; `close` waits for that."""
        self.process.kill()

    def close(self) -> None:
        """Close what connects to it and wait for its end; kill it before."""
        self._disconnect()
        self.process.close()

    def forget(self) -> None:
        """In a fork of this process: it is the parent's."""
        self._disconnect()
        self.process.forget()

    def _disconnect(self) -> None:
        self.link.close()
        os.close(self._life)
        for stream, _ in self.outputs:
            stream.close()


class _Pool:
    """Workers without an order, which end after a few seconds."""

    def __init__(self) -> None:
        self.idle: list[Worker] = []
        self.lock = threading.Lock()

    def take(self, threads: int, pandas: bool = False) -> Worker:
        """An idle worker with the same surroundings, or a new one.  pandas: for a job with it."""
        key = surroundings(threads)
        with self.lock:
            fitting = [worker for worker in self.idle
                       if _usable(worker, key) and not (pandas and worker.plain)]
            chosen = fitting[-1] if fitting else None
            others = [worker for worker in self.idle if worker not in fitting]
            self.idle = [worker for worker in fitting if worker is not chosen]
        dismiss(others)
        return chosen or Worker(threads)

    def warm(self, threads: int) -> bool:
        """Whether `take` would not have to start a process."""
        if not self.idle:
            return False
        key = surroundings(threads)
        with self.lock:
            return any(_usable(worker, key) for worker in self.idle)

    def give(self, worker: Worker) -> None:
        worker.idle_since = time.monotonic()
        with self.lock:
            self.idle.append(worker)

    def close(self) -> None:
        """End all that wait, and what starts new ones."""
        with self.lock:
            workers, self.idle = self.idle, []
        dismiss(workers)
        nursery.close()

    def forget(self) -> None:
        """In a fork: the lock may be held by a thread that is not there."""
        self.lock = threading.Lock()
        workers, self.idle = self.idle, []
        for worker in workers:
            worker.forget()
        nursery.forget()


def _usable(worker: Worker, key: Any) -> bool:
    recent = time.monotonic() - worker.idle_since < IDLE - _MARGIN
    return bool(recent and worker.key == key and worker.process.poll() is None)


def dismiss(workers: list[Worker]) -> None:
    """End workers, whatever they do."""
    for worker in workers:
        worker.kill()
    for worker in workers:
        worker.close()


pool = _Pool()
atexit.register(pool.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=pool.forget)
