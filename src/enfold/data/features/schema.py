"""`Features`: the columns of a dataset, and their place in Arrow's schema metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import wraps
from typing import Any

import pyarrow as pa

from enfold.data.features.arraytypes import restored
from enfold.data.features.arrow import Feature, arrow_type, feature_of, needs_decoding, only
from enfold.data.features.build import infer
from enfold.data.features.dicts import feature_from_dict, feature_to_dict
from enfold.data.features.encode import decode, encode, plain
from enfold.data.features.errors import FeatureError
from enfold.data.features.nested import LargeList, List
from enfold.data.features.yamls import dict_of, yaml_of

_KEY = b"huggingface"
Tokens = Mapping[str, str | bool | None] | None


def _forgetting(change: Any) -> Any:
    """A method of dict that also forgets which columns are decoded."""
    @wraps(change)
    def changed(self: Features, *args: Any, **kwargs: Any) -> Any:
        self._decoded = None
        return change(self, *args, **kwargs)

    return changed


class Features(dict[str, Feature]):
    """A feature per column, in their order.

    A value is a `Value`, `ClassLabel`, `Image`, ..; a dict of features (a struct); `List(feature)`
    or `[feature]`.  `str`, `==` and the dict methods are those of a dict.
    """

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, feature in self.items():
            super().__setitem__(name, _without_lists(feature))
        self._decoded: dict[str, bool] | None = None

    @property
    def type(self) -> pa.DataType:
        """The Arrow struct type of a row."""
        return arrow_type(self)

    @property
    def arrow_schema(self) -> pa.Schema:
        """The Arrow schema; its metadata holds what Arrow's types do not say."""
        metadata = json.dumps({"info": {"features": self.to_dict()}})
        # of a struct type itself, pa.schema would look extension types up in pyarrow's registry
        return pa.schema(list(self.type), {_KEY.decode(): metadata})

    @classmethod
    def from_arrow_schema(cls, pa_schema: pa.Schema) -> Features:
        """The features of an Arrow schema.

        The metadata counts for a column whose type still is what it says.
        """
        stored = _stored_features(pa_schema)
        return cls({field.name: _feature_of_field(field, stored.get(field.name))
                    for field in pa_schema})

    @classmethod
    def from_dict(cls, dic: dict[str, Any]) -> Features:
        """The features of what `to_dict` returned."""
        if "_type" in dic and not isinstance(dic["_type"], dict):
            raise FeatureError(f"Features.from_dict: got a single {dic['_type']}. Expected a dict "
                               "with a feature per column")
        return cls(feature_from_dict(dic))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dicts: {"a": {"dtype": "int32", "_type": "Value"}}."""
        return feature_to_dict(dict(self))  # type: ignore[no-any-return]

    @classmethod
    def from_yaml_list(cls, yaml_data: list[dict[str, Any]]) -> Features:
        """The features of a dataset card's YAML list."""
        return cls.from_dict(dict_of(deepcopy(yaml_data)))

    def to_yaml_list(self) -> list[dict[str, Any]]:
        """The list for a dataset card: [{"name": "a", "dtype": "int32"}]."""
        return yaml_of(self.to_dict())

    _from_yaml_list, _to_yaml_list = from_yaml_list, to_yaml_list  # their names in datasets

    @classmethod
    def infer(cls, source: Any) -> Features:
        """The features that a table, batch, schema, dict of columns or list of rows shows."""
        if isinstance(source, pa.Schema):
            return cls.from_arrow_schema(source)
        if isinstance(source, (pa.Table, pa.RecordBatch)):
            return cls.from_arrow_schema(source.schema)
        columns = source if isinstance(source, Mapping) else _columns(source)
        return cls({name: infer(values, name) for name, values in columns.items()})

    def encode_example(self, example: Mapping[str, Any]) -> dict[str, Any]:
        """A row in the form that Arrow takes: labels as ids, images as bytes."""
        if example is None:
            raise FeatureError("Features.encode_example: got None. Expected a dict with a value "
                               "per column")
        return encode(dict(self), plain(example))  # type: ignore[no-any-return]

    def encode_column(self, column: Any, column_name: str) -> list[Any]:
        """The values of a column in the form that Arrow takes."""
        return [encode(self[column_name], value) for value in plain(column)]

    def encode_batch(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        """A dict of columns in the form that Arrow takes; it has exactly these columns."""
        if set(batch) != set(self):
            raise FeatureError(f"Features.encode_batch: got the columns {sorted(batch)}. Expected "
                               f"{sorted(self)}")
        return {name: self.encode_column(column, name) for name, column in batch.items()}

    def decode_example(self, example: dict[str, Any],
                       token_per_repo_id: Tokens = None) -> dict[str, Any]:
        """A row as users see it: images, audio, .. decoded."""
        decoded = self._column_requires_decoding
        return {name: decode(self[name], value, token_per_repo_id) if decoded.get(name) else value
                for name, value in example.items()}

    def decode_column(self, column: list[Any], column_name: str,
                      token_per_repo_id: Tokens = None) -> list[Any]:
        """The values of a column as users see them."""
        if not self._column_requires_decoding[column_name]:
            return column
        feature = self[column_name]
        return [decode(feature, value, token_per_repo_id) for value in column]

    def decode_batch(self, batch: dict[str, list[Any]],
                     token_per_repo_id: Tokens = None) -> dict[str, list[Any]]:
        """A dict of columns as users see them."""
        return {name: self.decode_column(column, name, token_per_repo_id)
                for name, column in batch.items()}

    def copy(self) -> Features:
        """A deep copy."""
        return deepcopy(self)

    def reorder_fields_as(self, other: Features) -> Features:
        """These features with the fields, at every depth, in the order of `other`."""
        return Features(_reordered(dict(self), dict(other), ""))

    def flatten(self, max_depth: int = 16) -> Features:
        """A column per field of structs, `answers.text`, down to `max_depth` levels."""
        flat: dict[str, Feature] = {}
        for name, feature in self.items():
            _flatten_into(flat, name, feature, max_depth - 1)
        return Features(flat)

    @property
    def _column_requires_decoding(self) -> dict[str, bool]:
        if self._decoded is None:
            self._decoded = {name: needs_decoding(feature) for name, feature in self.items()}
        return self._decoded

    def __setitem__(self, name: str, feature: Feature) -> None:
        super().__setitem__(name, _without_lists(feature))
        self._decoded = None

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._decoded = None

    def __reduce__(self) -> tuple[Any, ...]:
        return Features, (dict(self),)

    update, setdefault = _forgetting(dict.update), _forgetting(dict.setdefault)
    pop, popitem, clear = _forgetting(dict.pop), _forgetting(dict.popitem), _forgetting(dict.clear)
    __ior__ = _forgetting(dict.__ior__)


def _without_lists(feature: Feature) -> Feature:
    if isinstance(feature, (list, tuple)):
        return List(_without_lists(only(feature)))
    if isinstance(feature, dict):
        return {name: _without_lists(inner) for name, inner in feature.items()}
    return feature


def _stored_features(schema: pa.Schema) -> dict[str, Feature]:
    metadata = json.loads((schema.metadata or {}).get(_KEY, b"{}"))
    encoded = (metadata.get("info") or {}).get("features")
    return Features.from_dict(encoded) if encoded else {}


def _feature_of_field(field: pa.Field, stored: Feature | None) -> Feature:
    arrow = restored(field)
    if stored is not None and field.nullable and arrow_type(stored) == arrow:
        return stored
    return feature_of(arrow)


def _columns(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    rows = list(rows)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _reordered(source: Feature, target: Feature, where: str) -> Feature:
    place = f" at {where[1:]}" if where else ""
    for kind in (dict, List, LargeList):
        if isinstance(source, kind) and not isinstance(target, kind):
            raise FeatureError(f"Features.reorder_fields_as: {source}{place} has no counterpart. "
                               f"Expected the same structure, got {target}")
    if isinstance(source, dict):
        if source.keys() != target.keys():
            raise FeatureError(f"Features.reorder_fields_as: the fields{place} are "
                               f"{sorted(source)}, those of the other {sorted(target)}. Expected "
                               "the same")
        return {name: _reordered(source[name], target[name], f"{where}.{name}") for name in target}
    if isinstance(source, List):
        return List(_reordered(source.feature, target.feature, f"{where}[]"), source.length)
    if isinstance(source, LargeList):
        return LargeList(_reordered(source.feature, target.feature, f"{where}[]"))
    return source


def _flatten_into(flat: dict[str, Feature], name: str, feature: Feature, depth: int) -> None:
    inner = feature.flatten() if hasattr(feature, "flatten") else feature
    if depth <= 0 or not isinstance(inner, dict):
        flat[name] = feature
        return
    for part, below in inner.items():
        _flatten_into(flat, f"{name}.{part}", below, depth - 1)
