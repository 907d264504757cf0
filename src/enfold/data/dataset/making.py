"""Datasets of Python data and of Arrow files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, Self

import pyarrow as pa

from enfold.data.dataset.base import Base
from enfold.data.features import Features, feature_of, to_array
from enfold.data.features.build import infer
from enfold.data.features.mixed import infer_mixed
from enfold.data.frame import Frame, open_file, open_stream, read_memory
from enfold.data.info import DatasetInfo
from enfold.data.plan import Loaded
from enfold.data.splits import NamedSplit
from enfold.errors import DataError


class Making(Base):
    """What makes datasets of data that is there."""

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any], features: Features | None = None,
                  info: DatasetInfo | None = None, split: NamedSplit | None = None,
                  on_mixed_types: str | None = None) -> Self:
        """The dataset of a dict of columns: lists, numpy arrays, tensors, Arrow arrays.

        features: what the columns are to be; by default what their values show.
        """
        features = _given(features, info)
        if features is not None and set(features) != set(mapping):
            raise DataError(f"from_dict: got the columns {list(mapping)}, and features= has "
                            f"{list(features)}. Expected the same")
        arrays, found = {}, {}
        for name in features if features is not None else mapping:
            feature = features[name] if features is not None else None
            arrays[name], found[name] = _column(name, mapping[name], feature, on_mixed_types)
        lengths = {name: len(array) for name, array in arrays.items()}
        if len(set(lengths.values())) > 1:
            raise _LengthError(f"from_dict: the columns have different numbers of values: "
                               f"{lengths}. Expected one per row in each")
        made = Features(found)
        table = pa.Table.from_arrays(list(arrays.values()), schema=made.arrow_schema)
        return cls._loaded(Frame.of(table), made, info, split)

    @classmethod
    def from_list(cls, mapping: Iterable[Mapping[str, Any]], features: Features | None = None,
                  info: DatasetInfo | None = None, split: NamedSplit | None = None,
                  on_mixed_types: str | None = None) -> Self:
        """The dataset of a list of rows; a column that a row lacks is None there."""
        rows = list(mapping)
        names = list(features) if features is not None else \
            list(dict.fromkeys(name for row in rows for name in row))
        columns = {name: [row.get(name) for row in rows] for name in names}
        return cls.from_dict(columns, features, info, split, on_mixed_types)

    @classmethod
    def from_file(cls, filename: str | os.PathLike[str], info: DatasetInfo | None = None,
                  split: NamedSplit | None = None,
                  indices_filename: str | os.PathLike[str] | None = None,
                  in_memory: bool = False) -> Self:
        """The dataset in an Arrow file, memory-mapped."""
        path = os.path.abspath(filename)
        table = read_memory(path) if in_memory else open_file(path)
        frame = Frame.of(table, (), None if in_memory else path)
        if indices_filename is not None:
            frame = frame.select(open_file(indices_filename).column(0).to_numpy())
        features = Features.from_arrow_schema(table.schema)
        return cls._loaded(frame, features, info, split, durable=not in_memory)

    @classmethod
    def from_buffer(cls, buffer: pa.Buffer, info: DatasetInfo | None = None,
                    split: NamedSplit | None = None,
                    indices_buffer: pa.Buffer | None = None) -> Self:
        """The dataset in an Arrow stream or file in memory."""
        table = open_stream(pa.BufferReader(buffer), "the buffer")
        frame = Frame.of(table)
        if indices_buffer is not None:
            numbers = open_stream(pa.BufferReader(indices_buffer), "indices_buffer").column(0)
            frame = frame.select(numbers.to_numpy())
        return cls._loaded(frame, Features.from_arrow_schema(table.schema), info, split)

    @classmethod
    def _loaded(cls, frame: Frame, features: Features, info: DatasetInfo | None,
                split: NamedSplit | None, *, durable: bool = False, origin: str = "",
                fingerprint: str | None = None) -> Self:
        node = Loaded(frame, features, durable=durable, fingerprint=fingerprint, origin=origin)
        return cls(node, info, split)


class _LengthError(DataError, pa.ArrowInvalid):  # type: ignore[misc]
    """Columns of different lengths; also what pyarrow raises for that."""


def _given(features: Features | None, info: DatasetInfo | None) -> Features | None:
    if features is not None and info is not None and info.features is not None \
            and features != info.features:
        raise DataError(f"Features specified in `features` and `info.features` can't be different:"
                        f"\n{features}\n{info.features}")
    found = features if features is not None else info.features if info is not None else None
    return Features(found) if found is not None else None


def _column(name: str, values: Any, feature: Any, on_mixed_types: str | None) -> tuple[Any, Any]:
    from enfold.data.formatting import Column

    if isinstance(values, Column):
        feature = feature if feature is not None else values.features
        values = values[:]
    if feature is not None:
        return to_array(values, feature, column=name), feature
    if not hasattr(values, "__len__"):
        values = list(values)
    feature = infer_mixed(values, name) if mixed_given("from_dict", on_mixed_types) else \
        _shown(values, name)
    return to_array(values, feature, column=name), feature


def mixed_given(what: str, on_mixed_types: str | None) -> bool:
    """Whether values of several types become Json; raises for what is no such option."""
    if on_mixed_types not in (None, "use_json"):
        raise DataError(f"{what}: on_mixed_types={on_mixed_types!r}. Expected 'use_json' or None")
    return on_mixed_types is not None


def _shown(values: Any, name: str) -> Any:
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return feature_of(values.type)
    return infer(values, name)
