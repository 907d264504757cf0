"""One feature for two: how files and shards with different schemas are reconciled.

    null + anything                  that thing
    integers                         the wider, signed if one is; uint64 + signed is a string
    integer + float                  float64; of two floats the wider
    string + number, boolean, date   string; boolean + number too
    decimals, dates, times, units    the one that holds both (pyarrow's unify_schemas)
    dict + dict                      the fields of both, those of one alone being null elsewhere
    List + List                      List of the promoted items, of no fixed length if they differ;
                                     LargeList if one is
    Json + anything                  Json
    anything else                    equal, or `mixed`, or `FeatureError`
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from enfold.data.features.arrow import Feature, arrow_type
from enfold.data.features.errors import FeatureError, shown
from enfold.data.features.jsons import Json
from enfold.data.features.nested import LargeList, List
from enfold.data.features.value import Value, dtype_of, is_text


def promote(first: Feature, second: Feature, *, column: str = "",
            mixed: Feature | None = None) -> Feature:
    """The feature that holds the values of both.

    mixed: what two become that have no other, inside of dicts and lists too, unless they are stored
    alike, as a ClassLabel and int64 are: then the first.  None: `FeatureError`, which names both.
    """
    if first == second:
        return first
    if is_null(first) or is_null(second):
        return second if is_null(first) else first
    if isinstance(first, dict) and isinstance(second, dict):
        return _promote_dicts(first, second, column, mixed)
    if isinstance(first, (List, LargeList)) and isinstance(second, (List, LargeList)):
        return _promote_lists(first, second, column, mixed)
    if isinstance(first, Value) and isinstance(second, Value):
        arrow = _promote_types(first.pa_type, second.pa_type)
        if arrow is not None:
            return Value(dtype_of(arrow))
    if Json() in (first, second):
        return Json()
    if mixed is not None:
        return first if arrow_type(first) == arrow_type(second) else mixed
    where = f"column {column!r}" if column else "promote"
    raise FeatureError(f"{where}: {shown(first)} and {shown(second)} have no common feature. Do: "
                       "give features=, or cast one of them")


def align(schemas: Iterable[Any]) -> list[Any]:
    """Several Features; a column of nulls in one gets the feature that it has in another.

    Each keeps its own columns; structs get the fields of all.  Raises `FeatureError` where two
    differ otherwise: nothing widens.
    """
    schemas = list(schemas)
    shared: dict[str, Feature] = {}
    for schema in schemas:
        _share(shared, schema, "")
    return [type(schema)({name: shared[name] for name in schema}) for schema in schemas]


def is_null(feature: Feature) -> bool:
    """Whether it is a column of nulls, or of lists of nulls."""
    if isinstance(feature, (List, LargeList)):
        return is_null(feature.feature)
    return isinstance(feature, Value) and feature.dtype == "null"


def _promote_dicts(first: Any, second: Any, column: str, mixed: Feature | None) -> Any:
    merged = {**first, **{name: inner for name, inner in second.items() if name not in first}}
    for name in first.keys() & second.keys():
        path = f"{column}.{name}" if column else name
        merged[name] = promote(first[name], second[name], column=path, mixed=mixed)
    return type(first)(merged)


def _promote_lists(first: Any, second: Any, column: str, mixed: Feature | None) -> Any:
    item = promote(first.feature, second.feature, column=f"{column}[]", mixed=mixed)
    if isinstance(first, LargeList) or isinstance(second, LargeList):
        return LargeList(item)
    return List(item, length=first.length if first.length == second.length else -1)


def _promote_types(first: pa.DataType, second: pa.DataType) -> pa.DataType | None:
    types = pa.types
    for one, other in ((first, second), (second, first)):
        if is_text(one) and not (is_text(other) or _is_bytes(other)):
            return one
        if types.is_boolean(one) and (types.is_integer(other) or types.is_floating(other)):
            return pa.string()
        if types.is_date(one) and types.is_timestamp(other):
            return other if other.tz is None else None
        if types.is_integer(one) and types.is_floating(other):
            return pa.float64()
        if types.is_uint64(one) and types.is_signed_integer(other):
            return pa.string()
    schemas = [pa.schema([("value", arrow)]) for arrow in (first, second)]
    try:
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    except pa.ArrowTypeError:
        return None


def _is_bytes(arrow: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_binary(arrow) or types.is_large_binary(arrow)
                or types.is_binary_view(arrow) or types.is_fixed_size_binary(arrow))


def _share(shared: dict[str, Feature], schema: dict[str, Feature], column: str) -> None:
    for name, feature in schema.items():
        known, path = shared.get(name), f"{column}.{name}" if column else name
        if isinstance(known, dict) and isinstance(feature, dict):
            shared[name] = known = dict(known)
            _share(known, feature, path)
        elif known is None or is_null(known):
            shared[name] = feature
        elif not is_null(feature) and known != feature:
            raise FeatureError(f"column {path!r}: {shown(feature)} here and {shown(known)} before. "
                               "Expected the same feature, or Value('null'). Do: cast one of them")
