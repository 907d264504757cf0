"""What goes wrong in a worker, as it is raised in the parent."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from typing import Any

from enfold.data.executor import frames
from enfold.data.fingerprint import captured, dumps
from enfold.errors import DataError, EnfoldError

_SHOWN = 200  # characters of a task
_DEPTH = 8  # objects within objects that are looked through for one that can't be pickled


class WorkerError(EnfoldError, RuntimeError):
    """A worker process that died, or raised what can't be brought here."""


class WorkerTraceback(Exception):  # noqa: N818 - the cause that a traceback shows
    """Where an exception was raised in a worker."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def raised(parts: list[bytearray], pid: int) -> BaseException:
    """The exception of an ERROR frame, the worker's traceback as its cause."""
    text = parts[0].decode(errors="replace").rstrip()
    error = _brought(parts[1:]) or WorkerError(
        f"worker process {pid} raised {text.splitlines()[-1]} (an exception that can't be brought "
        f"to this process; its traceback is above)")
    error.__cause__ = WorkerTraceback(f"in worker process {pid}:\n{text}")
    return error


def _brought(parts: list[bytearray]) -> BaseException | None:
    try:
        error = frames.unpack(parts) if parts else None
    except Exception:  # its class is not here, or can't be made from what it pickles
        return None
    return error if isinstance(error, BaseException) else None


def died(pid: int, code: int | None, task: str, stderr: str) -> WorkerError:
    """The error for a worker that ended by itself."""
    how, hint = _ending(code)
    said = f"\nThe end of what it wrote to stderr:\n{stderr.rstrip()}" if stderr.strip() else ""
    return WorkerError(f"worker process {pid} {how} {task}. Expected it to work on until the data "
                       f"is done. Do: {hint}, or run with num_proc=None to meet the failure in "
                       f"this process.{said}")


def not_started(said: str) -> WorkerError:
    """The error where the process that starts workers ended."""
    return WorkerError(f"worker processes can't be started: {sys.executable} ended. Expected it to "
                       f"import enfold.data. Do: see what it wrote, or run with num_proc=None.\n"
                       f"{said.rstrip()}")


def _ending(code: int | None) -> tuple[str, str]:
    """How a process ended, and what to do about it."""
    if code is None:
        return "closed its connection", "look for code that closes file descriptors"
    if code >= 0:
        return f"exited with code {code}", "look for os._exit or a library that ends the process"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    hint = "look at the memory (a smaller batch_size, fewer processes)" if name == "SIGKILL" else (
        "look at the compiled library that it was in")
    return f"was killed by signal {-code} ({name})", hint


def shown(task: Any) -> str:
    """A task in a message."""
    text = repr(task)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def unpicklable(job: Any, error: Exception) -> DataError:
    """The error for a job that can't be sent to workers; names what it holds that can't."""
    found = _culprit("the job", job, _DEPTH) or ("the job", job)
    name, thing = found
    kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
    return DataError(
        f"num_proc: the function can't be sent to worker processes. Got {name}, a {kind}: {error}. "
        f"Expected things that can be pickled. Do: make it inside the function (or load it there "
        f"from a path), or use num_proc=None.")


def _culprit(name: str, thing: Any, depth: int) -> tuple[str, Any] | None:
    """The innermost thing that can't be pickled, with the name it goes by."""
    try:
        dumps(thing)
    except Exception:
        for inner_name, inner in _held(thing) if depth else ():
            if found := _culprit(inner_name, inner, depth - 1):
                return found
        return name, thing
    return None


def _held(thing: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(thing, dict):
        yield from ((f"the value of {key!r}", value) for key, value in thing.items())
    elif isinstance(thing, (list, tuple, set, frozenset)):
        yield from ((f"item {place}", value) for place, value in enumerate(thing))
    elif callable(thing) and not isinstance(thing, type):
        yield from captured(thing)
    if not isinstance(thing, type):
        yield from ((f"attribute {key!r}", value) for key, value in _attributes(thing))


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    yield from getattr(thing, "__dict__", {}).items()
    for cls in type(thing).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(thing, name):
                yield name, getattr(thing, name)
