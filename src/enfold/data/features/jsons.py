"""`Json`: values of any kind, each stored as its JSON text."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pyarrow as pa

from enfold.data.features.value import is_text


@dataclass
class Json:
    """Any JSON value in each row; `decode=False` hands out the text."""

    decode: bool = True
    id: str | None = field(default=None, repr=False)
    pa_type: ClassVar[Any] = pa.json_()
    _type: str = field(default="Json", init=False, repr=False)

    def __call__(self) -> pa.DataType:
        return self.pa_type

    def encode_example(self, value: Any) -> str | None:
        """Its JSON text; a string that is JSON already stays as it is."""
        if value is None:
            return None
        return value if isinstance(value, str) and _is_json(value) else _text(value)

    def decode_example(self, value: str | None, token_per_repo_id: Any = None) -> Any:
        """The value of a JSON text."""
        if not self.decode:
            raise RuntimeError("Json(decode=False) was asked to decode. Do: cast the column to "
                               "Json()")
        return None if value is None else json.loads(value)

    def cast_storage(self, storage: pa.Array) -> pa.Array:
        """A column of JSON texts, or of anything, as JSON texts.

        Strings count as JSON texts if the first five of them are.
        """
        if isinstance(storage.type, pa.BaseExtensionType):
            storage = storage.storage
        if not is_text(storage.type) or not _all_json(storage[:5].to_pylist()):
            rows = storage.to_pylist()
            storage = pa.array([None if row is None else _text(row) for row in rows], pa.string())
        return self.pa_type.wrap_array(storage.cast(self.pa_type.storage_type))


def _text(value: Any) -> str:
    try:
        return json.dumps(value, separators=(",", ":"), default=_plain, allow_nan=False)
    except ValueError:  # NaN and infinities are no JSON: they are written as null
        loose = json.dumps(value, separators=(",", ":"), default=_plain)
        return json.dumps(json.loads(loose, parse_constant=lambda _: None), separators=(",", ":"))


def _plain(value: Any) -> Any:
    """What the json module has no form for: arrays and numpy scalars, dates, bytes."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode()
    raise TypeError(f"Json: a {type(value).__name__} has no JSON form. Expected dicts, lists, "
                    "strings, numbers, booleans and None")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _all_json(texts: list[str | None]) -> bool:
    return all(text is None or _is_json(text) for text in texts)
