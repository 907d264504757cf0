"""Where the tasks of a pass are run, if not in processes of this machine: an `Engine`.

    with running_on(engine):
        node.frame()            # all passes that this takes are run by the engine
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from enfold.data.plan.job import PassJob


class Engine(Protocol):
    """Runs tasks elsewhere.  workers: how many run at a time."""

    workers: int

    def run(self, job: PassJob, tasks: Sequence[tuple[int, int, int]], ranks: Sequence[int] | None,
            on_result: Callable[[int, Any], None], on_progress: Callable[[int], None]) -> None:
        """Run `job` on all tasks: their files come to `job.folder`, their results to `on_result`.

        ranks: for each task the rank that its functions are told.  on_progress: told rows.
        """


_engine: ContextVar[Engine | None] = ContextVar("engine", default=None)


def engine_now() -> Engine | None:
    """The engine that runs passes now; None for this machine."""
    return _engine.get()


@contextmanager
def running_on(engine: Engine) -> Iterator[None]:
    """Let an engine run the passes of this thread within the block."""
    token = _engine.set(engine)
    try:
        yield
    finally:
        _engine.reset(token)
