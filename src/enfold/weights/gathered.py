"""A checkpoint whose files hold tensors in pieces, shown under the model's names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, KeysView
from typing import Any

import torch
from torch import Tensor

from enfold.errors import CheckpointError, nearest
from enfold.files import Checkpoint
from enfold.weights.pieces import Pieces


class Gathered(Checkpoint):
    """A checkpoint under the model's names.

    A stack is filled piece by piece as it is read, and each piece's pages are given back.  dtype:
    what stacks are read as; None leaves what the file has.
    """

    def __init__(self, held: Checkpoint, table: Iterable[Pieces], title: str,
                 dtype: torch.dtype | None = None) -> None:
        self.held, self.cast, self.table = held, dtype, tuple(table)
        self.paths, self.metadata = held.paths, held.metadata
        self.groups: dict[str, tuple[Pieces, tuple[str, ...]]] = {}
        taken = set()
        for key in held.keys():  # noqa: SIM118 - not a dict
            for pieces in self.table:
                if (name := pieces.whole(key)) is not None and name not in held:
                    self.groups[name] = pieces, pieces.split(name) or ()
                    taken.add(key)
        self._names = dict.fromkeys([*(k for k in held if k not in taken), *self.groups])
        for pieces, keys in self.groups.values():
            self._check(title, pieces, keys)

    def _check(self, title: str, pieces: Pieces, keys: tuple[str, ...]) -> None:
        for key in keys:
            if key not in self.held:
                raise CheckpointError(
                    f"{title}: checkpoint has no tensor {key!r} (needed by {pieces.name})"
                    f"{nearest(key, self.held.keys())}. Do: check that config.json belongs to "
                    "these weights")
        shapes = {key: self.held.shape(key) for key in keys}
        usual = Counter(shapes.values()).most_common(1)[0][0]
        for key, shape in shapes.items():
            if shape != usual:
                raise CheckpointError(
                    f"{title}: tensor {key!r} has shape {shape}, expected {usual} as its "
                    f"{len(keys) - 1} siblings. Do: check the weights, or download them again")

    def spelled(self, name: str) -> str:
        """What the file calls the model's `name`, or would call it; of a stack its first piece."""
        if name in self.groups:
            return self.groups[name][1][0]
        for pieces in self.table:
            stacked = any(pieces.split(key) for key in self._names if key not in self.groups)
            if not stacked and (names := pieces.split(name)):
                return names[0]
        return name

    def keys(self) -> KeysView[str]:
        return self._names.keys()

    def shape(self, key: str) -> tuple[int, ...]:
        if key not in self.groups:
            return self.held.shape(key)
        pieces, keys = self.groups[key]
        first, *rest = self.held.shape(keys[0])
        return (pieces.count, first * len(pieces.parts), *rest) if pieces.count else (first, *rest)

    def dtype(self, key: str) -> torch.dtype:
        if key not in self.groups:
            return self.held.dtype(key)
        return self.cast or self.held.dtype(self.groups[key][1][0])

    def nbytes(self, key: str) -> int:
        if key not in self.groups:
            return self.held.nbytes(key)
        return sum(map(self.held.nbytes, self.groups[key][1]))

    def get(self, key: str) -> Tensor:
        if key not in self.groups:
            return self.held.get(key)
        pieces, keys = self.groups[key]
        if not pieces.count:
            return self.held.get(keys[0])
        stack = torch.empty(self.shape(key), dtype=self.dtype(key))
        for place, name in zip(pieces.cut(stack), keys, strict=True):
            place.copy_(self.held.get(name))
            self.held.release(name)
        return stack

    __getitem__ = get

    def release(self, key: str) -> None:
        if key not in self.groups:
            self.held.release(key)
        elif not self.groups[key][0].count:
            self.held.release(self.groups[key][1][0])

    def fetch(self, key: str) -> None:
        for name in self.groups[key][1] if key in self.groups else (key,):
            self.held.fetch(name)

    def file(self, key: str) -> Any:
        return self if key in self.groups else self.held.file(key)

    def __contains__(self, key: object) -> bool:
        return key in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)
