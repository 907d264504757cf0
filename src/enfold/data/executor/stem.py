"""The stem: a process that has imported what workers need, runs nothing, and forks them off.

    caller ── starts ──> stem ── forks ──> worker, worker, ...

Numpy, pyarrow and the plan take half a second to import; a fork has them after some milliseconds.
Unlike one of the caller, a fork of the stem is safe: no thread runs in it but that of pyarrow's
allocator, which provides for forks, no lock is held, no tokenizer, device or file of the user's is
open.

    caller -> stem   length of the JSON (uint64), with the descriptors LINK, LIFE, OUT, ERR, STATUS;
                     JSON {threads, folder, path, environment}
    STATUS           the worker's process id (int64), when it has ended its exit code (int64)
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress
from typing import Any, NamedTuple

from enfold.data.executor.frames import exactly

LENGTH, NUMBER = struct.Struct("<Q"), struct.Struct("<q")
IDLE = 300.0  # seconds without workers after which it ends
DESCRIPTORS = 5


class Request(NamedTuple):
    """A worker that is wanted: its descriptors, and the surroundings that it is to have."""

    link: int
    life: int
    out: int
    err: int
    status: int
    surroundings: dict[str, Any]


def main(control: int, parent: int) -> None:
    """Fork workers until the parent wants no more and all have ended; in each of them, work."""
    gc.disable()  # next to nothing of what is imported is garbage, and looking for it takes 30 ms
    import enfold.data.plan  # noqa: F401 - what nearly every job needs
    from enfold.data.executor import worker

    gc.freeze()  # else the collector would touch, and so copy, what is shared with forks
    gc.enable()
    with socket.socket(fileno=control) as channel:
        request = _Stem(channel, parent).serve()
    if request is not None:
        _become(request)
        worker.main(request.link, request.life, os.getppid(), request.surroundings["threads"])


class _Stem:
    """The loop; `children` maps the process ids of workers to where their ends are told."""

    def __init__(self, channel: socket.socket, parent: int) -> None:
        self.channel, self.parent = channel, parent
        self.children: dict[int, int] = {}
        self.wake, self.woken = os.pipe()
        for end in (self.wake, self.woken):
            os.set_blocking(end, False)

    def serve(self) -> Request | None:
        """A request, in the worker that it is for; None in the stem, at its end."""
        signal.set_wakeup_fd(self.woken)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poll = select.poll()
        for descriptor in (self.channel.fileno(), self.wake):
            poll.register(descriptor, select.POLLIN)
        last = time.monotonic()
        wanted = True
        while os.getppid() == self.parent and (self.children or (
                wanted and time.monotonic() - last < IDLE)):
            ready = {descriptor for descriptor, _ in poll.poll(1000)}
            if self.wake in ready:
                os.read(self.wake, 4096)
            self._reap()
            if self.channel.fileno() in ready:
                last = time.monotonic()
                request = _received(self.channel)
                if request is None:
                    wanted = False
                    poll.unregister(self.channel.fileno())
                elif self._forked(request):
                    return request
        return None

    def _forked(self, request: Request) -> bool:
        """Fork; whether this is the worker."""
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (self.wake, self.woken, request.status, *self.children.values()):
                os.close(descriptor)
            return True
        _tell(request.status, pid)
        self.children[pid] = request.status
        for descriptor in (request.link, request.life, request.out, request.err):
            os.close(descriptor)
        return False

    def _reap(self) -> None:
        """Tell of the workers that ended."""
        while self.children:
            pid, code = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            status = self.children.pop(pid)
            _tell(status, os.waitstatus_to_exitcode(code))
            os.close(status)


def _received(channel: socket.socket) -> Request | None:
    head, descriptors, _, _ = socket.recv_fds(channel, LENGTH.size, DESCRIPTORS)
    if len(head) < LENGTH.size:
        return None
    try:
        content = exactly(channel, LENGTH.unpack(head)[0])
    except (EOFError, ConnectionError):
        return None
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    link, life, out, err, status = descriptors
    return Request(link, life, out, err, status, json.loads(content))


def _tell(status: int, number: int) -> None:
    with suppress(BrokenPipeError):  # nobody asks any more
        os.write(status, NUMBER.pack(number))


def _become(request: Request) -> None:
    """Take on the surroundings of the caller."""
    for descriptor, place in ((request.out, 1), (request.err, 2)):
        os.dup2(descriptor, place)
        os.close(descriptor)
    for name, place in (("stdout", 1), ("stderr", 2)):
        setattr(sys, name, open(place, "w", buffering=1, encoding="utf-8",  # noqa: SIM115
                                errors="backslashreplace", closefd=False))
    os.environ.clear()
    os.environ.update(request.surroundings["environment"])
    sys.path[:] = request.surroundings["path"]
    importlib.invalidate_caches()
    if folder := request.surroundings["folder"]:
        os.chdir(folder)
    random.seed()
    if numpy := sys.modules.get("numpy.random"):
        numpy.seed()
