"""The Arrow types of `Array2D` .. `Array5D`, and arrays of them.

Nested lists in an extension type named `datasets.features.features.Array2DExtensionType` with the
metadata `[[2, 3], "int32"]`, so that files are interchangeable with `datasets`.  The types are not
registered with pyarrow: `datasets` registers the same names and could not be imported after us.
An unregistered type is read as nested lists whose field carries the metadata; `restored` makes
the extension type of it again, without a copy.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from enfold.data.features.errors import FeatureError
from enfold.data.features.value import arrow_of

_PREFIX = "datasets.features.features."
_NAMED = re.compile(r"(?:.*\.)?Array([2-5])DExtensionType")
_NAME_KEY, _ARGUMENTS_KEY = b"ARROW:extension:name", b"ARROW:extension:metadata"


class ArrayType(pa.ExtensionType):  # type: ignore[misc]
    """The Arrow type of `Array2D(shape, dtype)` and its kin.

    shape: the dimensions, of which the first may be None.  value_type: the dtype, as a string.
    """

    ndims: ClassVar[int] = 0

    def __init__(self, shape: tuple[int | None, ...], dtype: str) -> None:
        name = type(self).__name__
        if len(shape) != self.ndims:
            raise FeatureError(f"{name}: got shape={tuple(shape)}. Expected {self.ndims} "
                               "dimensions")
        self.shape, self.value_type = tuple(shape), dtype
        storage = arrow_of(dtype)
        for _ in self.shape:
            storage = pa.list_(storage)
        super().__init__(storage, _PREFIX + name)

    def __arrow_ext_serialize__(self) -> bytes:
        return json.dumps((self.shape, self.value_type)).encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: pa.DataType, arguments: bytes) -> ArrayType:
        return _deserialized(cls.ndims, bytes(arguments))

    def to_pandas_dtype(self) -> Any:
        """What `pa.Table.to_pandas` makes of such a column."""
        from enfold.data.formatting.pandas_arrays import PandasArrayExtensionDtype
        return PandasArrayExtensionDtype(self.value_type)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.shape, self.value_type)

    def __eq__(self, other: object) -> bool:  # pyarrow's looks at the storage only
        return (type(other) is type(self)
                and (self.shape, self.value_type) == (other.shape, other.value_type))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.shape, self.value_type))

    def __arrow_ext_class__(self) -> type[ArrayColumn]:
        return ArrayColumn

    def wrong_row(self, storage: pa.Array) -> int | None:
        """The first row of nested lists that has another shape, or None."""
        import pyarrow.compute as pc  # takes 50 ms, which workers seldom need

        rows = np.flatnonzero(storage.is_valid().to_numpy(zero_copy_only=False))
        level, count = storage, 1
        for size in self.shape:
            found = pc.list_value_length(level)
            lengths = (found.drop_null() if level is storage else found.fill_null(-1)).to_numpy()
            if size is None:
                rows = np.repeat(rows, lengths)
            elif len(bad := np.flatnonzero(lengths != size)):
                return int(rows[bad[0] // count])
            else:
                count *= size
            level = level.flatten()
        return None


@lru_cache(maxsize=256)
def _deserialized(ndims: int, arguments: bytes) -> ArrayType:
    """The type; kept, as pyarrow asks for it anew whenever a column or chunk is touched."""
    return ARRAY_TYPES[ndims](*json.loads(arguments))


class Array2DExtensionType(ArrayType):
    """Of `Array2D`."""

    ndims = 2


class Array3DExtensionType(ArrayType):
    """Of `Array3D`."""

    ndims = 3


class Array4DExtensionType(ArrayType):
    """Of `Array4D`."""

    ndims = 4


class Array5DExtensionType(ArrayType):
    """Of `Array5D`."""

    ndims = 5


ARRAY_TYPES: dict[int, type[ArrayType]] = {kind.ndims: kind for kind in (
    Array2DExtensionType, Array3DExtensionType, Array4DExtensionType, Array5DExtensionType)}


class ArrayColumn(pa.ExtensionArray):  # type: ignore[misc]
    """A chunk of such a column: `to_numpy` is a view where no row is null."""

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = self.to_numpy(zero_copy_only=False)
        return values if dtype is None else values.astype(dtype)

    def to_numpy(self, zero_copy_only: bool = True, writable: bool = False) -> np.ndarray:
        """All rows, [rows, *shape].

        Null rows make it float64 with NaN in them (the dtype of `datasets`).  Rows of different
        first dimensions make it an object array of arrays, NaN for a null row.
        """
        zero_copy = zero_copy_only and _viewable(self.type)
        rows = self._ragged(zero_copy) if self.type.shape[0] is None else self._fixed(zero_copy)
        return rows.copy() if writable and not rows.flags.writeable else rows

    def to_pylist(self, maps_as_pydicts: str | None = None) -> list[Any]:
        """Nested lists, None for a null row."""
        plain = _viewable(self.type) and not self.null_count
        if not plain or _leaf(self.storage, self.type.ndims).null_count:
            return self.storage.to_pylist()  # type: ignore[no-any-return]
        rows = self.to_numpy()  # numpy makes lists several times faster than pyarrow
        return [row.tolist() for row in rows] if rows.dtype == object else rows.tolist()

    def _fixed(self, zero_copy: bool) -> np.ndarray:
        shape = self.type.shape
        leaf = _leaf(self.storage, len(shape))
        values: np.ndarray = leaf.to_numpy(zero_copy_only=zero_copy and not leaf.null_count)
        values = values.reshape(len(self) - self.null_count, *shape)
        if not self.null_count:
            return values
        numeric = values.dtype.kind in "biuf"
        rows = np.full((len(self), *shape), np.nan if numeric else None)
        rows[self.is_valid().to_numpy(zero_copy_only=False)] = values
        return rows

    def _ragged(self, zero_copy: bool) -> np.ndarray:
        import pyarrow.compute as pc  # takes 50 ms, which workers seldom need

        shape = self.type.shape
        leaf = _leaf(self.storage, len(shape))
        values: np.ndarray = leaf.to_numpy(zero_copy_only=zero_copy and not leaf.null_count)
        values = values.reshape(-1, *shape[1:])
        sizes = pc.list_value_length(self.storage)
        if not sizes.null_count and pc.count_distinct(sizes).as_py() <= 1:
            return values.reshape(len(self), sizes[0].as_py() if len(self) else 0, *shape[1:])
        rows = np.empty(len(self), dtype=object)
        start = 0
        for row, size in enumerate(sizes.to_pylist()):
            rows[row] = np.nan if size is None else values[start:start + size]
            start += size or 0
        return rows


def restored(field: pa.Field) -> pa.DataType:
    """The type of a field, with `ArrayType` wherever its metadata or a foreign type says so."""
    metadata, arrow = field.metadata or {}, field.type
    if isinstance(arrow, ArrayType):
        return arrow
    if found := _NAMED.fullmatch(metadata.get(_NAME_KEY, b"").decode()):
        return ARRAY_TYPES[int(found[1])](*json.loads(metadata[_ARGUMENTS_KEY]))
    if isinstance(arrow, pa.ExtensionType) and (found := _NAMED.fullmatch(arrow.extension_name)):
        return ARRAY_TYPES[int(found[1])](*json.loads(arrow.__arrow_ext_serialize__()))
    return _restored_inside(arrow)


def _restored_inside(arrow: pa.DataType) -> pa.DataType:
    types = pa.types
    if types.is_struct(arrow):
        return pa.struct([inner.with_type(restored(inner)) for inner in arrow])
    if types.is_large_list(arrow):
        return pa.large_list(_item(arrow))
    if types.is_fixed_size_list(arrow):
        return pa.list_(_item(arrow), arrow.list_size)
    return pa.list_(_item(arrow)) if types.is_list(arrow) else arrow


def _item(arrow: pa.DataType) -> pa.Field:
    item = arrow.value_field
    return item.with_type(restored(item))


def _leaf(storage: pa.Array, ndim: int) -> pa.Array:
    for _ in range(ndim):
        storage = storage.flatten()
    return storage


def _viewable(arrow: ArrayType) -> bool:
    values = arrow_of(arrow.value_type)
    types = pa.types
    return bool(types.is_primitive(values)
                and not types.is_boolean(values) and not types.is_temporal(values))


