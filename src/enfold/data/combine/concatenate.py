"""`concatenate_datasets`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from enfold.data.combine.checks import are_streams
from enfold.data.dataset import Dataset
from enfold.data.dataset.aligning import fitted, shared_features
from enfold.data.dataset.origin import agreed
from enfold.data.features import Features
from enfold.data.frame import Frame
from enfold.data.info import DatasetInfo
from enfold.data.plan import Format, Reshape
from enfold.data.splits import NamedSplit
from enfold.data.streaming import IterableDataset
from enfold.errors import DataError

AnyDataset = TypeVar("AnyDataset", Dataset, IterableDataset)


def concatenate_datasets(dsets: Sequence[AnyDataset], info: DatasetInfo | None = None,
                         split: NamedSplit | None = None, axis: int = 0) -> AnyDataset:
    """The rows of all, one dataset after the other (axis=0), or the columns of all (axis=1).

    A column that a dataset lacks is None for its rows; with axis=1 all must have as many rows, and
    no name in common.  info, split: of the result; by default the infos are merged.  A dataset
    without rows counts for nothing.  Data is shared, not copied.
    """
    if axis not in (0, 1):
        raise DataError(f"concatenate_datasets: axis={axis!r}. Expected 0 for rows, or 1 for "
                        "columns")
    found: Any = list(dsets)
    if are_streams(found, "concatenate"):
        from enfold.data.streaming.combine import concatenate_iterable

        found = concatenate_iterable(found, info, split, axis)
    else:
        found = concatenate(found, info, split, axis)
    return found  # type: ignore[no-any-return]


def concatenate(datasets: list[Dataset], info: DatasetInfo | None, split: NamedSplit | None,
                axis: int) -> Dataset:
    """Map-style datasets as one."""
    if axis == 1 or not _alike(datasets):  # else nothing has to be run to know
        filled = [dataset for dataset in datasets if dataset.num_rows]
        if not filled:
            return datasets[0]
        datasets = filled
    node = _below(datasets) if axis == 0 else _beside(datasets)
    if info is not None and info.features is not None:
        node.features = agreed(info.features, node.features)
    infos = [dataset.info for dataset in datasets]
    whole = Dataset(node, info or DatasetInfo.from_merge(infos), split)
    whole._format = _shared_format(datasets)
    return whole


def _below(datasets: list[Dataset]) -> Reshape:
    features = shared_features([dataset.features for dataset in datasets])
    counts = [dataset._node.rows for dataset in datasets]
    known = [count for count in counts if count is not None]
    rows = sum(known) if len(known) == len(counts) else None

    def change(*frames: Frame) -> Frame:
        return Frame.below([fitted(frame, features) for frame in frames])

    return Reshape([dataset._node for dataset in datasets], features, rows, "concatenate", change)


def _beside(datasets: list[Dataset]) -> Reshape:
    counts = [dataset.num_rows for dataset in datasets]
    if len(set(counts)) > 1:
        raise DataError("concatenate_datasets: Number of rows must match for all datasets, got "
                        f"{counts}. Do: select or take as many of each")
    names = [name for dataset in datasets for name in dataset.column_names]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError("concatenate_datasets: The table can't have duplicated columns but columns "
                        f"{twice} are duplicated. Do: remove or rename them in one")
    features = Features({name: feature for dataset in datasets
                         for name, feature in dataset.features.items()})
    return Reshape([dataset._node for dataset in datasets], features, counts[0],
                   "concatenate columns", lambda *frames: Frame.beside(frames))


def _alike(datasets: list[Dataset]) -> bool:
    """Whether it makes no difference which of them have rows."""
    first = datasets[0]
    return any(dataset._node.rows for dataset in datasets) and all(
        dataset.features == first.features and list(dataset.features) == list(first.features)
        and dataset.format == first.format and dataset.info == first.info for dataset in datasets)


def _shared_format(datasets: list[Dataset]) -> Format:
    """The format of all, if it is one."""
    first = datasets[0]
    same = all(dataset.format == first.format for dataset in datasets)
    return first._format if same else Format()
