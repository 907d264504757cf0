"""Columns picked, renamed, added, cast, taken apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import pyarrow as pa
import pyarrow.compute as pc

from enfold.data.dataset.reading import Reading
from enfold.data.features import ClassLabel, FeatureError, Features, feature_of, to_array
from enfold.data.features.build import infer
from enfold.data.features.value import Value
from enfold.data.frame import Column, Frame
from enfold.data.plan import Apply, ColumnsOp, Reshape, Settings
from enfold.errors import DataError


class Columns(Reading):
    """What changes columns.  Data is shared, and nothing is run."""

    def select_columns(self, column_names: str | Sequence[str],
                       new_fingerprint: str | None = None) -> Self:
        """With these columns only, in this order."""
        names = self._known(column_names, "select_columns")
        return self._picked({name: name for name in names}, "select columns", new_fingerprint)

    def remove_columns(self, column_names: str | Sequence[str],
                       new_fingerprint: str | None = None) -> Self:
        """Without these columns."""
        gone = set(self._known(column_names, "remove_columns"))
        kept = {name: name for name in self.column_names if name not in gone}
        return self._picked(kept, "remove columns", new_fingerprint)

    def rename_column(self, original_column_name: str, new_column_name: str,
                      new_fingerprint: str | None = None) -> Self:
        """With a column under another name."""
        if not new_column_name:
            raise DataError("rename_column: got an empty name. Expected a name")
        return self.rename_columns({original_column_name: new_column_name}, new_fingerprint)

    def rename_columns(self, column_mapping: Mapping[str, str],
                       new_fingerprint: str | None = None) -> Self:
        """With columns under other names: {old: new}."""
        self._known(column_mapping, "rename_columns")
        names = {column_mapping.get(name, name): name for name in self.column_names}
        if not all(column_mapping.values()) or len(names) != self.num_columns:
            raise DataError(f"rename_columns: got {dict(column_mapping)}, which leaves two columns "
                            f"with one name, or one without. Columns: {self.column_names}. "
                            "Expected new names that differ from each other and from all others")
        shown = self._kept_format(list(names), column_mapping)
        other = self._picked(names, "rename columns", new_fingerprint)
        other._format = shown
        return other

    def add_column(self, name: str, column: Any, new_fingerprint: str | None = None,
                   feature: Any = None) -> Self:
        """With a column more.  feature: what it holds; by default what its values show."""
        if name in self._node.features:
            raise DataError(f"add_column: there is a column {name!r} already. Expected another")
        feature = feature if feature is not None else _shown(column, name)
        array = to_array(column, feature, column=name)
        if len(array) != self.num_rows:
            raise _LengthError(f"add_column: got {len(array)} values for {name!r}. Expected "
                          f"{self.num_rows}, one per row")
        features = Features({**self._node.features, name: feature})
        node = Reshape([self._node], features, self._node.rows, "add column",
                       lambda frame: frame.put({name: array}), (name, array))
        return self._with(node, new_fingerprint)

    def cast(self, features: Features, batch_size: int | None = 1000,
             keep_in_memory: bool = False, load_from_cache_file: bool | None = None,
             cache_file_name: str | None = None, writer_batch_size: int | None = 1000,
             num_proc: int | None = None) -> Self:
        """With its columns as these features.  Raises `CastError` where a value does not fit."""
        if sorted(features) != sorted(self._node.features):
            raise FeatureError(f"cast: got the columns {list(features)}. Expected the dataset's: "
                               f"{self.column_names}. The columns in features must be identical "
                               "as the columns in the dataset")
        settings = Settings(num_proc, None, keep_in_memory, load_from_cache_file is not False,
                            "cast")
        return self._cast(Features(features), settings)

    def cast_column(self, column: str, feature: Any, new_fingerprint: str | None = None) -> Self:
        """With one column as another feature."""
        self._known(column, "cast_column")
        features = Features({**self._node.features, column: feature})
        other = self._cast(features, Settings(label=f"cast {column}"))
        if new_fingerprint is not None:
            other._fingerprint = new_fingerprint
        return other

    def _cast(self, features: Features, settings: Settings) -> Self:
        mine = self._node.features
        free = Features(mine).type == features.type and not any(
            features[name] != mine[name] and hasattr(features[name], "cast_storage")
            and not _same_storage(mine[name], features[name]) for name in features)
        columns = {name: (name, None if free or features[name] == mine[name] else feature)
                   for name, feature in features.items()}
        node = Apply(self._node, ColumnsOp(columns, features),
                     ("cast", features.to_dict(), list(features)), settings)
        if not free and self._node.resolved:
            node.frame()  # a value that does not fit raises here, not later
        return self._with(node)

    def flatten(self, new_fingerprint: str | None = None, max_depth: int = 16) -> Self:
        """With a column for each field of structs: `answers.text`."""
        features = self._node.features.flatten(max_depth=max_depth)
        before = dict(self._node.features)
        node = Reshape([self._node], features, self._node.rows, "flatten",
                       lambda frame: _flat(frame, before, features), max_depth)
        return self._with(node, new_fingerprint)

    def class_encode_column(self, column: str, include_nulls: bool = False) -> Self:
        """With the values of a column as labels, their names sorted."""
        self._known(column, "class_encode_column")
        feature = self._node.features[column]
        if not isinstance(feature, Value):
            raise DataError(f"class_encode_column: {column!r} is {feature}. Class encoding is only "
                            "supported for Value columns")
        data: Any = self
        if feature.dtype != "string" or (include_nulls and self._frame.column(column).null_count):
            data = _as_text(self, column, include_nulls)
        names = sorted(value for value in data.unique(column) if include_nulls or value is not None)
        return data.cast_column(column, ClassLabel(names=names))  # type: ignore[no-any-return]

    def align_labels_with_mapping(self, label2id: Mapping[str, int], label_column: str) -> Self:
        """With labels numbered as a model's `label2id` has them."""
        self._known(label_column, "align_labels_with_mapping")
        feature = self._node.features[label_column]
        labels = getattr(feature, "feature", feature)
        if not isinstance(labels, ClassLabel):
            raise DataError(f"align_labels_with_mapping: {label_column!r} is {feature}. Expected "
                            "ClassLabel, or a List of them")
        ids = {name.lower(): number for name, number in label2id.items()}
        names = sorted(ids, key=lambda name: ids[name])
        old = labels.names
        missing = [name for name in old if name.lower() not in ids]
        if missing:
            raise DataError(f"align_labels_with_mapping: label2id lacks {missing}. Expected a "
                            f"number for each of {old}")
        table = [ids[name.lower()] for name in old]
        aligned = ClassLabel(names=_spelt(names, label2id))
        within = feature is not labels
        whole = type(feature)(aligned) if within else aligned

        def renumber(batch: Any) -> Any:
            values = batch[label_column]
            if within:
                return {label_column: [[_number(table, item) for item in row] for row in values]}
            return {label_column: [_number(table, value) for value in values]}

        features = Features({**self._node.features, label_column: whole})
        plain: Any = self.with_format(None)
        other = plain.map(renumber, batched=True, features=features, desc="Aligning the labels")
        other._format = self._format
        return other  # type: ignore[no-any-return]

    def _picked(self, columns: Mapping[str, str], label: str, fingerprint: str | None) -> Self:
        features = Features({name: self._node.features[source] for name, source in columns.items()})
        op = ColumnsOp({name: (source, None) for name, source in columns.items()}, features)
        node = Apply(self._node, op, (label, dict(columns), list(columns)), Settings(label=label))
        return self._with(node, fingerprint)


