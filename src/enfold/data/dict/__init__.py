"""The splits of a dataset by name, with the methods of `Dataset` over all of them."""

from enfold.data.dict.dataset_dict import DatasetDict
from enfold.data.dict.iterable_dict import IterableDatasetDict

__all__ = ["DatasetDict", "IterableDatasetDict"]
