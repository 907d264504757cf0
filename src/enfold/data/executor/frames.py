"""What a worker and its parent say to each other over a socket.

    frame = kind (1 byte), number (int64), count of parts (uint32), their lengths (uint64), parts

    parent -> worker   ORDER number=rank, with two file descriptors: the job, the tasks to take
    worker -> parent   READY   TOOK number=task   PROGRESS number=rows   RESULT number=task, pickle
                       ERROR number=task, pickle of the exception, traceback   DONE number=keep

Results travel as pickle protocol 5 with their buffers beside them: an Arrow column is written from
where it lies and read to where it stays.
"""

from __future__ import annotations

import pickle
import socket
import struct
import sys
from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

ORDER, READY, TOOK, PROGRESS, RESULT, ERROR, DONE = (bytes([code]) for code in b"ORTPSED")
HEAD = struct.Struct("<cqI")
_LENGTH = struct.Struct("<Q")
_GATHERED = 64  # parts per system call, far below the kernel's limit


class Frame(NamedTuple):
    """One message."""

    kind: bytes
    number: int
    parts: list[bytearray]


def send(link: socket.socket, kind: bytes, number: int = 0,
         parts: Sequence[bytes | memoryview] = ()) -> None:
    """Write a frame; blocks until the other side has room for it."""
    lengths = b"".join(_LENGTH.pack(len(part)) for part in parts)
    waiting = [memoryview(HEAD.pack(kind, number, len(parts)) + lengths),
               *(memoryview(part) for part in parts if len(part))]
    while waiting:
        sent = link.sendmsg(waiting[:_GATHERED])
        while waiting and sent >= len(waiting[0]):
            sent -= len(waiting.pop(0))
        if sent:
            waiting[0] = waiting[0][sent:]


def receive(link: socket.socket) -> Frame | None:
    """Read a frame; None where the other side is gone, also in the middle of one."""
    try:
        kind, number, count = HEAD.unpack(exactly(link, HEAD.size))
        lengths = [_LENGTH.unpack(exactly(link, _LENGTH.size))[0] for _ in range(count)]
        return Frame(kind, number, [exactly(link, length) for length in lengths])
    except (EOFError, ConnectionError):
        return None


def exactly(link: socket.socket, size: int) -> bytearray:
    """The next bytes.  Raises EOFError where the other side is gone."""
    read = bytearray(size)
    view = memoryview(read)
    while view:
        got = link.recv_into(view)
        if not got:
            raise EOFError
        view = view[got:]
    return read


def pack(thing: Any) -> list[bytes | memoryview]:
    """The parts of a result or an exception, as a worker sends them."""
    buffers: list[pickle.PickleBuffer] = []
    stream = BytesIO()
    _Pickler(stream, 5, buffer_callback=buffers.append).dump(thing)
    return [stream.getvalue(), *(buffer.raw() for buffer in buffers)]


def unpack(parts: Sequence[bytearray]) -> Any:
    """What `pack` packed."""
    return pickle.loads(parts[0], buffers=parts[1:])


class _Pickler(pickle.Pickler):
    """Classes that came to the worker by value go home by name: the parent has the original."""

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, type) and thing.__module__ != "builtins":
            place = thing.__module__, thing.__qualname__
            if _find(*place) is not thing:
                return _original, place
        return NotImplemented


def _original(module: str, qualname: str) -> Any:
    found = _find(module, qualname)
    if found is None:
        raise pickle.UnpicklingError(f"{module}.{qualname} is not known here")
    return found


def _find(module: str, qualname: str) -> Any:
    found: Any = sys.modules.get(module)
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found
