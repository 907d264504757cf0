"""What processes do together before anything is known of a run."""

from __future__ import annotations

import os
from typing import TypeVar

import torch.distributed as dist

T = TypeVar("T")


def agreed(value: T | None, world_size: int) -> T:
    """The value that rank 0 has, on every rank."""
    if world_size > 1:
        holder = [value]
        dist.broadcast_object_list(holder)
        value = holder[0]
    return value  # type: ignore[return-value]


def barrier(world_size: int) -> None:
    """Wait for all ranks."""
    if world_size > 1:
        dist.barrier()


def first_of_machine() -> bool:
    """Whether this process is the first on its machine."""
    return int(os.environ.get("LOCAL_RANK", 0)) == 0