class _LengthError(DataError, pa.ArrowInvalid):  # type: ignore[misc]
    """A column of another length; also what pyarrow raises for that."""


def _shown(column: Any, name: str) -> Any:
    if isinstance(column, (pa.Array, pa.ChunkedArray)):
        return feature_of(column.type)
    return infer(column, name)


def _same_storage(one: Any, other: Any) -> bool:
    return type(one) is type(other) and not isinstance(one, ClassLabel)


def _flat(frame: Frame, before: dict[str, Any], features: Features) -> Frame:
    """The frame with a column per field."""
    columns: dict[str, Column] = dict(frame.columns)
    while any(name not in features for name in columns):
        for name in [name for name in columns if name not in features]:
            columns = _opened(columns, name)
    return Frame({name: columns[name] for name in features}, frame.num_rows, frame.holds)


def _opened(columns: dict[str, Column], name: str) -> dict[str, Column]:
    found: dict[str, Column] = {}
    for other, column in columns.items():
        if other != name:
            found[other] = column
            continue
        for number, field in enumerate(column.data.type):
            parts = column.data.flatten()
            found[f"{name}.{field.name}"] = Column(parts[number], column.rows)
    return found


def _as_text(dataset: Any, column: str, include_nulls: bool) -> Any:
    text = pc.cast(dataset._frame.column(column), pa.string())
    if dataset.features[column].dtype == "bool":
        text = pc.if_else(dataset._frame.column(column), "True", "False")
    if include_nulls:
        text = text.fill_null("None")
    features = Features({**dataset.features, column: Value("string")})
    node = Reshape([dataset._node], features, dataset._node.rows, f"text of {column}",
                   lambda frame: frame.put({column: text}), (column, include_nulls))
    return dataset._with(node)


def _number(table: list[int], value: int | None) -> int | None:
    return value if value is None or value < 0 else table[value]


def _spelt(names: list[str], label2id: Mapping[str, int]) -> list[str]:
    given = {name.lower(): name for name in label2id}
    return [given[name] for name in names]
