"""Saving while training goes on.

    writer = Writer(background=True)
    writer.save(optimizer.state_dict(), path)    # copied now, written later
    writer.do(publish)                           # in the order of the calls
    writer.start()
    ...                                          # training
    writer.wait()                                # before the next save, and at the end

Copies take as much memory as what is saved.  Without `background` every call is done at once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from threading import Thread
from typing import Any

import torch

from enfold.train.checkpoint.space import writing_to

Work = Callable[[], object]


class Writer:
    """Does work in the order in which it is given; in a thread if `background`."""

    def __init__(self, background: bool = False) -> None:
        self.background = background
        self._work: list[Work] = []
        self._for: tuple[Path, Work] | None = None
        self._thread: Thread | None = None
        self._error: BaseException | None = None

    def save(self, value: Any, path: Path) -> None:
        """torch.save of a value as it is now."""
        kept = self.kept(value)
        self.do(lambda: torch.save(kept, path))

    def kept(self, value: Any) -> Any:
        """A value that later steps do not change."""
        return copied(value) if self.background else value

    def do(self, work: Work) -> None:
        """Call a function, when its turn comes."""
        if self.background:
            self._work.append(work)
        else:
            work()

    def begin(self, folder: Path, undo: Work) -> None:
        """What follows is of this folder; `undo` is called if it fails in the background."""
        self._for = folder, undo

    def start(self) -> None:
        """Begin with what was given."""
        if self._work:
            work, self._work = self._work, []
            self._thread = Thread(target=self._run, args=(work, self._for), name="saving")
            self._thread.start()

    def wait(self) -> None:
        """Let what was begun end; an error of it is raised here."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            error.add_note("This happened while a checkpoint was written in the background; the "
                           "one before it is whole.")
            raise error

    def forget(self) -> None:
        """Leave out what was given and not begun."""
        self._work.clear()

    def _run(self, work: list[Work], of: tuple[Path, Work] | None) -> None:
        try:
            with writing_to(of[0]) if of else nullcontext():
                for one in work:
                    one()
        except BaseException as error:  # raised again by wait()
            self._error = error
            if of:
                of[1]()


def copied(value: Any) -> Any:
    """Dicts, lists and tuples with copies, on the CPU, of the tensors in them."""
    if torch.is_tensor(value):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {name: copied(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(copied(part) for part in value)
    return value
