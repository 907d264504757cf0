"""Ranks: one process, for now."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from torch import Tensor, nn


class Ranks:
    """One process."""

    def __init__(self, args: Any) -> None:
        self.rank, self.world_size = int(args.process_index), int(args.world_size)
        self.main = self.rank == 0
        if self.world_size > 1:
            raise NotImplementedError("training on several ranks")

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all ranks."""
        return tensor

    def gather(self, tensor: Tensor) -> Tensor:
        """The tensors of all ranks, one below the other."""
        return tensor

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model as it is called in a training step."""
        return model

    def no_sync(self, model: nn.Module) -> AbstractContextManager[Any]:
        """A context in which gradients are not exchanged."""
        return nullcontext()

    def barrier(self) -> None:
        """Wait for all ranks."""
