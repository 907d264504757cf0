"""`split_dataset_by_node`: every machine its part of a dataset."""

from __future__ import annotations

from typing import Any

from enfold.data.streaming import IterableDataset
from enfold.data.streaming.combine import split_iterable_by_node
from enfold.errors import DataError

STRATEGIES = ("auto", "shards", "examples")


def split_dataset_by_node(dataset: Any, rank: int, world_size: int, strategy: str = "auto") -> Any:
    """The part of a dataset for machine `rank` of `world_size`.

    A `Dataset` is cut into parts of rows that follow each other.  Of an `IterableDataset` a machine
    gets whole shards (strategy="shards"), or one row of every `world_size` ("examples"); "auto"
    takes shards where their number is a multiple of `world_size`.  Shuffle with a fixed seed, so
    that all machines see the same order.
    """
    if strategy not in STRATEGIES:
        raise DataError(f"Invalid strategy {strategy!r}. Expected one of 'auto', 'shards', or "
                        f"'examples'.")
    if isinstance(dataset, IterableDataset):
        return split_iterable_by_node(dataset, rank, world_size, strategy)
    if strategy != "auto":
        raise DataError(f"Map-style datasets only support strategy='auto', but got "
                        f"strategy={strategy!r}.")
    return dataset.shard(num_shards=world_size, index=rank, contiguous=True)
