"""Tasks that wait to be taken: numbers in a pipe that the parent fills and all workers read.

A worker takes its next task by one `read`, without asking the parent, who may be at work itself.
The kernel gives each number to one reader.  What follows the last task is END, once per reader.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Iterable

_NUMBER = struct.Struct("<q")
END = -1


class Lane:
    """The parent's side: the numbers not yet in the pipe, and the pipe."""

    def __init__(self, tasks: Iterable[int], readers: int) -> None:
        self.waiting = [*reversed(list(tasks)), ]
        self.waiting[:0] = [END] * readers
        self.reader, self._writer = os.pipe()
        os.set_blocking(self.reader, False)
        os.set_blocking(self._writer, False)
        self.fill()

    def fill(self) -> None:
        """Write as many numbers as the pipe has room for."""
        while self.waiting:
            try:
                os.write(self._writer, _NUMBER.pack(self.waiting[-1]))
            except BlockingIOError:
                return
            self.waiting.pop()

    def take(self) -> int | None:
        """A task, None where there is no more."""
        self.fill()
        number = take(self.reader, wait=False)
        return None if number == END else number

    def close(self) -> None:
        os.close(self.reader)
        os.close(self._writer)


def take(reader: int, wait: bool = True) -> int | None:
    """The next number of a lane, END after the last; None where the pipe is empty or broken off."""
    while True:
        try:
            read = os.read(reader, _NUMBER.size)
            return int(_NUMBER.unpack(read)[0]) if read else None
        except BlockingIOError:
            if not wait:
                return None
            poll = select.poll()
            poll.register(reader, select.POLLIN)
            poll.poll()
