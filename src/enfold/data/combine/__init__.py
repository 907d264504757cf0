"""Several datasets as one: below each other, beside each other, or their rows in turn."""

from enfold.data.combine.concatenate import concatenate_datasets
from enfold.data.combine.interleave import interleave_datasets

__all__ = ["concatenate_datasets", "interleave_datasets"]
