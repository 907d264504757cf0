"""The pandas dtype of columns of `Array2D` .. `Array5D`: an array in each row.

Imported when such a column is shown in pandas.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas.api.extensions import ExtensionArray, ExtensionDtype

from enfold.data.features.arraytypes import ARRAY_TYPES


class PandasArrayExtensionDtype(ExtensionDtype):  # type: ignore[misc]
    """`array[int32]`."""

    kind = "O"
    _metadata = ("value_type",)

    def __init__(self, value_type: Any) -> None:
        self.value_type = value_type

    @property
    def type(self) -> Any:
        return np.ndarray

    @property
    def name(self) -> str:
        return f"array[{self.value_type}]"

    @classmethod
    def construct_array_type(cls) -> Any:
        return PandasArrayExtensionArray

    def __from_arrow__(self, array: pa.Array | pa.ChunkedArray) -> PandasArrayExtensionArray:
        if isinstance(array, pa.ChunkedArray):
            array = array.type.wrap_array(pa.concat_arrays([chunk.storage
                                                            for chunk in array.chunks]))
        return PandasArrayExtensionArray(array.to_numpy(zero_copy_only=False))


class PandasArrayExtensionArray(ExtensionArray):  # type: ignore[misc]
    """Rows of one array [rows, *shape], or an object array of arrays of different shapes."""

    def __init__(self, data: np.ndarray, copy: bool = False) -> None:
        self._data = np.array(data) if copy else data

    @property
    def dtype(self) -> PandasArrayExtensionDtype:
        return PandasArrayExtensionDtype(self._data.dtype)

    @property
    def nbytes(self) -> int:
        return int(self._data.nbytes)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if dtype is not None and np.dtype(dtype) == object:
            return _objects(list(self._data))
        return self._data if dtype is None else self._data.astype(dtype)

    def __arrow_array__(self, type: Any = None) -> pa.Array:
        rows = [row.tolist() if isinstance(row, np.ndarray) else None for row in self._data]
        ours: Any = type if hasattr(type, "ndims") else self._arrow_type()
        storage = pa.array(rows, ours.storage_type)
        return storage.cast(type) if type not in (None, ours) else ours.wrap_array(storage)

    def _arrow_type(self) -> pa.DataType:
        first = next((row for row in self._data if isinstance(row, np.ndarray)), None)
        if first is None or first.ndim not in ARRAY_TYPES:
            raise ValueError("a pandas column of arrays has no Arrow type of its own: no row is an "
                             "array of 2 to 5 dimensions. Do: give the features of the dataset")
        ragged = self._data.dtype == object
        shape = (None, *first.shape[1:]) if ragged else first.shape
        return ARRAY_TYPES[first.ndim](shape, str(first.dtype))

    @classmethod
    def _from_sequence(cls, scalars: Sequence[Any], *, dtype: Any = None,
                       copy: bool = False) -> Self:
        return cls(_stacked(list(scalars)), copy=copy)

    @classmethod
    def _concat_same_type(cls, to_concat: Sequence[Self]) -> Self:
        return cls(_stacked([row for part in to_concat for row in part._data]))

    def isna(self) -> np.ndarray:
        return np.array([bool(pd.isna(row).any()) for row in self._data], dtype=bool)

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, item: Any) -> Any:
        return self._data[item] if isinstance(item, int | np.integer) else \
            type(self)(self._data[item])

    def __setitem__(self, key: Any, value: Any) -> None:
        raise NotImplementedError("columns of arrays can't be changed in place in pandas. Do: "
                                  "assign a new column")

    def take(self, indices: Sequence[int], *, allow_fill: bool = False,
             fill_value: Any = None) -> Self:
        """The rows at `indices`; with allow_fill, -1 stands for a missing row (NaN)."""
        positions = np.asarray(indices, dtype=np.intp)
        missing = positions == -1
        if not allow_fill or not missing.any():
            return type(self)(self._data[positions])
        filler = np.nan if fill_value is None else fill_value
        return type(self)(_stacked([filler if gone else self._data[position]
                                    for position, gone in zip(positions, missing, strict=True)]))

    def copy(self) -> Self:
        return type(self)(self._data, copy=True)

    def __eq__(self, other: object) -> Any:
        if not isinstance(other, PandasArrayExtensionArray):
            return NotImplemented
        return bool(np.array_equal(self._data, other._data))


def _stacked(rows: list[Any]) -> np.ndarray:
    alike = {(row.shape, row.dtype) if isinstance(row, np.ndarray) else None for row in rows}
    return np.stack(rows) if len(alike) == 1 and None not in alike else _objects(rows)


def _objects(rows: list[Any]) -> np.ndarray:
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array
