"""`asdict`: dataclasses as the plain dicts that dataset_info.json and dataset cards hold."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import fields, is_dataclass
from typing import Any

from enfold.data.features import Features

ALWAYS = {"include_in_asdict_even_if_is_default": True}  # metadata of a field, as datasets calls it


def asdict(obj: Any) -> dict[str, Any]:
    """A dict, or a dataclass, with all dataclasses in it as dicts.

    A field is left out where it has its default, unless its metadata is `ALWAYS`.  Raises
    TypeError for anything else.
    """
    if not isinstance(obj, dict) and not _is_record(obj):
        raise TypeError(f"asdict: got a {type(obj).__name__}. Expected a dict or a dataclass")
    return _plain(obj)  # type: ignore[no-any-return]


def _is_record(obj: Any) -> bool:
    return is_dataclass(obj) and not isinstance(obj, type)


def _plain(obj: Any) -> Any:
    if isinstance(obj, Features):
        return obj.to_dict()
    if _is_record(obj):
        values = {field.name: (field, _plain(getattr(obj, field.name))) for field in fields(obj)}
        return {name: value for name, (field, value) in values.items()
                if not field.init or value != field.default or field.metadata == ALWAYS}
    if isinstance(obj, dict):
        return {_plain(key): _plain(value) for key, value in obj.items()}
    if isinstance(obj, tuple) and hasattr(obj, "_fields"):
        return type(obj)(*map(_plain, obj))
    if isinstance(obj, (list, tuple)):
        return type(obj)(map(_plain, obj))
    return deepcopy(obj)
