"""What an evaluation keeps: arrays of batches, padded to one another and put in one piece."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from enfold.errors import ConfigError
from enfold.train.trainer.counting import batch_rows
from enfold.weights.place.devices import free_memory

PADDING = -100


class Collected:
    """Batches of an evaluation, in main memory; `arrays()` gives them as one.

    every: how many batches stay on the device before they move.  expected: how many rows there
    will be, if that is known: what can't fit into memory raises at once, not when it is full.
    """

    def __init__(self, joined: bool = True, every: int = 1, expected: int | None = None) -> None:
        self.joined, self.every, self.expected = joined, every, expected
        self.batches, self._moved = list[Any](), 0
        self._held, self._widest = 0, 0.0  # bytes

    def add(self, batch: Any) -> None:
        """Keep a batch: a tensor, or tuples, lists and dicts of tensors."""
        self.batches.append(batch)
        if self.expected and self.joined:
            self._look_ahead(batch, self.expected)
        if len(self.batches) - self._moved >= self.every:
            self._move()

    def _look_ahead(self, batch: Any, rows: int) -> None:
        """Raise if all rows, each as wide as these, are more than there is memory for."""
        here, own = size(batch), batch_rows(batch) or 1
        self._held += here
        if here / own <= self._widest:
            return
        self._widest = here / own
        whole, free = self._widest * rows, free_memory() + self._held
        if whole > free:
            raise ConfigError(
                f"the outputs of {rows:,} rows would be {whole / 1e9:,.1f} GB together, and "
                f"{free / 1e9:,.1f} GB of memory are free. Do: keep less of them "
                "(preprocess_logits_for_metrics=lambda logits, labels: logits.argmax(-1)), or "
                "compute metrics batch by batch (batch_eval_metrics=True), or predict a part of "
                "the data at a time")

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


def size(value: Any) -> int:
    """Bytes of all arrays and tensors in a value."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return sum(size(part) for part in value)
    return int(getattr(value, "nbytes", 0))


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
    whole, place = np.empty((rows, *widths), kind), 0
    for number, batch in enumerate(batches):
        part = whole[place:place + len(batch)]
        if part.shape != batch.shape:
            part[...] = PADDING
        part[tuple(slice(0, count) for count in batch.shape)] = batch
        place += len(batch)
        batches[number] = None
    return whole
