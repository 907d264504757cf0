"""Inputs and results of a pipeline: one item, a list, or a stream, a window of it at a time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

WINDOW = 1024  # rows sorted together; more gain little, fewer pad more
SLOW = 0.05  # seconds: a source that takes longer is read item by item
PROGRESS_FROM = 200  # items


class KeyDataset:
    """One column of a data set: `pipe(KeyDataset(dataset, "text"))`."""

    def __init__(self, dataset: Any, key: str) -> None:
        self.dataset, self.key = dataset, key

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[index][self.key]


class KeyPairDataset:
    """Two columns of a data set as the text pairs that text-classification takes."""

    def __init__(self, dataset: Any, key1: str, key2: str) -> None:
        self.dataset, self.key1, self.key2 = dataset, key1, key2

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self.dataset[index]
        return {"text": row[self.key1], "text_pair": row[self.key2]}


class Stream(Iterator[Any]):
    """Results in the inputs' order, computed as they are asked for.  It has the source's length."""

    def __init__(self, results: Iterator[Any], length: int | None) -> None:
        self._results, self._length = results, length

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Any:
        return next(self._results)

    def __len__(self) -> int:
        if self._length is None:
            raise TypeError("the input of this pipeline is a stream without a length")
        return self._length


def is_many(inputs: object) -> bool:
    """Whether `inputs` are items to be worked on one by one, rather than one item."""
    if isinstance(inputs, (str, bytes, Mapping)):
        return False
    sized = hasattr(inputs, "__getitem__") and hasattr(inputs, "__len__")
    return sized or isinstance(inputs, Iterable)


def iterate(inputs: Any) -> Iterator[Any]:
    """The items of a list, a generator, or anything with `__len__` and `__getitem__`."""
    if hasattr(inputs, "__iter__"):
        return iter(inputs)
    return (inputs[index] for index in range(len(inputs)))


def length_of(inputs: Any) -> int | None:
    """The number of items, or None for a stream."""
    return len(inputs) if hasattr(inputs, "__len__") else None


def windows(items: Iterator[Any], size: int, *, live: bool) -> Iterator[list[Any]]:
    """Cut `items` into lists of at most `size`.

    A `live` source (a queue, a socket) must not wait for items that come later: its windows start
    with one item and double as long as the source answers at once.
    """
    current = 1 if live else size
    while True:
        started = time.perf_counter()
        window = list(islice(items, current))
        if not window:
            return
        fast = time.perf_counter() - started < SLOW
        yield window
        if live:
            current = min(size, current * 2) if fast else 1


def with_progress(results: Iterator[Any], total: int | None,
                  progress: bool | Callable[..., Any] | None, label: str) -> Iterator[Any]:
    """`results` behind a progress bar: if asked for, or for long lists on a terminal."""
    if progress is None:
        progress = total is not None and total >= PROGRESS_FROM and sys.stderr.isatty()
    if progress is False:
        return results
    if progress is True:
        from tqdm import tqdm
        progress = tqdm
    return iter(progress(results, total=total, desc=label))
