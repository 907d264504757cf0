"""Whether two values are the same: types, dtypes, shapes and what is in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import torch


def same(ours: Any, theirs: Any) -> bool:
    """Equal in value and kind, at every depth; NaN equals NaN."""
    if isinstance(theirs, dict):
        return (isinstance(ours, dict) and list(ours) == list(theirs)
                and all(same(ours[key], theirs[key]) for key in theirs))
    if isinstance(theirs, torch.Tensor):
        return (isinstance(ours, torch.Tensor) and ours.dtype == theirs.dtype
                and ours.shape == theirs.shape and same(ours.numpy(), theirs.numpy()))
    if isinstance(theirs, np.ndarray):
        return isinstance(ours, np.ndarray) and _same_arrays(ours, theirs)
    if type(ours) is not type(theirs):
        return False
    if isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(theirs, pd.DataFrame):
        return list(ours) == list(theirs) and all(same(ours[name], theirs[name]) for name in theirs)
    if isinstance(theirs, pd.Series):
        return (str(ours.dtype) == str(theirs.dtype) and ours.index.equals(theirs.index)
                and same(list(ours), list(theirs)))
    if isinstance(theirs, (pl.DataFrame, pl.Series)):
        return same(ours.to_dict(as_series=False), theirs.to_dict(as_series=False)) \
            if isinstance(theirs, pl.DataFrame) else same(ours.to_list(), theirs.to_list())
    if isinstance(theirs, pa.Table):
        return same(dict(zip(ours.column_names, ours.columns, strict=True)),
                    dict(zip(theirs.column_names, theirs.columns, strict=True)))
    if isinstance(theirs, pa.ChunkedArray):
        return same(_stored(ours), _stored(theirs))
    if hasattr(theirs, "getdata"):
        return bool(ours.mode == theirs.mode and ours.tobytes() == theirs.tobytes())
    return bool(ours is theirs or ours == theirs or (ours != ours and theirs != theirs))


def _same_arrays(ours: np.ndarray, theirs: np.ndarray) -> bool:
    if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
        return False
    return same(ours.tolist(), theirs.tolist())


def _stored(column: pa.ChunkedArray) -> list[Any]:
    """The values of the storage: the real library can't list null ragged arrays."""
    return [value for chunk in column.chunks for value in
            (chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk).to_pylist()]
