"""Python values to what Arrow takes (`encode`) and back to what users see (`decode`).

`plain` first turns tensors, frames and images into numpy arrays, dicts and lists.  Of a long
list only the first item that is not empty is looked at: if that needs no change, none does.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from enfold.data.features.arrow import Feature, only
from enfold.data.features.errors import FeatureError, shown
from enfold.data.features.image import encode_pillow, is_pillow
from enfold.data.features.nested import LargeList, List


def plain(value: Any, *, flat: bool = False, thorough: bool = False) -> Any:
    """The value of numpy arrays, dicts, lists and scalars.

    flat: arrays of several dimensions become lists of one-dimensional ones, as Arrow takes.
    thorough: every item of a list is looked at, not only the first.
    """
    return _plain(value, flat, thorough)[0]


def encode(feature: Feature, value: Any, *, thorough: bool = False) -> Any:
    """A plain value in the form that Arrow takes for `feature`; None stays None."""
    if value is None:
        return None
    if isinstance(feature, dict):
        if not isinstance(value, Mapping):
            raise FeatureError(f"got {shown(value)}. Expected a dict with {', '.join(feature)}")
        return {name: encode(inner, value.get(name), thorough=thorough)
                for name, inner in feature.items()}
    if isinstance(feature, (List, LargeList)):
        return _encode_list(feature.feature, value, thorough)
    if isinstance(feature, (list, tuple)):
        return _encode_list(only(feature), value, thorough)
    return feature.encode_example(value) if hasattr(feature, "encode_example") else value


def decode(feature: Feature, value: Any, tokens: Any = None) -> Any:
    """What `encode` made of a value, decoded; None stays None."""
    if value is None:
        return None
    if isinstance(feature, dict):
        return {name: decode(inner, value[name], tokens) for name, inner in feature.items()}
    if isinstance(feature, (List, LargeList)):
        return [decode(feature.feature, item, tokens) for item in value]
    if isinstance(feature, (list, tuple)):
        return [decode(only(feature), item, tokens) for item in value]
    if hasattr(feature, "decode_example") and getattr(feature, "decode", True):
        return feature.decode_example(value, token_per_repo_id=tokens)
    return value


def _encode_list(feature: Feature, items: Any, thorough: bool) -> list[Any]:
    if not thorough:
        first = next((item for item in items if _telling(item)), None)
        if first is None or _same(encode(feature, first), first):
            return list(items)
    return [encode(feature, item, thorough=thorough) for item in items]


def _same(encoded: Any, value: Any) -> bool:
    try:
        return bool(encoded == value)
    except ValueError:  # numpy arrays: no feature changes them
        return True


def _telling(item: Any) -> bool:
    """Whether an item shows what its list holds: it is not None, nor a list of nothing."""
    if isinstance(item, (list, tuple)):
        return any(map(_telling, item))
    return item is not None


def _plain(value: Any, flat: bool, thorough: bool) -> tuple[Any, bool]:
    """The plain value, and whether it is another one."""
    if isinstance(value, (str, bytes, int, float)) or value is None:
        return value, False
    if isinstance(value, (list, tuple)):
        return _plain_list(value, flat, thorough)
    if isinstance(value, np.ndarray):
        return _plain_array(value, flat)
    if isinstance(value, Mapping):
        parts = {key: _plain(inner, flat, thorough) for key, inner in value.items()}
        if isinstance(value, dict) and not any(changed for _, changed in parts.values()):
            return value, False
        return {key: inner for key, (inner, _) in parts.items()}, True
    converted = _from_library(value)
    if converted is not value:
        return _plain(converted, flat, thorough)[0], True
    return value, False


def _plain_list(items: Any, flat: bool, thorough: bool) -> tuple[Any, bool]:
    if not items:
        return items, False
    first = next((item for item in items if _telling(item)), items[-1])
    if not thorough and not _plain(first, flat, thorough)[1]:
        return items, False
    return [_plain(item, flat, thorough)[0] for item in items], True


def _plain_array(array: np.ndarray, flat: bool) -> tuple[Any, bool]:
    if array.ndim == 0:
        return array[()], True
    if array.ndim == 1 or not flat:
        return array, False
    return [_plain_array(row, flat)[0] for row in array], True


def _series(column: Any) -> list[Any]:
    """A pandas column; what is missing in it is None, but NaN in a column of floats."""
    if column.dtype.kind != "f" and column.hasnans:
        column = column.astype(object).where(column.notna(), None)
    return column.tolist()  # type: ignore[no-any-return]


def _from_library(value: Any) -> Any:
    """A tensor, frame or image of a library that is loaded, as numpy, dict or list."""
    torch, pandas = sys.modules.get("torch"), sys.modules.get("pandas")
    if torch is not None and isinstance(value, torch.Tensor):
        tensor = value.detach()
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).cpu().numpy()
    if pandas is not None:
        if isinstance(value, pandas.Series):
            return _series(value)
        if isinstance(value, pandas.DataFrame):
            return {name: _series(column) for name, column in value.items()}
        if isinstance(value, pandas.Timestamp):
            return value.to_pydatetime()
        if isinstance(value, pandas.Timedelta):
            return value.to_pytimedelta()
    if is_pillow(value):
        return encode_pillow(value)
    if hasattr(value, "__array__") and not np.isscalar(value):
        return np.asarray(value)
    return dict(value._hf_encoded) if hasattr(value, "_hf_encoded") else value
