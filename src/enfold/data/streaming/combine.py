"""Several iterable datasets as one: one after the other, side by side, or interleaved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from logging import getLogger
from typing import Any

import numpy as np

from enfold.data.features import Features, align
from enfold.data.info import DatasetInfo
from enfold.data.splits import NamedSplit
from enfold.data.streaming.base import FormattingConfig
from enfold.data.streaming.columns import Fitted
from enfold.data.streaming.dataset import IterableDataset
from enfold.data.streaming.interleave import FIRST, STRATEGIES, Interleaved
from enfold.data.streaming.node import Node
from enfold.data.streaming.present import alike
from enfold.data.streaming.several import Beside, Concatenated, unique
from enfold.data.streaming.workers import DistributedConfig
from enfold.errors import DataError

_log = getLogger(__name__)


def concatenate_iterable(dsets: Sequence[IterableDataset], info: DatasetInfo | None = None,
                         split: NamedSplit | None = None, axis: int = 0) -> IterableDataset:
    """One after the other (axis=0), or the columns of all side by side (axis=1).

    What a dataset lacks is None.  info, split: of the result.  Raises DataError where columns have
    different features, or with axis=1 are in two of them.
    """
    dsets = _resolved(dsets, "concatenating")
    if axis:
        unique([name for ds in dsets for name in ds.column_names or ()])
    nodes = alike(ds._ex_iterable for ds in dsets)
    node: Node = Beside(nodes) if axis else Concatenated(nodes)
    return _combined(node, dsets, info, split, _shared_format(dsets))


def interleave_iterable(datasets: Sequence[IterableDataset],
                        probabilities: Sequence[float] | None = None, seed: int | None = None,
                        info: DatasetInfo | None = None, split: NamedSplit | None = None,
                        stopping_strategy: str = FIRST) -> IterableDataset:
    """Rows of each in turn, or drawn with `probabilities` by random numbers of `seed`.

    stopping_strategy: "first_exhausted" ends with the first dataset that ends, "all_exhausted" when
    each has ended once, those that end before begin again, "all_exhausted_without_replacement" when
    each row has been given once.
    """
    if stopping_strategy not in STRATEGIES:
        raise DataError(f"{stopping_strategy} is not supported. Please enter a valid "
                        f"stopping_strategy, one of {', '.join(STRATEGIES)}")
    datasets = _resolved(datasets, "interleaving")
    features = _aligned(datasets)
    children = alike(ds._ex_iterable for ds in datasets)
    if all(child.arrow for child in children):
        children = tuple(Fitted(child, features) for child in children)
    generator = None if probabilities is None else np.random.default_rng(seed)
    node = Interleaved(children, stopping_strategy, generator, probabilities)
    return _combined(node, datasets, info, split, None)


def split_iterable_by_node(dataset: IterableDataset, rank: int, world_size: int,
                           strategy: str = "auto") -> IterableDataset:
    """The part of machine `rank` of `world_size`; of a dataset that was split: a part of its part.

    strategy: "shards", "examples", or "auto" for shards where they divide evenly.
    """
    before = dataset._distributed
    if before is not None:
        if strategy not in ("auto", before.strategy):
            raise DataError(f"Cannot change the strategy when splitting an already distributed "
                            f"iterable dataset: it is {before.strategy!r}, got {strategy!r}")
        strategy = before.strategy
        rank, world_size = world_size * before.rank + rank, world_size * before.world_size
    shards = dataset._ex_iterable.num_shards
    if strategy == "shards" and shards < world_size:
        raise DataError(f"Cannot split an iterable dataset with num_shards={shards} across "
                        f"world_size={world_size} nodes with strategy='shards' because some nodes "
                        f"would not be assigned any shard. Do: strategy='examples'")
    return dataset._over(distributed=DistributedConfig(rank, world_size, strategy))


def _resolved(dsets: Sequence[IterableDataset], doing: str) -> list[IterableDataset]:
    """The datasets with features, all of the same machine's part."""
    found = [ds._resolve_features() for ds in dsets]
    first = found[0]._distributed
    for number, ds in enumerate(found):
        if ds._distributed != first:
            raise DataError(f"Datasets should be identically split_by_node before {doing}, but got "
                            f"{first}!={ds._distributed} at index 0 and {number}")
    return found


def _aligned(dsets: Sequence[IterableDataset]) -> Features:
    """The features of all together.  Raises DataError where two differ."""
    parts = align([ds._info.features for ds in dsets])
    return Features({name: feature for part in parts for name, feature in part.items()})


def _shared_format(dsets: Sequence[IterableDataset]) -> FormattingConfig | None:
    kinds = {ds._kind for ds in dsets}
    formats = [ds._formatting for ds in dsets]
    if len(kinds) == 1 and formats[0] is not None:
        return replace(formats[0])
    if any(formats):
        _log.info("Some of the datasets have disparate format or format not set. Resetting the "
                  "format of the concatenated dataset.")
    return None


def _combined(node: Node, dsets: Sequence[IterableDataset], info: DatasetInfo | None,
              split: NamedSplit | None, formatting: FormattingConfig | None) -> IterableDataset:
    info = DatasetInfo.from_merge([ds._info for ds in dsets]) if info is None else info.copy()
    info.features = _aligned(dsets)
    tokens: dict[str, Any] = {}
    for ds in dsets:
        tokens.update(ds._token_per_repo_id)
    return IterableDataset(node, info, split, formatting, dsets[0]._distributed, tokens)
