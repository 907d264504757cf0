"""What an evaluation keeps: arrays of batches, padded to one another and put in one piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

PADDING = -100


class Collected:
    """Batches of an evaluation, in main memory; `arrays()` gives them as one.

    every: how many batches stay on the device before they move.
    """

    def __init__(self, joined: bool = True, every: int = 1) -> None:
        self.joined, self.every = joined, every
        self.batches, self._moved = list[Any](), 0

    def add(self, batch: Any) -> None:
        """Keep a batch: a tensor, or tuples, lists and dicts of tensors."""
        self.batches.append(batch)
        if len(self.batches) - self._moved >= self.every:
            self._move()

    def _move(self) -> None:
        for at in range(self._moved, len(self.batches)):
            self.batches[at] = nested(to_array, self.batches[at])
        self._moved = len(self.batches)

    def arrays(self) -> Any:
        """All rows [N, ...], padded at the end with -100; the list of batches if not `joined`."""
        self._move()
        if not self.batches:
            return None
        return join(self.batches) if self.joined else self.batches


def is_objects(value: Any) -> bool:
    """Whether this is a list of rows that are no tensors: texts, numbers, objects."""
    parts = (torch.Tensor, np.ndarray, Mapping, list, tuple)
    return isinstance(value, list) and bool(value) and \
        not any(isinstance(one, parts) for one in value)


def nested(function: Callable[[Any], Any], value: Any) -> Any:
    """The value with each tensor in it replaced by what the function makes of it."""
    if isinstance(value, Mapping):
        return {name: nested(function, part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(nested(function, part) for part in value)
    return function(value)


def to_array(value: Any) -> Any:
    """A tensor as an array; bfloat16, which numpy has not, as float32."""
    if not torch.is_tensor(value):
        return value
    value = value.detach()
    return (value.float() if value.dtype == torch.bfloat16 else value).cpu().numpy()


def join(batches: list[Any]) -> Any:
    """Batches one below the other; the list is emptied on the way, to need no second copy."""
    first = batches[0]
    if isinstance(first, Mapping):
        return {name: join([batch[name] for batch in batches]) for name in first}
    if is_objects(first):
        return [one for batch in batches for one in batch]
    if isinstance(first, (list, tuple)):
        return type(first)(join([batch[at] for batch in batches]) for at in range(len(first)))
    batches[:] = [np.atleast_1d(batch) for batch in batches]
    return _filled(batches)


def _filled(batches: list[Any]) -> Any:
    rows = sum(len(batch) for batch in batches)
    widths = [max(sizes) for sizes in zip(*(batch.shape[1:] for batch in batches), strict=True)]
    kind = np.result_type(*{batch.dtype for batch in batches})
    if all(batch.shape[1:] == batches[0].shape[1:] for batch in batches):
        whole = np.empty((rows, *widths), kind)
    else:
        whole = np.full((rows, *widths), PADDING, kind)
    place = 0
    for number, batch in enumerate(batches):
        within = tuple(slice(0, size) for size in batch.shape[1:])
        whole[(slice(place, place + len(batch)), *within)] = batch
        place += len(batch)
        batches[number] = None
    return whole
