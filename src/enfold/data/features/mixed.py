"""The feature of values that have no one type: what differs inside becomes `Json`.

    1, "a"                        Json                [1, "a"]              List(Json)
    {"a": 1}, {"b": 2}            Json                {"a": 1}, {"a": "x"}  {"a": Json}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from enfold.data.features.arrow import Feature
from enfold.data.features.build import infer
from enfold.data.features.encode import plain
from enfold.data.features.errors import FeatureError
from enfold.data.features.jsons import Json
from enfold.data.features.nested import List
from enfold.data.features.value import Value


def infer_mixed(values: Any, column: str = "") -> Feature:
    """The feature that the values of a column show, with Json where they show several.

    Dicts of different keys are of several types too, where `infer` would fill in None.
    """
    if not isinstance(values, (list, tuple)):
        return infer(values, column)
    if not _holds_dict(values):  # by far the most: the first tells, unless Arrow says otherwise
        try:
            return infer(values, column)
        except FeatureError:
            pass
    return _feature([value for value in plain(values, thorough=True) if value is not None], column)


def _holds_dict(values: Sequence[Any]) -> bool:
    """Whether the first value, or the first in its lists, is a dict."""
    first = next((value for value in values if value is not None and not _empty_list(value)), None)
    return _holds_dict(first) if isinstance(first, (list, tuple)) else isinstance(first, dict)


def _empty_list(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and not value


def _feature(values: list[Any], column: str) -> Feature:
    """Of values that are not None."""
    if not values:
        return Value("null")
    if all(isinstance(value, dict) for value in values):
        names = values[0].keys()
        if not names or any(value.keys() != names for value in values):
            return Json()
        return {name: _feature([value[name] for value in values if value[name] is not None],
                               f"{column}.{name}") for name in names}
    if all(isinstance(value, (list, tuple)) for value in values):
        return List(_feature([item for value in values for item in value if item is not None],
                             column))
    if any(isinstance(value, (dict, list)) for value in values):
        return Json()
    try:
        return infer(values, column)
    except FeatureError:
        return Json()
