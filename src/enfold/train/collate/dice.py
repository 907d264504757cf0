"""Random draws of collators: those of the reference for the same seed, by torch or numpy."""

from __future__ import annotations

import multiprocessing
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import get_worker_info

from enfold.errors import InputError

Bools = npt.NDArray[np.bool_]


class Dice(Protocol):
    """What masking draws.  A generator of None is the library's global one."""

    def coins(self, chance: float | npt.NDArray[Any], shape: tuple[int, ...]) -> Bools:
        """True with this chance at each place."""

    def ids(self, count: int, places: Bools) -> npt.NDArray[np.int64]:
        """An id below `count` for each true place, in order."""


class TorchDice:
    """Draws of torch."""

    def __init__(self, generator: torch.Generator | None) -> None:
        self.generator = generator

    def coins(self, chance: float | npt.NDArray[Any], shape: tuple[int, ...]) -> Bools:
        chances = torch.from_numpy(np.broadcast_to(chance, shape).astype(np.float32))
        drawn = torch.bernoulli(chances, generator=self.generator)
        return drawn.bool().numpy()

    def ids(self, count: int, places: Bools) -> npt.NDArray[np.int64]:
        drawn = torch.randint(count, places.shape, generator=self.generator)
        return drawn.numpy()[places]


class NumpyDice:
    """Draws of numpy."""

    def __init__(self, generator: np.random.Generator | None) -> None:
        self.generator = generator

    def coins(self, chance: float | npt.NDArray[Any], shape: tuple[int, ...]) -> Bools:
        source: Any = self.generator or np.random
        return source.binomial(1, chance, size=shape).astype(bool)  # type: ignore[no-any-return]

    def ids(self, count: int, places: Bools) -> npt.NDArray[np.int64]:
        number = int(np.count_nonzero(places))
        if self.generator is not None:
            return self.generator.integers(count, size=number, dtype=np.int64)
        return np.random.randint(0, count, size=number, dtype=np.int64)


def make_generator(seed: int, kind: str) -> Any:
    """The generator of this process; each worker of a loader has a stream of its own."""
    if multiprocessing.current_process().name != "MainProcess":
        worker = get_worker_info()
        if worker is None:
            raise InputError("a collator with a seed runs in a process that is no worker of a "
                             "DataLoader, and so has no number to seed it by. Do: use a "
                             "DataLoader, or leave seed=None")
        seed += worker.id
    return torch.Generator().manual_seed(seed) if kind == "pt" else np.random.default_rng(seed)
