"""Rows written in order: without row numbers, in the cache or in a file of the caller's."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.cache import Store
from enfold.data.features import Features
from enfold.data.fingerprint import digest
from enfold.data.frame import Frame, open_file, write
from enfold.data.frame.gather import joined
from enfold.data.plan import Loaded, Node, Reshape

_ROWS, _BYTES = 1 << 16, 32 << 20  # of a block that is gathered
_THREADS = 4
_COPIED = 256 << 20  # bytes of data in many chunks that are joined to be gathered from


def flattened(node: Node, in_memory: bool, path: str | None) -> Node:
    """The plan with a step that writes rows in order where they are behind row numbers."""
    if path is not None:
        written_out = in_file(node, path, reuse=False)
        written_out._fingerprint = digest(("flatten indices", node.fingerprint))[:16]
        return written_out

    def written(frame: Frame) -> Frame:
        if frame.contiguous:
            return frame
        if in_memory or not node.durable:
            return _in_memory(frame)
        lease = Store().obtain(f"{node.fingerprint}-flat",
                               lambda path: _write(path, frame, node.features), "flatten_indices")
        return Frame.of(open_file(lease.path), (lease,), str(lease.path))

    return Reshape([node], node.features, node.rows, "flatten indices", written)


def in_file(node: Node, path: str | os.PathLike[str], reuse: bool) -> Node:
    """All columns in one Arrow file of this name, as `datasets` writes cache files."""
    path = os.path.abspath(os.path.expanduser(path))
    if not (reuse and os.path.exists(path)):
        frame = node.frame()
        with _drafted(path) as draft:
            _write(draft, frame, node.features, stream=True)
    table = open_file(path)
    features = Features.from_arrow_schema(table.schema)
    return Loaded(Frame.of(table, (), path), features, durable=True,
                  fingerprint=node.fingerprint, origin=path)


def write_rows(dataset: Any, path: str | None, start: int = 0) -> Any:
    """The dataset; its row numbers are in a file of this name, as `datasets` writes them.

    start: number of the first row, of rows that are a stretch of the data.
    """
    if path is None:
        return dataset
    found = dataset._indices
    numbers = np.arange(start, start + len(dataset)) if found is None else \
        found["indices"].to_numpy()
    table = pa.table({"indices": pa.array(numbers, pa.uint64())})
    with _drafted(os.path.abspath(path)) as draft:
        write(draft, [table], table.schema, stream=True)
    return dataset


@contextmanager
def _drafted(path: str) -> Iterator[Path]:
    """A file that gets its name once it is whole."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=os.path.dirname(path), suffix=".incomplete")
    os.close(handle)
    try:
        yield Path(draft)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise


def _write(path: Path, frame: Frame, features: Features, stream: bool = False) -> None:
    write(path, _blocks(frame), features.arrow_schema, stream=stream)


def _in_memory(frame: Frame) -> Frame:
    tables = list(_blocks(frame))
    return Frame.of(pa.concat_tables(tables) if tables else frame.table(), frame.holds)


def _blocks(frame: Frame) -> Iterator[pa.Table]:
    """All rows in order, gathered by threads a little ahead of who takes them.

    Gathering waits for memory, so two threads are nearly twice as fast as one.
    """
    near = _near(frame)
    width = sum(column.data.nbytes / max(1, len(column.data)) for column in near.columns.values())
    size = max(1, min(_ROWS, int(_BYTES / max(1.0, width))))
    count = min(_THREADS, pa.cpu_count())
    waiting: deque[Future[pa.Table]] = deque()
    with ThreadPoolExecutor(count, "enfold-gather") as pool:
        for start in range(0, near.num_rows, size):
            waiting.append(pool.submit(near.slice, start, start + size))
            if len(waiting) > count:
                yield waiting.popleft().result()
        for block in waiting:
            yield block.result()


def _near(frame: Frame) -> Frame:
    """The frame with its data in one chunk, where that pays: rows are then gathered in one go."""
    behind = {name: column for name, column in frame.columns.items() if column.rows is not None}
    many = all(frame.num_rows * 4 > len(column.data) for column in behind.values())
    if not many or sum(column.data.nbytes for column in behind.values()) > _COPIED:
        return frame
    return frame.put({name: replace(column, data=pa.chunked_array(
        [joined(column.data.chunks, column.data.type)], column.data.type))
        for name, column in behind.items()})
