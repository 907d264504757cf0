"""Where workers come from, as their parent sees it: the stem, and processes that it forked."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from enfold.data.executor.limits import environment
from enfold.data.executor.stem import IDLE, LENGTH, NUMBER

_PATH = "ENFOLD_WORKER_PATH"
_BOOT = ("import signal; signal.signal(signal.SIGINT, lambda *_: None); "  # Ctrl-C: the parent's
         f"import json, os, sys; sys.path[:] = json.loads(os.environ.pop({_PATH!r})); "
         "from enfold.data.executor.stem import main; main(*map(int, sys.argv[1:]))")
_FIXED = ("PYTHON", "LD_", "DYLD_", "MALLOC_", "ARROW_", "OMP_", "MKL_", "OPENBLAS_", "VECLIB_")
_FAREWELL = 1.0  # seconds for it to end by itself
_MARGIN = 10.0  # seconds before its own end in which an idle stem gets no request any more


class Forked:
    """A process forked by the stem; as `subprocess.Popen`, as far as that goes."""

    def __init__(self, status: int, stem: Stem) -> None:
        self._status, self._stem = status, stem
        self._pid: int | None = None
        self.returncode: int | None = None

    @property
    def pid(self) -> int:
        """Its number, for which the stem may have to start first; 0 if that failed."""
        if self._pid is None:
            self._pid = self._read(None) or 0
            if not self._pid:
                self.returncode = -signal.SIGKILL
        return self._pid

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        if self.returncode is None and self._ready(0.0) and self.pid and self._ready(0.0):
            self._ended()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended."""
        if self.returncode is None and self.pid:
            if not self._ready(timeout):
                raise subprocess.TimeoutExpired("worker", timeout or 0.0)
            self._ended()
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        """End it now.  Where the stem has not forked it yet, it will find nobody and end."""
        if self._begun() and self.poll() is None:
            with suppress(ProcessLookupError):  # it just ended
                os.kill(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Wait for the end of what was killed, and forget it."""
        if self._begun():
            self.wait()
        os.close(self._status)

    def forget(self) -> None:
        os.close(self._status)

    def trouble(self) -> str:
        """What the stem said when it could not start."""
        return "" if self._pid else self._stem.said()

    def _begun(self) -> bool:
        """Whether its number is known, without waiting for it."""
        return bool(self._pid is not None or self._ready(0.0)) and bool(self.pid)

    def _ended(self) -> None:
        code = self._read(None)
        self.returncode = -signal.SIGKILL if code is None else code  # ended with the stem

    def _ready(self, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))

    def _read(self, timeout: float | None) -> int | None:
        read = os.read(self._status, NUMBER.size)
        return NUMBER.unpack(read)[0] if read else None


class Stem:
    """The process that forks workers."""

    def __init__(self, threads: int) -> None:
        self.key, self.used = kind(threads), time.monotonic()
        self.link, theirs = socket.socketpair()
        flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
        safe = [] if "-P" in flags or "-I" in flags else ["-P"]  # nothing is imported from the cwd
        env = environment(threads) | {_PATH: json.dumps(_path())}
        try:
            self.process = subprocess.Popen(
                [sys.executable, *flags, *safe, "-c", _BOOT, str(theirs.fileno()),
                 str(os.getpid())], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, pass_fds=[theirs.fileno()], env=env)
        except BaseException:
            self.link.close()
            raise
        finally:
            theirs.close()

    def usable(self, key: Any) -> bool:
        """Whether it runs, and would give workers what they have to start with."""
        recent = time.monotonic() - self.used < IDLE - _MARGIN
        return bool(recent and self.key == key and self.process.poll() is None)

    def fork(self, descriptors: Sequence[int], threads: int) -> Forked:
        """A worker, given its ends of link, life, stdout and stderr."""
        self.used = time.monotonic()
        content = json.dumps({"threads": threads, "folder": _folder(), "path": _path(),
                              "environment": environment(threads)}).encode()
        status, told = os.pipe()
        try:
            socket.send_fds(self.link, [LENGTH.pack(len(content))], [*descriptors, told])
            self.link.sendall(content)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it ended: `Forked.pid` will tell
        finally:
            os.close(told)
        return Forked(status, self)

    def said(self) -> str:
        """What it wrote before it ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode(errors="replace")

    def retire(self) -> None:
        """Have it end once its workers have."""
        self.link.close()

    def close(self) -> None:
        """End it, and workers that are left."""
        self.retire()
        try:
            self.process.wait(_FAREWELL)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()  # type: ignore[union-attr]

    def forget(self) -> None:
        """In a fork of this process: it is the parent's."""
        self.link.close()
        self.process.returncode = 0


class _Nursery:
    """The stem that is used, and those that other workers still come from."""

    def __init__(self) -> None:
        self.stem: Stem | None = None
        self.retired: list[Stem] = []
        self.lock = threading.Lock()

    def fork(self, descriptors: Sequence[int], threads: int) -> Forked:
        """A worker, of the stem that is there or of a new one."""
        with self.lock:
            if self.stem is not None and not self.stem.usable(kind(threads)):
                self.stem.retire()
                self.retired = [old for old in (*self.retired, self.stem)
                                if old.process.poll() is None]
                self.stem = None
            if self.stem is None:
                self.stem = Stem(threads)
            return self.stem.fork(descriptors, threads)

    def warm(self, threads: int) -> bool:
        """Whether a worker would start at once."""
        with self.lock:
            return self.stem is not None and self.stem.usable(kind(threads))

    def close(self) -> None:
        for stem in self._taken():
            stem.close()

    def forget(self) -> None:
        """In a fork: the lock may be held by a thread that is not there."""
        self.lock = threading.Lock()
        for stem in self._taken():
            stem.forget()

    def _taken(self) -> list[Stem]:
        with self.lock:
            stems = [*self.retired, *([self.stem] if self.stem is not None else [])]
            self.stem, self.retired = None, []
        return stems


def kind(threads: int) -> Any:
    """What a fork has from the stem for good; all else is handed to it."""
    fixed = {name: value for name, value in environment(threads).items()
             if name.startswith(_FIXED)}
    return sys.executable, os.getpid(), fixed


def surroundings(threads: int) -> Any:
    """What a worker has from its parent: one is used again where nothing of it has changed."""
    return sys.executable, os.getpid(), threads, _folder(), _path(), environment(threads)


def _path() -> list[str]:
    return [entry for entry in sys.path if isinstance(entry, str)]


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # removed
        return ""


nursery = _Nursery()
