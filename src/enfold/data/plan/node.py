"""The nodes of a plan: what was loaded, and what was asked for since and is not run yet.

    Loaded ── Apply(map f) ── Apply(filter g) ── Gather(shuffle) ── Apply(map h)
              └───────── one pass ─────────┘     row numbers        another pass

A node is run once, when something reads it, and keeps its frame.  Steps that nobody else holds
are run together with the one that is read, in one pass over the data.
"""

from __future__ import annotations

import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from enfold.data.features import Features
from enfold.data.fingerprint import digest
from enfold.data.frame import Frame


class Node(ABC):
    """A step of a plan.

    features: of what comes out.  rows: how many, None where only the run tells.  durable: whether
    results over it go to the cache, because it is itself in files.
    """

    def __init__(self, inputs: Sequence[Node], features: Features, rows: int | None) -> None:
        self.inputs, self.features, self._rows = tuple(inputs), features, rows
        self.durable: bool = any(node.durable for node in inputs)
        self.users: weakref.WeakSet[Any] = weakref.WeakSet()
        self._frame: Frame | None = None
        self._lock = threading.RLock()
        self._fingerprint: str | None = None
        for node in inputs:
            node.users.add(self)

    @property
    def fingerprint(self) -> str:
        """The digest of the data and of all that is done to it."""
        if self._fingerprint is None:
            self._fingerprint = digest(self.identity())[:16]
        return self._fingerprint

    @property
    def resolved(self) -> bool:
        """Whether it has been run."""
        return self._frame is not None

    @property
    def rows(self) -> int | None:
        """The number of rows, where that is known without a run."""
        return self._frame.num_rows if self._frame is not None else self._rows

    def frame(self) -> Frame:
        """What comes out; the first call runs it."""
        if self._frame is None:
            with self._lock:
                if self._frame is None:
                    self._frame = self.run()
        return self._frame

    @abstractmethod
    def identity(self) -> Any:
        """What the fingerprint is of."""

    @abstractmethod
    def run(self) -> Frame:
        """Compute the frame."""

    @abstractmethod
    def label(self) -> str:
        """What it does, in a line."""

    def __enfold_digest__(self) -> str:
        return self.fingerprint


class Loaded(Node):
    """Data that is there.  fingerprint: of its content, by default computed when asked for."""

    def __init__(self, frame: Frame, features: Features, *, durable: bool = False,
                 fingerprint: str | None = None, origin: str = "") -> None:
        super().__init__((), features, frame.num_rows)
        self._frame, self.durable, self._fingerprint = frame, durable, fingerprint
        self.origin = origin

    def identity(self) -> Any:
        """The content."""
        return ("loaded", self.features, self.frame().table())

    def run(self) -> Frame:
        """Is there."""
        return self.frame()

    def label(self) -> str:
        """Where it came from."""
        where = self.origin or ("files" if self.durable else "memory")
        return f"load {where}"


class Reshape(Node):
    """A change of columns or rows that costs nothing once its inputs are there.

    change: frames -> frame.  name and options: what it is, for the fingerprint.
    """

    def __init__(self, inputs: Sequence[Node], features: Features, rows: int | None, name: str,
                 change: Callable[..., Frame], options: Any = None) -> None:
        super().__init__(inputs, features, rows)
        self.name, self.change, self.options = name, change, options

    def identity(self) -> Any:
        """Its name, its options, its inputs."""
        options = self.options
        if isinstance(options, np.ndarray):
            options = (str(options.dtype), options.tobytes())
        return (self.name, options, [node.fingerprint for node in self.inputs])

    def run(self) -> Frame:
        """Change the frames of the inputs."""
        return self.change(*[node.frame() for node in self.inputs])

    def label(self) -> str:
        """Its name and options."""
        options = self.options
        if options is None or isinstance(options, np.ndarray) or len(repr(options)) > 60:
            return self.name
        return f"{self.name} {options!r}"


def show(node: Node) -> str:
    """The plan as a tree, what was asked for last at the top."""
    lines: list[str] = []
    _show(node, "", "", lines)
    return "\n".join(lines)


def _show(node: Node, head: str, tail: str, lines: list[str]) -> None:
    rows = f"{node.rows:,} rows" if node.rows is not None else "rows not known yet"
    state = "done" if node.resolved else "to do"
    lines.append(f"{head}{node.label()}  [{state}, {rows}, columns {', '.join(node.features)}]")
    last = len(node.inputs) - 1
    for number, below in enumerate(node.inputs):
        joint, beyond = ("└─ ", "   ") if number == last else ("├─ ", "│  ")
        _show(below, tail + joint, tail + beyond, lines)
