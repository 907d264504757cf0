"""Tokens of arrays, tensors and tables of numpy, torch, pandas, polars and pyarrow: by content.

No library is imported for this: an object's class names the one that is loaded already.  How the
content lies in memory (strides, chunks, slices, device) does not count.  Buffers are hashed where
they are, block by block where they have to be brought in order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from enfold.data.fingerprint import arrow
from enfold.data.fingerprint.foreign import class_names

Tokens = Iterator[Any]  # see digest.py
_BLOCK = 1 << 22  # items


@lru_cache(maxsize=1024)
def describer(cls: type) -> Callable[[Any], Tokens] | None:
    """The describer of a class, or None for classes of other libraries."""
    names = class_names(cls)
    if names[0] in _EXACT:
        return _EXACT[names[0]]
    return next((_BASES[name] for name in names if name in _BASES), None)


def _array(array: Any) -> Tokens:
    yield b"array"
    yield "shape", "", array.shape
    if array.dtype.hasobject:
        yield "dtype", "", array.dtype
        yield "items", "", array.tolist()
    else:
        yield "dtype", "", array.dtype.descr if array.dtype.names else array.dtype.str
        yield _content(array)


def _content(array: Any) -> bytes:
    """The digest of the items in row order."""
    import numpy

    digest = hashlib.blake2b(digest_size=32)
    if array.nbytes and array.flags.c_contiguous:
        digest.update(array.reshape(-1).view(numpy.uint8).data)
    elif array.nbytes:
        plain = array.view(f"V{array.dtype.itemsize}")
        for block in numpy.nditer(plain, ["external_loop", "buffered"], order="C",
                                  buffersize=_BLOCK):
            digest.update(numpy.ascontiguousarray(block).view(numpy.uint8).data)
    return digest.digest()


def _scalar(scalar: Any) -> Tokens:
    yield b"scalar"
    yield "dtype", "", scalar.dtype.str
    yield scalar.tobytes()


def _tensor(tensor: Any) -> Tokens:
    """Strided tensors by content; sparse and quantized ones as pickle stores them."""
    import torch

    yield b"tensor"
    yield "class", type(tensor).__name__, type(tensor)
    yield "dtype", "", (str(tensor.dtype), tuple(tensor.shape), str(tensor.layout))
    if hasattr(tensor, "__tensor_flatten__"):  # a tensor made of tensors
        names, context = tensor.__tensor_flatten__()
        yield "parts", "", ({name: getattr(tensor, name) for name in names}, context)
    elif tensor.layout != torch.strided or tensor.is_quantized:
        yield "parts", "", tensor.__reduce_ex__(4)[1:]
    elif not tensor.is_meta:
        plain = tensor.detach().resolve_conj().resolve_neg().cpu()
        whole = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
        if not plain.is_complex():
            plain = plain.view(whole[plain.itemsize])
        yield _content(plain.numpy())


def _frame(frame: Any) -> Tokens:
    """A pandas frame, column by column."""
    yield b"frame"
    yield "columns", "", frame.columns
    yield "index", "", frame.index
    yield "attributes", "", frame.attrs
    for place in range(frame.shape[1]):
        yield "column", frame.columns[place], frame.iloc[:, place].array


def _series(series: Any) -> Tokens:
    yield b"series"
    yield "name", "", series.name
    yield "index", "", series.index
    yield "attributes", "", series.attrs
    yield "values", "", series.array


def _plain_pandas(array: Any) -> Tokens:
    yield b"values"
    yield "values", "", array.to_numpy()


def _polars(frame: Any) -> Tokens:
    yield b"polars"
    yield "schema", "", [(name, str(dtype)) for name, dtype in frame.schema.items()]
    for column in frame.iter_columns():
        yield "column", column.name, column.to_arrow()


def _polars_series(series: Any) -> Tokens:
    yield b"polars series"
    yield "name", "", (series.name, str(series.dtype))
    yield "values", "", series.to_arrow()


_EXACT: dict[str, Callable[[Any], Tokens]] = {
    "numpy.ndarray": _array, "numpy.memmap": _array,
    "pandas.DataFrame": _frame, "pandas.core.frame.DataFrame": _frame,
    "pandas.Series": _series, "pandas.core.series.Series": _series,
    "pandas.arrays.NumpyExtensionArray": _plain_pandas,
    "pandas.core.arrays.numpy_.NumpyExtensionArray": _plain_pandas,
    "polars.dataframe.frame.DataFrame": _polars, "polars.series.series.Series": _polars_series,
    "pyarrow.lib.Schema": arrow.describe_schema, "pyarrow.lib.Table": arrow.describe_table,
    "pyarrow.lib.RecordBatch": arrow.describe_table,
}
_BASES: dict[str, Callable[[Any], Tokens]] = {
    "numpy.generic": _scalar, "torch.Tensor": _tensor,
    "pyarrow.lib.Array": arrow.describe_array, "pyarrow.lib.ChunkedArray": arrow.describe_array,
    "pyarrow.lib.Scalar": arrow.describe_scalar, "pyarrow.lib.DataType": arrow.describe_type,
    "pyarrow.lib.Field": arrow.describe_field,
}
