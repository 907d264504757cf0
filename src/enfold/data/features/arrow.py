"""Features and Arrow's types, each from the other; and walks through nested features.

A feature is a dict of features (a struct), a List or LargeList of one, or an object that returns
its Arrow type when called.  It may have `encode_example`, `decode_example` (with `decode`),
`cast_storage`, `embed_storage` and `flatten`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from enfold.data.features.arrays import ARRAYS
from enfold.data.features.arraytypes import restored
from enfold.data.features.errors import FeatureError
from enfold.data.features.jsons import Json
from enfold.data.features.nested import LargeList, List
from enfold.data.features.value import Value, dtype_of

Feature = Any  # a dict of features, a list of one, or an object as above


def arrow_type(feature: Feature) -> pa.DataType:
    """The Arrow type of a column of `feature`."""
    if isinstance(feature, dict):
        return pa.struct({name: arrow_type(inner) for name, inner in feature.items()})
    if isinstance(feature, (list, tuple)):
        return pa.list_(arrow_type(only(feature)))
    if isinstance(feature, LargeList):
        return pa.large_list(arrow_type(feature.feature))
    if isinstance(feature, List):
        return pa.list_(arrow_type(feature.feature), feature.length)
    if not callable(feature):
        raise FeatureError(f"Features: {feature!r} is no feature. Expected a Value('int32'), a "
                           "ClassLabel, an Image, .., a dict of features or List(feature)")
    return feature()


def feature_of(arrow: pa.DataType) -> Feature:
    """The feature of a column of an Arrow type."""
    types = pa.types
    if types.is_struct(arrow):
        return {field.name: feature_of(restored(field)) for field in arrow}
    if types.is_fixed_size_list(arrow):
        return List(feature_of(restored(arrow.value_field)), length=arrow.list_size)
    if types.is_list(arrow) or types.is_list_view(arrow):
        return List(feature_of(restored(arrow.value_field)))
    if types.is_large_list(arrow) or types.is_large_list_view(arrow):
        return LargeList(feature_of(restored(arrow.value_field)))
    if isinstance(arrow, pa.JsonType):
        return Json()
    if isinstance(arrow, pa.BaseExtensionType):
        return _feature_of_extension(arrow)
    return Value(dtype_of(arrow))


def _feature_of_extension(arrow: pa.DataType) -> Feature:
    ours = restored(pa.field("", arrow))
    if hasattr(ours, "ndims"):
        return ARRAYS[ours.ndims](shape=ours.shape, dtype=ours.value_type)
    return feature_of(arrow.storage_type)


def storage_type(arrow: pa.DataType) -> pa.DataType:
    """The type with every extension type in it replaced by its storage."""
    types = pa.types
    if isinstance(arrow, pa.BaseExtensionType):
        return storage_type(arrow.storage_type)
    if types.is_struct(arrow):
        return pa.struct([field.with_type(storage_type(field.type)) for field in arrow])
    if types.is_large_list(arrow):
        return pa.large_list(storage_type(arrow.value_type))
    if types.is_fixed_size_list(arrow):
        return pa.list_(storage_type(arrow.value_type), arrow.list_size)
    return pa.list_(storage_type(arrow.value_type)) if types.is_list(arrow) else arrow


def only(features: list[Feature] | tuple[Feature, ...]) -> Feature:
    """The one feature of `[feature]`."""
    if len(features) != 1:
        raise FeatureError(f"Features: got {features!r}. Expected one feature in a list: that of "
                           "its items")
    return features[0]


def inner_features(feature: Feature) -> Iterator[Feature]:
    """The features directly inside a nested one."""
    if isinstance(feature, dict):
        yield from feature.values()
    elif isinstance(feature, (list, tuple)):
        yield only(feature)
    elif isinstance(feature, (List, LargeList)):
        yield feature.feature


def visit(feature: Feature, function: Callable[[Feature], Feature]) -> Feature:
    """The feature rebuilt from the inside out, each part replaced by what `function` returns.

    None leaves a part as it is.
    """
    rebuilt = feature
    if isinstance(feature, dict):
        rebuilt = type(feature)({name: visit(inner, function) for name, inner in feature.items()})
    elif isinstance(feature, List):
        rebuilt = List(visit(feature.feature, function), length=feature.length, id=feature.id)
    elif isinstance(feature, LargeList):
        rebuilt = LargeList(visit(feature.feature, function), id=feature.id)
    changed = function(rebuilt)
    return rebuilt if changed is None else changed


def has_inside(feature: Feature, test: Callable[[Feature], bool]) -> bool:
    """Whether `test` holds for the feature or for one inside it."""
    return test(feature) or any(has_inside(inner, test) for inner in inner_features(feature))


def needs_decoding(feature: Feature) -> bool:
    """Whether reading it decodes something."""
    return has_inside(feature, lambda part: hasattr(part, "decode_example")
                      and getattr(part, "decode", True))


def needs_cast(feature: Feature) -> bool:
    """Whether something in it has a cast of its own."""
    return has_inside(feature, lambda part: hasattr(part, "cast_storage"))


def needs_embedding(feature: Feature) -> bool:
    """Whether something in it may be a file elsewhere."""
    return has_inside(feature, lambda part: hasattr(part, "embed_storage"))
