"""DataLoader workers, machines and epochs: who reads which rows, and with which random numbers.

torch is never imported here: what concerns it happens where it is loaded already.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from logging import getLogger
from multiprocessing import RawValue
from multiprocessing.context import get_spawning_popen
from typing import Any

import numpy as np

from enfold.data.formatting.loaders import send_by_value, worker_info
from enfold.data.streaming.node import Node, OrderFixed, shard_numbers
from enfold.data.streaming.windows import Step
from enfold.errors import DataError

_log = getLogger(__name__)


@dataclass
class DistributedConfig:
    """The part of a machine: `rank` of `world_size`, in whole shards, by examples, or as fits."""

    rank: int
    world_size: int
    strategy: str = "auto"

    def by_shards(self, num_shards: int) -> bool:
        """Whether machines get shards; else each gets one row of `world_size`."""
        return self.strategy == "shards" or (
            self.strategy == "auto" and num_shards % self.world_size == 0)


class Epoch:
    """A number that worker processes see change, started by fork or by spawn."""

    def __init__(self, value: int = 0, shared: Any = None) -> None:
        self.shared = RawValue("q", value) if shared is None else shared

    @property
    def value(self) -> int:
        return int(self.shared.value)

    @value.setter
    def value(self, value: int) -> None:
        self.shared.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        if get_spawning_popen() is not None:
            return Epoch, (0, self.shared)
        return Epoch, (self.value,)


def join_torch(cls: type) -> None:
    """Make a class one of torch's iterable datasets, if torch is loaded."""
    data = sys.modules.get("torch.utils.data")
    if data is not None and hasattr(data, "IterableDataset") \
            and data.IterableDataset not in cls.__mro__:
        cls.__bases__ = (*cls.__bases__, data.IterableDataset)


def in_epoch(node: Node, epoch: int) -> Node:
    """The node with the shards in another order and other random numbers, but in epoch 0."""
    if not epoch:
        return node
    with suppress(OrderFixed):  # after skip and take, the same shards are first in every epoch
        node = node.shuffled(np.random.default_rng(epoch))
    return node.shifted(epoch)


def on_machine(node: Node, distributed: DistributedConfig | None) -> Node:
    """The part of the node for this machine."""
    if distributed is None:
        return node
    rank, world_size = distributed.rank, distributed.world_size
    if distributed.strategy == "shards" and node.num_shards < world_size:
        raise DataError(f"split_dataset_by_node: strategy='shards' of a dataset that has "
                        f"num_shards={node.num_shards} now and world_size={world_size}: some nodes "
                        f"would not be assigned any shard. Expected a shard per node at least")
    if distributed.by_shards(node.num_shards):
        return node.sharded(world_size, rank, contiguous=False)
    _log.info("Assigning 1 out of %d examples of the dataset to each node. The others are skipped. "
              "num_shards=%d is not a multiple of it", world_size, node.num_shards)
    return Step(node, world_size, rank)


def in_worker(node: Node, first: bool) -> Node | None:
    """The part of the node for this DataLoader worker; None: there are more workers than shards.

    first: whether this is the machine that may log.
    """
    info = worker_info()
    if info is None:
        return node
    send_by_value()
    if first and info.id == 0 and node.num_shards < info.num_workers:
        _log.warning("Too many dataloader workers: %d (max is dataset.num_shards=%d). Stopping %d "
                     "dataloader workers. More files, or dataset.reshard(), give more shards.",
                     info.num_workers, node.num_shards, info.num_workers - node.num_shards)
    if not shard_numbers(node.num_shards, info.num_workers, info.id, contiguous=False):
        return None
    return node.sharded(info.num_workers, info.id, contiguous=False).shifted(info.id)
