"""Batches by column have no last one to drop."""

import pytest

from enfold.data import Dataset
from enfold.errors import DataError


@pytest.mark.parametrize("stream", [False, True])
def test_drop_last_batch_with_by_column_raises(stream):
    ds = Dataset.from_dict({"a": [1, 1, 2]})
    ds = ds.to_iterable_dataset() if stream else ds
    with pytest.raises(DataError, match="batches by column have no set size"):
        ds.batch(by_column="a", drop_last_batch=True)
