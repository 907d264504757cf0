"""Python values as an Arrow array, of a given feature or of the type they show."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.features.arrow import (
    Feature,
    arrow_type,
    feature_of,
    has_inside,
    needs_cast,
    storage_type,
)
from enfold.data.features.cast import cast_array
from enfold.data.features.encode import encode, plain
from enfold.data.features.errors import CastError, FeatureError, shown
from enfold.data.features.image import Image, is_pillow
from enfold.data.features.labels import ClassLabel
from enfold.data.features.nested import LargeList, List
from enfold.data.features.value import Value, is_text

_ARROW = (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError)
_DIRECT = (Value, List, LargeList, dict, list)
_SMALL = {"attention_mask": "int8", "special_tokens_mask": "int8", "token_type_ids": "int8",
          "input_ids": "int32"}  # as `datasets` stores what tokenizers return


def to_array(values: Any, feature: Feature = None, *, column: str = "",
             required: bool = True) -> pa.Array | pa.ChunkedArray:
    """An Arrow array of a list, numpy array, tensor, Series or Arrow array.

    feature: what they are to become; None: what they show.  column: its name, for errors and for
    the narrower integers of tokenizer outputs.  required: False takes `feature` only if the
    values have it without numbers becoming strings, and else what they show.
    """
    if feature is None:
        return _narrowed(_shown_type(values, column), column)
    if not required:
        found = _shown_type(values, column)
        try:
            return cast_array(found, feature, column=column, allow_primitive_to_str=False,
                              allow_decimal_to_str=False)
        except CastError:
            return found
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return cast_array(values, feature, column=column)
    return _of_feature(values, feature, column)


def infer(values: Any, column: str = "") -> Feature:
    """The feature that the values of a column show."""
    pictures = _images(values)
    return feature_of(to_array(values, column=column).type) if pictures is None else pictures


def _of_feature(values: Any, feature: Feature, column: str) -> pa.Array:
    values = plain(values)
    if _all_arrays(values) and not needs_cast(feature):
        return cast_array(_numpy_lists(values), feature, column=column)
    direct = _without_encoding(values, feature)
    if direct is not None:
        return cast_array(direct, feature, column=column)
    encoded = _encoded(values, feature, column)
    try:
        array = _array(encoded, feature)
    except _ARROW:  # not what the first items show, then
        encoded = _encoded(values, feature, column, thorough=not _is_direct(feature))
        try:
            array = _array(encoded, feature)
        except _ARROW as error:
            raise _no_array(values, column, error, f" as {shown(feature)}") from error
    return cast_array(array, feature, column=column)


def _array(values: Any, feature: Feature) -> pa.Array:
    """Untyped, as pyarrow given a type cuts 2.5 to the integer 2 in silence.

    But integers above 2**63 it takes only by their type.
    """
    try:
        return pa.array(values)
    except OverflowError:
        return pa.array(values, storage_type(arrow_type(feature)))


def _without_encoding(values: Any, feature: Feature) -> pa.Array | None:
    """What Arrow itself makes of scalars, their lists and structs, and of labels; else None."""
    try:
        if _is_direct(feature):
            return cast_array(_array(plain(values, flat=True), feature), feature,
                              allow_primitive_to_str=False, allow_decimal_to_str=False)
        if not isinstance(feature, ClassLabel):
            return None
        labels = pa.array(values)
        if pa.types.is_integer(labels.type):
            import pyarrow.compute as pc  # takes 50 ms, which workers seldom need

            return labels if (pc.min(labels).as_py() or 0) >= -1 else None
        return labels if is_text(labels.type) else None
    except _ARROW:
        return None  # strings that are numbers and the like: what encode_example converts


def _is_direct(feature: Feature) -> bool:
    return not has_inside(feature, lambda part: not isinstance(part, _DIRECT))


def _encoded(values: Any, feature: Feature, column: str, thorough: bool = False) -> Any:
    """The values in the form that Arrow takes."""
    encoded = []
    for value in values:
        try:
            encoded.append(encode(feature, value, thorough=thorough))
        except (ValueError, TypeError) as error:
            raise CastError(f"column {column!r}: {shown(value)} does not fit {shown(feature)}: "
                            f"{error}") from error
    return plain(encoded, flat=True, thorough=thorough)


def _shown_type(values: Any, column: str) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    pictures = _images(values)
    if pictures is not None:
        return _of_feature(values, pictures, column)
    values = plain(values)
    if _all_arrays(values):
        try:
            return _numpy_lists(values)
        except _ARROW:
            pass
    try:
        return pa.array(plain(values, flat=True))
    except _ARROW:
        try:
            return pa.array(plain(values, flat=True, thorough=True))
        except _ARROW as error:
            raise _no_array(values, column, error) from error


def _images(values: Any) -> Feature | None:
    """Image() or List(Image()) if that is what the first value shows."""
    if not isinstance(values, (list, tuple)):
        return None
    first = next((value for value in values if not _empty(value)), None)
    if is_pillow(first):
        return Image()
    return List(Image()) if isinstance(first, list) and is_pillow(first[0]) else None


def _empty(value: Any) -> bool:
    return value is None or (isinstance(value, list) and not value)


def _all_arrays(values: Any) -> bool:
    """Whether it is a numpy array, or a list of them and None."""
    if isinstance(values, np.ndarray):
        return True
    if not isinstance(values, (list, tuple)):
        return False
    arrays = [value for value in values if value is not None]
    return bool(arrays) and all(isinstance(value, np.ndarray) and value.ndim for value in arrays)


def _numpy_lists(rows: Any) -> pa.Array:
    """The array of a numpy array, or of a list of numpy arrays and None of any shapes."""
    if isinstance(rows, np.ndarray) and rows.ndim < 2:
        return pa.array(rows)
    null = np.array([row is None for row in rows], dtype=bool)
    arrays = [row for row in rows if row is not None]
    if len({array.ndim for array in arrays}) > 1:
        raise pa.ArrowInvalid("arrays of different numbers of dimensions")
    values = pa.array(rows.ravel() if isinstance(rows, np.ndarray)
                      else np.concatenate([array.ravel() for array in arrays]))
    for depth in reversed(range(1, arrays[0].ndim)):
        sizes = np.concatenate([np.full(int(np.prod(array.shape[:depth])), array.shape[depth])
                                for array in arrays])
        values = pa.ListArray.from_arrays(_offsets(sizes), values)
    lengths = np.zeros(len(null), dtype=np.int64)
    lengths[~null] = [len(array) for array in arrays]
    offsets = _offsets(lengths)
    if null.any():
        offsets = pa.array(offsets.to_numpy(), mask=np.append(null, False))
    return pa.ListArray.from_arrays(offsets, values)


def _offsets(lengths: np.ndarray) -> pa.Array:
    return pa.array(np.concatenate([[0], np.cumsum(lengths)])).cast(pa.int32())


def _narrowed(array: Any, column: str) -> Any:
    """`input_ids` and the like as narrow integers, if they fit."""
    small = _SMALL.get(column)
    if small is None:
        return array
    feature, wide = Value(small), Value("int64")
    for _ in range(3):
        if array.type == arrow_type(wide):
            try:
                return cast_array(array, feature)
            except CastError:
                return array
        feature, wide = List(feature), List(wide)  # type: ignore[assignment]
    return array


def _no_array(values: Any, column: str, error: Exception, what: str = "") -> FeatureError:
    bad = next((value for value in values if not _alone(value)), None)
    value = f"the first that can't be: {shown(bad)}" if bad is not None else \
        f"the values have no common type, the first is {shown(next(iter(values), None))}"
    return CastError(f"column {column!r}: these values can't be stored{what}: {value} "
                     f"({str(error).splitlines()[0]}). Do: convert them, or give their feature")


def _alone(value: Any) -> bool:
    try:
        pa.array(plain([value], flat=True, thorough=True))
    except _ARROW:
        return False
    return True
