"""Columns of every kind of feature: the feature as the text of an expression, and three values.

The same text is evaluated with our classes and with those of `datasets`.
"""

from __future__ import annotations

import datetime as dt
import io
from decimal import Decimal
from typing import Any

import numpy as np
import PIL.Image


def picture(width: int, height: int, mode: str = "RGB") -> dict[str, Any]:
    pixels = (np.arange(width * height * 3) % 255).astype(np.uint8).reshape(height, width, 3)
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).convert(mode).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": None}


DAY, MOMENT, NULL = dt.date(2020, 1, 1), dt.datetime(2020, 1, 1, 1, 2, 3), None
GRID = [[1, 2, 3], [4, 5, 6]]

CASES: dict[str, tuple[str, list[Any]]] = {
    **{dtype: (f"Value('{dtype}')", [1, 2, 3])
       for dtype in ("int8", "int64", "uint16", "uint32", "uint64", "float64")},
    "int64 null": ("Value('int64')", [1, NULL, 3]),
    "uint8 null": ("Value('uint8')", [1, 2, NULL]),
    "float32 null": ("Value('float32')", [1.5, NULL, 3]),
    "float64 nan": ("Value('float64')", [1.5, float("nan"), NULL]),
    "float16": ("Value('float16')", [np.float16(1.5)] * 3),
    "bool": ("Value('bool')", [True, False, True]),
    "bool null": ("Value('bool')", [True, NULL, True]),
    "null": ("Value('null')", [NULL] * 3),
    "string": ("Value('string')", ["a", "bcd", ""]),
    "string null": ("Value('string')", ["a", NULL, "é"]),
    "large_string": ("Value('large_string')", ["a", "bcd", "x"]),
    "binary": ("Value('binary')", [b"a", b"bc", b""]),
    "binary null": ("Value('binary')", [b"a", NULL, b""]),
    "date32": ("Value('date32')", [DAY] * 3),
    "timestamp": ("Value('timestamp[us]')", [MOMENT] * 3),
    "timestamp null": ("Value('timestamp[ms]')", [NULL, MOMENT, NULL]),
    "timestamp ns": ("Value('timestamp[ns]')", [MOMENT] * 3),
    "timestamp zone": ("Value('timestamp[s, tz=UTC]')", [MOMENT.replace(tzinfo=dt.UTC)] * 3),
    "time": ("Value('time64[us]')", [dt.time(1, 2, 3)] * 3),
    "duration": ("Value('duration[s]')", [dt.timedelta(1)] * 3),
    "decimal": ("Value('decimal128(6, 2)')", [Decimal("1.5")] * 3),
    "label": ("ClassLabel(names=['neg', 'pos'])", ["neg", "pos", 1]),
    "label null": ("ClassLabel(names=['neg', 'pos'])", ["neg", "pos", NULL]),
    "list": ("List(Value('int64'))", [[1, 2], [3, 4], [5, 6]]),
    "list ragged": ("List(Value('int64'))", [[1, 2], [3], []]),
    "list empty": ("List(Value('int64'))", [[], [], []]),
    "list null": ("List(Value('int64'))", [[1, 2], NULL, [5, 6]]),
    "list of null": ("List(Value('int32'))", [[1, 2], [3, NULL], [5, 6]]),
    "list ragged of null": ("List(Value('int32'))", [[1, 2], [3, NULL], [5]]),
    "list float32": ("List(Value('float32'))", [[1.5, 2], [3, 4], [5, 6]]),
    "list bool": ("List(Value('bool'))", [[True], [False], [True]]),
    "list string": ("List(Value('string'))", [["a", "b"], ["c", "d"], ["e", "f"]]),
    "list string ragged": ("List(Value('string'))", [["a", "b"], ["c"], []]),
    "list string null": ("List(Value('string'))", [["a", NULL], NULL, ["c"]]),
    "list timestamp": ("List(Value('timestamp[us]'))", [[MOMENT]] * 3),
    "list date": ("List(Value('date32'))", [[DAY]] * 3),
    "fixed": ("List(Value('int16'), length=2)", [[1, 2], [3, 4], [5, 6]]),
    "fixed null": ("List(Value('float64'), length=2)", [[1, 2], NULL, [5, 6]]),
    "fixed string": ("List(Value('string'), length=2)", [["a", "b"]] * 3),
    "list list": ("List(List(Value('int64')))", [[[1, 2], [3, 4]]] * 3),
    "list list ragged": ("List(List(Value('int64')))", [[[1, 2], [3]], [[5, 6]], []]),
    "list list ragged outside": ("List(List(Value('int64')))", [[[1, 2], [3, 4]], [[5, 6]], []]),
    "list list empty": ("List(List(Value('int64')))", [[[]], [[]], [[]]]),
    "list list null": ("List(List(Value('int64')))", [[[1], NULL], NULL, [[1]]]),
    "list list list": ("List(List(List(Value('float64'))))", [[[[1.0, 2.0]]]] * 3),
    "large list": ("LargeList(Value('int64'))", [[1, 2], [3, 4], [5, 6]]),
    "large list ragged": ("LargeList(Value('int64'))", [[1, 2], [3], [5, 6]]),
    "list fixed": ("List(List(Value('int8'), length=2))", [[[1, 2]], [[3, 4]], [[5, 6]]]),
    "struct": ("{'a': Value('int32'), 'b': Value('string')}",
               [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}, {"a": 3, "b": "z"}]),
    "struct null": ("{'a': Value('int32'), 'b': Value('string')}",
                    [{"a": 1, "b": "x"}, NULL, {"a": NULL, "b": NULL}]),
    "struct list": ("{'a': Value('float32'), 'l': List(Value('int64'))}",
                    [{"a": 1, "l": [1, 2]}, {"a": 2, "l": [3]}, {"a": 3, "l": []}]),
    "struct struct": ("{'a': {'b': List(Value('string')), 'c': Value('bool')}}",
                      [{"a": {"b": ["x"], "c": True}}] * 3),
    "struct timestamp": ("{'a': Value('timestamp[us]')}", [{"a": MOMENT}] * 3),
    "struct array": ("{'x': Array2D((1, 2), 'int32')}", [{"x": [[1, 2]]}] * 3),
    "list struct": ("List({'a': Value('int32'), 'b': Value('string')})",
                    [[{"a": 1, "b": "x"}], [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}], []]),
    "translation": ("Translation(languages=['fr', 'en'])", [{"en": "a", "fr": "b"}] * 3),
    "translations": ("TranslationVariableLanguages(languages=['fr', 'en'])",
                     [{"en": "a", "fr": ["b", "c"]}] * 3),
    "json": ("Json()", [{"a": [1, NULL]}, [1, "x"], NULL]),
    "list json": ("List(Json())", [[{"a": [1, NULL]}], [[1, "x"]], NULL]),
    "array": ("Array2D((2, 3), 'int32')", [GRID] * 3),
    "array null": ("Array2D((2, 3), 'int32')", [GRID, NULL, GRID]),
    "array float64": ("Array2D((2, 3), 'float64')", [GRID] * 3),
    "array uint8": ("Array3D((1, 2, 3), 'uint8')", [[GRID]] * 3),
    "array bool": ("Array4D((1, 1, 1, 2), 'bool')", [[[[[True, False]]]]] * 3),
    "array string": ("Array2D((1, 2), 'string')", [[["a", "b"]]] * 3),
    "array dynamic": ("Array2D((None, 2), 'float32')", [[[1, 2]], [[1, 2], [3, 4]], [[1, 2]]]),
    "array dynamic even": ("Array2D((None, 2), 'float32')", [[[1, 2]], [[3, 4]], [[1, 2]]]),
    "list array": ("List(Array2D((1, 2), 'int64'))", [[[[1, 2]]], [[[1, 2]], [[3, 4]]], []]),
    "image": ("Image()", [picture(4, 2)] * 3),
    "image sizes": ("Image()", [picture(4, 2), picture(2, 3), picture(4, 2)]),
    "image null": ("Image()", [picture(4, 2), NULL, picture(4, 2)]),
    "image grey": ("Image()", [picture(4, 2, "L")] * 3),
    "image bytes": ("Image(decode=False)", [picture(4, 2)] * 3),
    "list image": ("List(Image())", [[picture(4, 2)], [picture(4, 2), picture(2, 2)], []]),
    "struct image": ("{'i': Image(), 'n': Value('int64')}", [{"i": picture(4, 2), "n": 1}] * 3),
}
