"""Features as the YAML of a dataset card: a list with an entry per column.

    - name: label
      dtype: {class_label: {names: {'0': neg, '1': pos}}}
    - name: tokens
      list: string
    - name: answers
      struct: [{name: text, dtype: string}]
"""

from __future__ import annotations

import re
from typing import Any

from enfold.data.features.errors import FeatureError
from enfold.data.features.value import arrow_of
from enfold.errors import ArgumentError

_LISTS = {"List": "list", "LargeList": "large_list"}
_LIST_KEYS = ("list", "large_list", "sequence")  # the last is what datasets < 4 wrote


def yaml_of(encoded: dict[str, Any]) -> list[dict[str, Any]]:
    """The YAML list of the dict of all features."""
    return [{"name": name, **_entry(feature)} for name, feature in encoded.items()]


def dict_of(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """The dict of features of a YAML list."""
    return {entry["name"]: _feature({key: part for key, part in entry.items() if key != "name"})
            for entry in entries}


def _entry(encoded: Any) -> dict[str, Any]:
    if isinstance(encoded, (list, tuple)):
        return {"list": _short(_entry(encoded[0]))}
    if not isinstance(encoded, dict):
        raise ArgumentError(f"Features: {encoded!r} has no YAML form. Expected a dict or list")
    kind = encoded.get("_type")
    if kind is None or isinstance(kind, dict):
        return {"struct": yaml_of(encoded)}
    rest = {name: _plain(part) for name, part in encoded.items() if name != "_type"}
    if kind in _LISTS:
        item = _short(_entry(encoded["feature"]))
        return {_LISTS[kind]: item, **{k: part for k, part in rest.items() if k != "feature"}}
    if kind == "Value":
        return rest
    if isinstance(rest.get("names"), list):
        rest["names"] = {str(label): name for label, name in enumerate(rest["names"])}
    return {"dtype": {_snake(kind): rest} if rest else _snake(kind)}


def _short(entry: dict[str, Any]) -> Any:
    """`int32` for {"dtype": "int32"}, the columns for {"struct": columns}."""
    return next(iter(entry.values())) if list(entry) in (["dtype"], ["struct"]) else entry


def _feature(entry: dict[str, Any]) -> Any:
    if not entry:
        return {}
    key = next(iter(entry))
    rest = {name: part for name, part in entry.items() if name != key}
    if key in _LIST_KEYS:
        return _list(key, entry[key], rest)
    if key == "struct":
        return dict_of(entry[key])
    if key == "dtype":
        return _dtype(entry[key], rest)
    return _parametric(key, entry[key])


def _list(key: str, item: Any, rest: dict[str, Any]) -> dict[str, Any]:
    kind = "LargeList" if key == "large_list" else "List"
    if isinstance(item, list):
        inner = dict_of(item)
        if key == "sequence":  # of a struct: a struct of lists
            return {name: {"feature": part, **rest, "_type": kind} for name, part in inner.items()}
    else:
        inner = _feature({"dtype": item} if isinstance(item, str) else item)
    return {"feature": inner, **rest, "_type": kind}


def _dtype(dtype: Any, rest: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(dtype, str):
        return _feature(dtype)  # type: ignore[no-any-return]
    try:
        arrow_of({"double": "float64", "float": "float32"}.get(dtype, dtype))
    except FeatureError:
        return {"_type": _camel(dtype)}
    return {"dtype": dtype, **rest, "_type": "Value"}


def _parametric(key: str, parameters: dict[str, Any]) -> dict[str, Any]:
    names = parameters.get("names")
    if isinstance(names, dict):
        labels = sorted(names, key=int)
        missing = set(range(len(labels))) - {int(label) for label in labels}
        if missing:
            raise FeatureError(f"ClassLabel: the YAML names no label {sorted(missing)}. Expected "
                               "a name for each id from 0 on")
        parameters = {**parameters, "names": [names[label] for label in labels]}
    return {"_type": _camel(key), **parameters}


def _plain(part: Any) -> Any:
    return [_plain(item) for item in part] if isinstance(part, (list, tuple)) else part


def _snake(name: str) -> str:
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z\d])([A-Z])", r"\1_\2", name).lower()


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
