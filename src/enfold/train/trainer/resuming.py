"""Where a run stands, so that it goes on exactly there.

A checkpoint holds, beside weights and optimizer, a `progress.pt`: the epoch, the place of the
loader in it, the generators as they were when the epoch began (loaders draw their seeds there)
and the running sums of what is logged.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch

from enfold.errors import CheckpointError

SAVED = ("epoch", "done", "total", "logged", "since", "flos", "spare", "width", "data",
         "epoch_rng")


class Progress:
    """The place of a run.

    epoch, and batches `done` in it on this rank; loss: summed since step `logged`; total: summed
    before that, since step `since`.  spare: a checkpoint that is there only for being the best.
    """

    def __init__(self, device: torch.device | str = "cpu", width: int = 1) -> None:
        self.width = width  # rows of a batch, of all ranks
        self.epoch = self.done = self.logged = self.since = self.tokens_before = 0
        self.loss = torch.zeros((), device=device)
        self.total = self.flos = self.learning_rate = 0.0
        self.grad_norm: Any = 0.0
        self.spare: str | None = None
        self.data: dict[str, Any] | None = None
        self.epoch_rng: dict[str, Any] | None = None
        self.rng: dict[str, Any] | None = None  # to set before the next batch is prepared

    def enter(self, epoch: int, loader: Any) -> Iterator[Any]:
        """The batches of an epoch, from where the run stands."""
        if epoch != self.epoch:
            self.epoch, self.done, self.data = epoch, 0, None
        if self.done and self.epoch_rng is not None:
            set_rng_state(self.epoch_rng)
        elif self.rng is not None:
            set_rng_state(self.rng)
        self.epoch_rng = rng_state()
        _set_epoch(loader, epoch)
        batches = self._opened(loader)
        if self.done and self.rng is not None:
            set_rng_state(self.rng)
        self.rng = self.data = None
        return batches

    def _opened(self, loader: Any) -> Iterator[Any]:
        knows = hasattr(loader, "load_state_dict")
        if self.done and knows:
            loader.load_state_dict({**(self.data or {}), "batches": self.done})
        batches: Iterator[Any] = iter(loader)
        for _ in range(0 if knows else self.done):
            next(batches, None)
        return batches

    def leave(self) -> None:
        """The epoch is over."""
        self.epoch, self.done, self.data, self.epoch_rng = self.epoch + 1, 0, None, None

    def note(self, loader: Any) -> None:
        """Take down the loader's place, before a checkpoint is written."""
        self.data = loader.state_dict() if self.done and hasattr(loader, "state_dict") else None

    def state_dict(self) -> dict[str, Any]:
        """All that is kept in `progress.pt`."""
        return {"loss": self.loss.cpu(), **{name: getattr(self, name) for name in SAVED}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there."""
        self.loss += state["loss"].to(self.loss.device)
        for name in SAVED:
            setattr(self, name, state[name])

    def read(self, folder: Path, rank: int, world_size: int) -> bool:
        """Go on from a checkpoint, of as many ranks or of others; False: it does not say where."""
        files, width = sorted(folder.glob("progress*.pt")), self.width
        if not files:
            return False
        same = len(files) == world_size
        own = f"progress_{rank}.pt" if same and world_size > 1 else files[0].name
        self.load_state_dict(read_saved(folder / own))
        if not same:
            self._merge([read_saved(path) for path in files], folder, rank, world_size)
        self.done, self.width = self.done * self.width // width, width
        return True

    def _merge(self, states: list[dict[str, Any]], folder: Path, rank: int,
               world_size: int) -> None:
        """Take what other ranks had; none of them is there now."""
        if self.data is not None and "workers" in self.data:
            raise CheckpointError(f"{folder} was written by {len(states)} ranks that read a "
                                  f"stream, and there are {world_size} now: where each stood does "
                                  "not carry over. Do: resume on as many, or ignore_data_skip=True")
        self.data = None
        self.loss.fill_(sum(float(state["loss"]) for state in states) if rank == 0 else 0.0)

    def guess(self, steps: int, epoch_steps: int, accumulate: int) -> None:
        """Go on after so many steps, of a checkpoint that says no more than that."""
        self.epoch, within = divmod(steps, epoch_steps)
        self.done, self.logged, self.since = within * accumulate, steps, steps


def read_saved(path: Path, device: Any = "cpu") -> Any:
    """What torch.save wrote: tensors, numbers, texts and the states of generators."""
    core = np._core.multiarray  # type: ignore[attr-defined]
    known = [core._reconstruct, np.ndarray, np.dtype, type(np.dtype(np.uint32))]
    try:
        with torch.serialization.safe_globals(known):
            return torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError, UnpicklingError) as error:
        raise CheckpointError(f"{path} can't be read: {str(error)[:300]}. Do: resume from an older "
                              "checkpoint of the run") from error


def rng_state() -> dict[str, Any]:
    """The generators of python, numpy, torch and CUDA, under the names of rng_state.pth."""
    found = {"python": random.getstate(), "numpy": np.random.get_state(),
             "cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state()
    return found


def set_rng_state(state: dict[str, Any]) -> None:
    """Set the generators to what `rng_state` gave."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.set_rng_state(state["cpu"])
    cuda = state.get("cuda")
    if cuda is not None and torch.cuda.is_available():
        if isinstance(cuda, (list, tuple)):
            torch.cuda.set_rng_state_all(cuda)
        else:
            torch.cuda.set_rng_state(cuda)


def _set_epoch(loader: Any, epoch: int) -> None:
    """Tell whatever of a loader goes by the epoch."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    for part in (loader, batch_sampler, getattr(loader, "sampler", None),
                 getattr(batch_sampler, "sampler", None), getattr(loader, "dataset", None)):
        follow = getattr(part, "set_epoch", None)
        if follow is not None:
            follow(epoch)
            return
