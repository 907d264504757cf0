"""One schema for many files: what a column becomes, and how a batch is brought to it.

`enfold.data.features.promote` says what two types become (null + any, int -> float -> string,
dicts with all keys, ..), with JSON text for a list beside a number and the like.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from enfold.data.features import (
    Features,
    Json,
    Value,
    arrow_type,
    cast_array,
    feature_of,
    promote,
)

Feature = Any
Type = Any
Path = tuple[Any, ...]
STEP = 0  # in a path: into a list's items


class Misfit(Exception):  # noqa: N818 - never leaves this package
    """A batch that does not fit; `index`: its first row that does not; `wider`: what would fit.

    wider: None if nothing would.
    """

    def __init__(self, index: int, problem: str, change: str, wider: Features | None) -> None:
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
    old = features[name]
    had, wider = arrow_type(old), promote(old, feature_of(array.type), mixed=Json())
    index = _first(array, old, had) if wider == old or _narrowable(array.type, had) else 0
    if index is None:
        return cast_array(array, old)
    if wider == old:
        wider = _beyond(old, feature_of(array.type))
    index = index or _first(array, old, had) or 0
    problem = f"column {name!r} holds {str(array[index].as_py())[:60]!r}, which is no {shown(old)}"
    if wider is None:
        raise Misfit(index, problem, "", None)
    raise Misfit(index, problem, f"column {name!r}: {shown(old)} -> {shown(wider)}",
                 Features({**features, name: wider}))


def _first(array: Any, old: Feature, had: Type) -> int | None:
    """The first value that is none of `old`, or None."""
    if not is_json(array.type) or is_json(had):
        return misfit(array, old)
    start = r"^\[" if is_list(had) else r"^\{" if pa.types.is_struct(had) else r"^[^\[{]"
    others = pc.invert(pc.match_substring_regex(array.storage, start))
    return max(int(pc.index(others, True).as_py()), 0)


def _beyond(old: Feature, new: Feature) -> Feature | None:
    """What takes values that fit `old` by their type and do not: an int beyond float64's digits."""
    if old in (Json(), Value("binary")):  # bytes that are no text
        return None
    kinds = arrow_type(old), arrow_type(new)
    if any(pa.types.is_nested(kind) for kind in kinds):  # an empty list counts as null
        return Json()
    return feature_of(pa.binary() if is_string(kinds[0]) else pa.string())


def _narrowable(new: Type, old: Type) -> bool:
    """Whether values may fit though their type is wider: 3.0 in a column of ints."""
    def number(kind: Type) -> bool:
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))

    if not set(paths_of(new, is_json)) <= set(paths_of(old, is_json)):
        return False  # as text it would
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
    except (ValueError, pa.ArrowException):  # FeatureError; bytes that are no text
        return False
    return True


def shown(feature: Feature) -> str:
    """A feature in a message: `int64` for a Value, else as it is written."""
    return str(getattr(feature, "dtype", None) or feature)


def paths_of(kind: pa.Schema | Type, test: Callable[[Type], bool], path: Path = ()) -> list[Path]:
    """The paths in a schema or type to what passes a test."""
    if isinstance(kind, pa.Schema) or pa.types.is_struct(kind):
        return [found for f in kind for found in paths_of(f.type, test, (*path, f.name))]
    if is_list(kind):
        return paths_of(kind.value_type, test, (*path, STEP))
    return [path] if test(kind) else []


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
