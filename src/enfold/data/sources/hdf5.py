"""HDF5: the datasets of a file are columns, its groups structs; all have as many rows.

    (n,)            the type's Value          (n, 10)        List of length 10
    (n, 3, 4)       Array2D((3, 4)), up to 5D (n, 3, 0)      List, empty in every row
    compound        a struct                  complex        {"real": .., "imag": ..}
    vlen            List                      vlen str       string
    S10             binary                    bool, ints, floats as they are

What a file refers to outside of itself is not opened.  https://docs.h5py.org
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from logging import getLogger
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.features import (
    Array2D,
    Array3D,
    Array4D,
    Array5D,
    Features,
    List,
    Value,
    arrow_type,
    feature_of,
    to_array,
)
from enfold.data.sources.blocks import SIZE, Mark, Piece
from enfold.data.sources.opening import DataFile, naming
from enfold.data.sources.source import Reader
from enfold.errors import unknown_arguments
from enfold.lazy import require

ARRAYS = {2: Array2D, 3: Array3D, 4: Array4D, 5: Array5D}
ROWS = 1 << 16  # of a batch at most
_log = getLogger(__name__)


class Hdf5(Reader):
    """columns: read only these.  batch_size: rows of a batch, by default what fits in 10 MB."""

    lacking, surplus = "raise", "drop"

    def __init__(self, columns: Sequence[str] | None = None, *, batch_size: int | None = None,
                 **others: Any) -> None:
        if others:
            raise unknown_arguments("hdf5", others, {"columns", "features", "batch_size"})
        self.columns, self.batch_size = columns, batch_size

    def infer(self, file: DataFile) -> pa.Schema:
        with self._open(file) as root:
            tree = _tree(root, None)
            for path, leaf in _leaves(tree):
                if leaf.ndim and 0 in leaf.shape[1:]:
                    _log.warning("%s: the dataset %r of shape %s has a dimension with size 0, so "
                                 "its rows become empty lists", file, path, leaf.shape)
            return Features(_features(tree)).arrow_schema

    def read(self, file: DataFile, hint: pa.Schema, start: Mark, row: int) -> Iterator[Piece]:
        with self._open(file) as root:
            tree = _tree(root, hint if self.asked else None)
            if self.columns is not None:
                tree = {name: tree[name] for name in self.columns if name in tree}
            if not tree and (there := list(_tree(root, None))):
                raise ValueError(f"has none of the columns {self.columns or hint.names}. It has "
                                 f"{there}")
            if not tree:
                _log.warning("%s contains no data, skipping it", file)
                return
            features, rows = _features(tree), _rows(tree)
            if self.asked:
                features = _chosen(features, hint)
            step = self.batch_size or max(1, min(ROWS, SIZE // _row_bytes(tree)))
            for at in range(row, rows, step):
                arrays = [_read(tree[name], kind, at, min(at + step, rows))
                          for name, kind in features.items()]
                yield Piece(pa.RecordBatch.from_arrays(arrays, names=list(features)), at, Mark(at))

    @contextmanager
    def _open(self, file: DataFile) -> Iterator[Any]:
        h5py = require("h5py", "hdf5")
        with naming(file):
            if file.local is not None:
                with h5py.File(file.local, "r", locking=False) as root:
                    yield root
            else:
                with file.open() as raw, h5py.File(raw, "r") as root:
                    yield root


def _tree(group: Any, wanted: Any, above: tuple[Any, ...] = ()) -> dict[str, Any]:
    """{name: dataset or the tree of a group}, of a schema's or struct's names only if given."""
    h5py, found = require("h5py", "hdf5"), {}
    names = None if wanted is None else {field.name: field.type for field in wanted}
    for name in group:
        if names is not None and name not in names:
            continue
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(f"{group.name}: {name!r} is a link to {link.path!r} in another "
                             f"file, {link.filename!r}, which is not followed. Do: copy the "
                             f"data into this file")
        inner = group.get(name)
        if isinstance(inner, h5py.Dataset):
            _check_storage(inner, h5py)
            found[name] = inner
        elif isinstance(inner, h5py.Group) and inner not in above:
            kind = names[name] if names is not None else None
            tree = _tree(inner, kind if kind is None or pa.types.is_struct(kind) else (),
                         (*above, group))
            found.update({name: tree} if tree else {})
    return found


def _check_storage(dataset: Any, h5py: Any) -> None:
    """Raise ValueError for values that lie in other files."""
    layout = dataset.id.get_create_plist().get_layout()
    if dataset.external or layout not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED):
        raise ValueError(f"the dataset {dataset.name!r} lies in other files "
                         f"({dataset.external or 'virtual'}), which are not opened. Do: copy "
                         f"the data into this file")


def _leaves(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in tree.items():
        if isinstance(inner, dict):
            yield from _leaves(inner, f"{path}{name}/")
        else:
            yield path + name, inner


def _rows(tree: dict[str, Any]) -> int:
    """How many rows all datasets have."""
    (first, leaf), *others = _leaves(tree)
    for path, other in [(first, leaf), *others]:
        if not other.ndim:
            raise ValueError(f"the dataset {path!r} is one value and no column. Do: pass "
                             f"features= without it")
        if other.shape[0] != leaf.shape[0]:
            raise ValueError(f"the dataset {path!r} has length {other.shape[0]} but expected "
                             f"{leaf.shape[0]}, that of {first!r}. Do: pass features= with "
                             f"datasets of one length")
    return int(leaf.shape[0])


def _row_bytes(tree: dict[str, Any]) -> int:
    return sum(max(leaf.dtype.itemsize, 8) * max(prod(leaf.shape[1:]), 1)
               for _, leaf in _leaves(tree))


def _features(tree: dict[str, Any]) -> dict[str, Any]:
    return {name: _features(inner) if isinstance(inner, dict) else _feature(inner.dtype,
                                                                           inner.shape[1:])
            for name, inner in tree.items()}


def _chosen(features: dict[str, Any], wanted: Any) -> dict[str, Any]:
    """The fields of compounds that a schema or struct has too."""
    kinds = {field.name: field.type for field in wanted}
    return {name: _chosen(feature, kinds[name])
            if isinstance(feature, dict) and pa.types.is_struct(kinds[name]) else feature
            for name, feature in features.items() if name in kinds}


def _feature(kind: np.dtype, shape: tuple[int, ...]) -> Any:
    """The feature of a row of this shape."""
    if kind.subdtype is not None:
        return _feature(kind.subdtype[0], shape + kind.subdtype[1])
    if kind.names is not None:
        return {name: _feature(kind[name], shape) for name in kind.names}
    if kind.kind == "c":
        part = _sized(Value("float32" if kind.itemsize == 8 else "float64"), shape)
        return {"real": part, "imag": part}
    if _vlen(kind) in (str, bytes):
        return _lists(Value("string"), shape)
    if _vlen(kind) is not None:
        return _lists(List(_value(_vlen(kind))), shape)
    return _sized(_value(kind), shape)


def _vlen(kind: np.dtype) -> Any:
    return kind.metadata.get("vlen") if kind.metadata else None


def _value(kind: np.dtype) -> Any:
    if kind.kind in "OV":
        raise ValueError(f"a dataset holds {kind}, which is no type of a column. Expected "
                         f"numbers, strings, compounds, or h5py.vlen_dtype() of these. Do: pass "
                         f"features= without it")
    return feature_of(pa.from_numpy_dtype(kind))


def _sized(value: Any, shape: tuple[int, ...]) -> Any:
    if 0 in shape:
        return List(value)
    if len(shape) in ARRAYS:
        return ARRAYS[len(shape)](shape, value.dtype)
    if len(shape) > 5:
        raise ValueError(f"a dataset has rows of shape {shape}. Expected up to 5 dimensions. "
                         f"Do: pass features= without it")
    return _lists(value, shape)


def _lists(value: Any, shape: tuple[int, ...]) -> Any:
    for size in reversed(shape):
        value = List(value, length=size)
    return value


def _read(node: Any, feature: Any, start: int, stop: int) -> Any:
    """Rows of a dataset or a group as an Arrow array."""
    if not isinstance(node, dict):
        return _array(node[start:stop], feature)
    arrays = [_read(node[name], kind, start, stop) for name, kind in feature.items()]
    return pa.StructArray.from_arrays(arrays, names=list(feature))


def _array(values: np.ndarray, feature: Any) -> Any:
    if isinstance(feature, dict):
        parts = [getattr(values, name) if values.dtype.kind == "c" else values[name]
                 for name in feature]
        arrays = [_array(part, kind) for part, kind in zip(parts, feature.values(), strict=True)]
        return pa.StructArray.from_arrays(arrays, names=list(feature))
    if 0 in values.shape[1:]:
        return pa.array([[]] * len(values), arrow_type(feature))
    if values.dtype.kind in "OS":
        return to_array(_texts(values.tolist(), values.dtype), feature)
    return to_array(np.ascontiguousarray(values), feature)


def _texts(values: Any, kind: np.dtype) -> Any:
    """The bytes of strings of any length as text."""
    if isinstance(values, list):
        return [_texts(value, kind) for value in values]
    return values.decode() if isinstance(values, bytes) and kind.kind == "O" else values
