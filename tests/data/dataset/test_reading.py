"""What is read of a dataset by index, slice, list and name, in several formats, is the peer's."""

from __future__ import annotations

import numpy as np
import pytest

import enfold.data as ours
from tests.data.dataset.worlds import STARTS, outcome, same, theirs

KEYS = {
    "first": 0, "last": -1, "outside": 1000, "far below": -1000, "numpy": np.int64(3),
    "slice": slice(2, 9), "stepped": slice(20, 2, -3), "open": slice(-4, None),
    "list": [3, 1, 1], "array": np.array([4, 2]), "range": range(2, 8),
    "booleans": [True, False] * 4, "list outside": [0, 1000], "float": 1.5, "column": "text",
    "unknown column": "m", "none": None,
}
READS = {
    **{f"ds[{name}]": (lambda ds, lib, key=key: ds[key]) for name, key in KEYS.items()},
    "getitems": lambda ds, lib: ds.__getitems__([3, 0]),
    "len": lambda ds, lib: len(ds),
    "iter": lambda ds, lib: list(ds.iter(5)),
    "iter dropping": lambda ds, lib: list(ds.iter(5, drop_last_batch=True)),
    "to_dict": lambda ds, lib: ds.to_dict(),
    "to_list": lambda ds, lib: ds.to_list(),
    "column slice": lambda ds, lib: ds["n"][2:5],
    "column item": lambda ds, lib: ds["text"][-1],
    "column of struct": lambda ds, lib: list(ds["point"]["x"]),
    "column length": lambda ds, lib: len(ds["n"]),
    "repr": lambda ds, lib: (len(ds), repr(ds))[1],
    "shape": lambda ds, lib: (ds.shape, ds.num_rows, ds.num_columns, ds.column_names),
    "format": lambda ds, lib: ds.format,
    "numpy rows": lambda ds, lib: ds.with_format("numpy")[:3],
    "numpy row": lambda ds, lib: ds.with_format("numpy")[1],
    "numpy column": lambda ds, lib: ds.with_format("numpy", columns=["n"])["n"][:],
    "numpy and others": lambda ds, lib: ds.with_format(
        "numpy", columns=["n"], output_all_columns=True)[:2],
    "arrow": lambda ds, lib: ds.with_format("arrow")[:3].to_pydict(),
    "pandas": lambda ds, lib: ds.with_format("pandas")[:3].to_dict("list"),
    "pandas column": lambda ds, lib: list(ds.with_format("pandas")["n"]),
    "transform": lambda ds, lib: ds.with_transform(
        lambda batch: {"m": [n + 1 for n in batch["n"]]})[:3],
    "transform of columns": lambda ds, lib: ds.with_transform(
        lambda batch: {"m": [n + 1 for n in batch["n"]]}, columns=["n"],
        output_all_columns=True)[:2],
}


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("read", READS)
def test_as_datasets(start, read, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    case = READS[read]
    same(outcome(ours, start, case, folder), outcome(theirs, start, case, folder))
