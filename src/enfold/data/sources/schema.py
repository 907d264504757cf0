"""One schema for many files: what a column becomes, and how a batch is brought to it.

`enfold.data.features.promote` says what two types become (null + any, int -> float -> string,
dicts with all keys, ..); what it finds nothing for, a list beside a number, becomes JSON text.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from enfold.data.features import (
    FeatureError,
    Features,
    Json,
    List,
    Value,
    arrow_type,
    cast_array,
    feature_of,
    promote,
)

Feature = Any
Type = Any


class Misfit(Exception):  # noqa: N818 - never leaves this package
    """A batch that does not fit; `index`: its first row that does not; `wider`: what would fit."""

    def __init__(self, index: int, problem: str, change: str, wider: Features) -> None:
        self.index, self.problem, self.change, self.wider = index, problem, change, wider


def fit(batch: pa.RecordBatch, features: Features, schema: pa.Schema,
        columns: list[str] | None) -> pa.RecordBatch:
    """`batch` with exactly the schema of `features`; what it lacks is null.  Raises Misfit.

    columns: others that are no features are left out, None: they are news.
    """
    if batch.schema.equals(schema):
        return batch.replace_schema_metadata(schema.metadata)
    new = {} if columns is not None else {
        field.name: feature_of(field.type) for field in batch.schema if field.name not in features}
    if new and batch.num_rows:
        raise Misfit(0, f"there are new columns {list(new)}", f"new columns {list(new)}",
                     Features({**features, **new}))
    have = {field.name: batch.column(i) for i, field in enumerate(batch.schema)}
    arrays = [_column(have[name], name, features) if name in have
              else pa.nulls(batch.num_rows, schema.field(name).type) for name in features]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _column(array: Any, name: str, features: Features) -> Any:
    old, new = features[name], feature_of(array.type)
    wider = _common(old, new)
    index = misfit(array, old) if wider == old or _narrowable(array.type, arrow_type(old)) else 0
    if index is None:
        return cast_array(array, old)
    if wider == old:
        wider = _beyond(old, new)
    index = misfit(array, old) or 0  # of the value to show
    problem = f"column {name!r} holds {str(array[index].as_py())[:60]!r}, which is no {shown(old)}"
    raise Misfit(index, problem, f"column {name!r}: {shown(old)} -> {shown(wider)}",
                 Features({**features, name: wider}))


def _common(old: Feature, new: Feature) -> Feature:
    if arrow_type(old) == arrow_type(new):
        return old  # a ClassLabel stays one though its file holds bare numbers
    if Json() in (old, new):
        return Json()
    if Value("null") in (old, new):
        return old if new == Value("null") else new
    try:
        return promote(old, new)
    except FeatureError:
        if isinstance(old, List) and isinstance(new, List):
            return List(_common(old.feature, new.feature))
        if isinstance(old, dict) and isinstance(new, dict):
            return {**old, **{name: _common(old[name], inner) if name in old else inner
                              for name, inner in new.items()}}
        return Json()


def _beyond(old: Feature, new: Feature) -> Feature:
    """What takes values that fit `old` by their type and do not: an int beyond float64's digits."""
    kinds = arrow_type(old), arrow_type(new)
    if any(pa.types.is_nested(kind) for kind in kinds):  # an empty list counts as null
        return Json()
    return feature_of(pa.binary() if is_string(kinds[0]) else pa.string())


def _narrowable(new: Type, old: Type) -> bool:
    """Whether values may fit though their type is wider: 3.0 in a column of ints."""
    def number(kind: Type) -> bool:
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))

    return (number(new) and number(old)) or (
        pa.types.is_timestamp(new) and pa.types.is_timestamp(old)) or (
        pa.types.is_nested(new) and pa.types.is_nested(old))


def misfit(array: Any, feature: Feature) -> int | None:
    """The index of the first value that can't be cast to `feature`, or None if all can."""
    if _casts(array, feature):
        return None
    low, high = 0, len(array)
    while high - low > 1:  # the first of the two halves that fails holds it
        middle = (low + high) // 2
        first = array.slice(low, middle - low)
        low, high = (middle, high) if _casts(first, feature) else (low, middle)
    return low


def _casts(array: Any, feature: Feature) -> bool:
    try:
        cast_array(array, feature)
    except (FeatureError, pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return False
    return True


def shown(feature: Feature) -> str:
    """A feature in a message: `int64` for a Value, else as it is written."""
    return str(getattr(feature, "dtype", None) or feature)


def is_json(kind: Type) -> bool:
    """Whether it is JSON text."""
    return isinstance(kind, pa.JsonType)


def is_list(kind: Type) -> bool:
    """Lists of any length, long lists and lists of one length."""
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def is_string(kind: Type) -> bool:
    """Strings with offsets of either width."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
