"""Reading ahead: a thread fills a queue while the rows before are used.

It helps where reading waits (for a network, a disk) or runs outside of Python (parsing CSV); of
Python functions only one runs at a time, wherever it runs.
"""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any

from enfold.data.streaming.node import Chunk, Cursor, Over, Remaking, State


@dataclass(frozen=True, eq=False)
class Ahead(Over):
    """Up to `rows` rows, and a chunk, read ahead."""

    rows: int

    def open(self, state: State = None) -> Cursor:
        return _Ahead(self, state)


@dataclass
class _Queue:
    """Chunks, each with the state after it; what ended them last: None, or an exception."""

    limit: int
    chunks: deque[tuple[Any, State]] = field(default_factory=deque)
    rows: int = 0
    stopped: bool = False
    changed: Condition = field(default_factory=Condition)

    def put(self, chunk: Any, after: State, rows: int) -> bool:
        """Add a chunk when there is room; False if nobody wants it any more."""
        with self.changed:
            self.changed.wait_for(lambda: self.rows < self.limit or self.stopped)
            self.chunks.append((chunk, after))
            self.rows += rows
            self.changed.notify_all()
            return not self.stopped

    def get(self) -> tuple[Any, State]:
        """The next chunk; the end stays."""
        with self.changed:
            self.changed.wait_for(lambda: self.chunks)
            chunk, after = self.chunks[0]
            if chunk is not None and not isinstance(chunk, BaseException):
                self.chunks.popleft()
                self.rows -= len(chunk)
                self.changed.notify_all()
            return chunk, after

    def stop(self) -> None:
        """Let the thread end."""
        with self.changed:
            self.stopped = True
            self.changed.notify_all()


class _Ahead(Remaking):

    def __init__(self, node: Ahead, state: State) -> None:
        super().__init__(state)
        cursor = node.child.open(state and state["child"])
        self.at: dict[str, Any] = {"child": cursor.state()}
        self.queue = _Queue(max(1, node.rows))
        Thread(target=_fill, args=(self.queue, cursor), name="enfold-ahead", daemon=True).start()
        weakref.finalize(self, self.queue.stop)

    def where(self) -> dict[str, Any]:
        return self.at

    def make(self) -> Chunk | None:
        chunk, after = self.queue.get()
        if isinstance(chunk, BaseException):
            raise chunk
        if chunk is not None:
            self.at = {"child": after}
        return chunk


def _fill(queue: _Queue, cursor: Cursor) -> None:
    wanted = True
    while wanted:
        try:
            chunk = cursor.chunk()
        except BaseException as error:  # raised again where the rows are read
            queue.put(error, None, 0)
            return
        wanted = queue.put(chunk, cursor.state(), len(chunk) if chunk is not None else 0) \
            and chunk is not None
