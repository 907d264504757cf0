"""Coroutine functions, and functions in threads: many calls under way, results in order."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import TYPE_CHECKING, Any

from enfold.data.streaming.node import Batcher, Chunk, Remaking, State
from enfold.data.streaming.present import RowReader, untransposed

if TYPE_CHECKING:
    from enfold.data.streaming.mapping import Mapped

CALLS = 1000  # of a coroutine function at a time


class Concurrent(Remaking):
    """One pass; state: where the first call that has not been handed out begins."""

    def __init__(self, node: Mapped, state: State) -> None:
        super().__init__(state)
        self.at: dict[str, Any] = {"index": 0, "child": None}
        self.at.update({key: state[key] for key in self.at} if state else {})
        self.index: int = self.at["index"]
        self.job, self.presenter = node.job, node.presenter()
        if node.tables:
            raise NotImplementedError(
                f"map: a coroutine function does not get tables ({node.kind!r} format) here. Do: "
                f"with_format(None) before map, or make the function a plain one")
        cursor = node.child.open(self.at["child"])
        self.input: Any = (Batcher(cursor) if self.job.batched
                           else RowReader(cursor, self.presenter))
        self.limit = 2 * node.threads or CALLS
        self.submit, stop = _pool(node.threads) if node.threads else _loop()
        self.queue: deque[tuple[Any, Any, dict[str, Any], Future[Any]]] = deque()
        self.ended = False
        weakref.finalize(self, stop)

    def where(self) -> dict[str, Any]:
        return self.at

    def make(self) -> Chunk | None:
        while not self.ended and len(self.queue) < self.limit \
                and not (self.queue and self.queue[0][-1].done()):
            self._start()
        if not self.queue:
            return None
        inputs, given, self.at, future = self.queue.popleft()
        result = future.result()
        job = self.job
        if not job.batched:
            kept = [inputs] if job.keeps and result else []
            return kept if job.keeps else [job.merged(inputs, given, result)]
        if job.keeps:
            return [row for row, keep in zip(untransposed(inputs), result, strict=True) if keep]
        return job.rows(inputs, given, result)

    def _start(self) -> None:
        """One more call under way."""
        inputs, count = self._batch() if self.job.batched else (next(self.input.rows, None), 1)
        if inputs is None:
            self.ended = True
            return
        given, index, job = dict(inputs), self.index, self.job
        self.index += count
        after = {"index": self.index, "child": self.input.state()}
        future = self.submit(lambda: job.call(given, index, count))
        self.queue.append((inputs, given, after, future))

    def _batch(self) -> tuple[Any, int]:
        chunk = self.input.take(self.job.size)
        if chunk is None or self.job.too_short(len(chunk)):
            return None, 0
        return self.presenter.batch(chunk), len(chunk)


Submit = Callable[[Callable[[], Any]], "Future[Any]"]


def _pool(threads: int) -> tuple[Submit, Callable[[], None]]:
    pool = ThreadPoolExecutor(threads, thread_name_prefix="enfold-map")
    return pool.submit, lambda: pool.shutdown(wait=False, cancel_futures=True)


def _loop() -> tuple[Submit, Callable[[], None]]:
    """An event loop in a thread of its own: there may be one running in this thread."""
    loop = asyncio.new_event_loop()

    def run() -> None:
        loop.run_forever()
        pending = asyncio.all_tasks(loop)
        for task in pending:
            task.cancel()
        if pending:
            loop.run_until_complete(asyncio.wait(pending))
        loop.close()

    async def started(call: Callable[[], Any]) -> Any:
        return await call()

    Thread(target=run, name="enfold-map", daemon=True).start()
    return (lambda call: asyncio.run_coroutine_threadsafe(started(call), loop),
            lambda: loop.call_soon_threadsafe(loop.stop))  # type: ignore[return-value]
