"""What can be combined: datasets of one kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.data.dataset import Dataset
from enfold.data.dict import DatasetDict, IterableDatasetDict
from enfold.data.streaming import IterableDataset
from enfold.errors import DataError


def are_streams(datasets: Sequence[Any], doing: str) -> bool:
    """Whether these are iterable datasets, rather than map-style ones; raises for anything else."""
    if not datasets:
        raise DataError(f"Unable to {doing} an empty list of datasets. Expected one or more")
    expected = "Expected a list of Dataset objects or a list of IterableDataset objects"
    first: Any = None
    for place, dataset in enumerate(datasets):
        if isinstance(dataset, (DatasetDict, IterableDatasetDict)):
            if not dataset:
                raise DataError(f"{expected}, but element at position {place} is an empty dataset "
                                "dictionary")
            raise DataError(f"Dataset at position {place} has at least one split: {list(dataset)}. "
                            f"Please pick one to {doing} with the other datasets, for example: "
                            f"dataset[{next(iter(dataset))!r}]")
        if not isinstance(dataset, (Dataset, IterableDataset)):
            raise DataError(f"{expected}, but element at position {place} is a "
                            f"{type(dataset).__name__}")
        kind = Dataset if isinstance(dataset, Dataset) else IterableDataset
        first = first or kind
        if kind is not first:
            raise DataError(f"Unable to {doing} a {first.__name__} (at position 0) with a "
                            f"{kind.__name__} (at position {place}). {expected}")
    return first is IterableDataset
