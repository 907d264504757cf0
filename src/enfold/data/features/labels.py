"""`ClassLabel`: integers with names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import InitVar, dataclass, field
from numbers import Integral
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from enfold.data.features.errors import FeatureError, shown
from enfold.data.features.value import is_text
from enfold.errors import ArgumentError, nearest


@dataclass
class ClassLabel:
    """Labels: stored as int64, -1 for an unknown one.  Give one of

    names: the names, in the order of their ids.
    names_file: a text file with a name per line.
    num_classes: how many there are; their names are then "0", "1", ...
    """

    num_classes: InitVar[int | None] = None
    names: list[str] = None  # type: ignore[assignment]
    names_file: InitVar[str | None] = None
    id: str | None = field(default=None, repr=False)
    dtype: ClassVar[str] = "int64"
    pa_type: ClassVar[Any] = pa.int64()
    _type: str = field(default="ClassLabel", init=False, repr=False)

    def __post_init__(self, num_classes: int | None, names_file: str | None) -> None:
        if self.names is None:
            self.names = _default_names(num_classes, names_file)
        elif names_file is not None:
            raise FeatureError("ClassLabel: got names and names_file. Expected one of them")
        elif not isinstance(self.names, Sequence):
            raise ArgumentError(f"ClassLabel: names is a {type(self.names).__name__}. "
                                "Expected a list of strings")
        # the two InitVars are attributes as well, as in `datasets`
        self.num_classes = len(self.names)  # type: ignore[attr-defined]
        self.names_file = names_file  # type: ignore[attr-defined]
        if num_classes not in (None, len(self.names)):
            raise FeatureError(f"ClassLabel: got {len(self.names)} names for num_classes="
                               f"{num_classes}. Expected as many: leave num_classes out")
        self._names = [str(name) for name in self.names]
        self._ids = {name: index for index, name in enumerate(self._names)}
        if len(self._ids) < len(self._names):
            twice = next(name for name in self._names if self._names.count(name) > 1)
            raise FeatureError(f"ClassLabel: the name {twice!r} is there twice. Expected each once")

    def __call__(self) -> pa.DataType:
        return self.pa_type

    def str2int(self, values: str | Iterable[Any]) -> int | list[int]:
        """The id of a name, or the ids of several; a numeral that is no name stands for itself."""
        if isinstance(values, str):
            return self._id(values)
        if not isinstance(values, Iterable):
            raise FeatureError(f"ClassLabel.str2int: got {values!r}. Expected a name or names")
        return [self._id(value) for value in values]

    def int2str(self, values: int | Iterable[Any]) -> str | list[str]:
        """The name of an id, or the names of several."""
        if isinstance(values, Integral):
            return self._name(values)
        if not isinstance(values, Iterable):
            raise FeatureError(f"ClassLabel.int2str: got {values!r}. Expected an int or ints")
        return [self._name(value) for value in values]

    def encode_example(self, value: Any) -> Any:
        """The id of a name; an id itself, if it is one or -1."""
        label = self._id(value) if isinstance(value, str) else value
        if not -1 <= label < len(self._names):
            raise self._out_of_range(label)
        return label

    def cast_storage(self, storage: pa.Array) -> pa.Array:
        """A column of names or ids as int64 ids."""
        if pa.types.is_dictionary(storage.type):
            storage = storage.dictionary_decode()
        if is_text(storage.type):
            return self._ids_of(storage)
        if pa.types.is_integer(storage.type):
            import pyarrow.compute as pc  # takes 50 ms, which workers seldom need

            greatest = pc.max(storage).as_py()
            if greatest is not None and greatest >= len(self._names):
                raise self._out_of_range(greatest)
        return storage.cast(self.pa_type)

    def _ids_of(self, names: pa.Array) -> pa.Array:
        coded = names.cast(pa.string()).dictionary_encode()
        ids = pa.array([self._id(name) for name in coded.dictionary.to_pylist()], self.pa_type)
        return ids.take(coded.indices)

    def _id(self, value: Any) -> int:
        name = str(value)
        found = self._ids.get(name, self._ids.get(name.strip()))
        if found is not None:
            return found
        try:
            label = int(name)
        except ValueError:
            label = len(self._names)
        if -1 <= label < len(self._names):
            return label
        raise FeatureError(f"ClassLabel: {shown(value)} is no label{nearest(name, self._names)}. "
                           f"Expected one of {shown(self._names)} or an id below "
                           f"{len(self._names)}")

    def _name(self, label: Any) -> str:
        if not 0 <= label < len(self._names):
            raise self._out_of_range(label)
        return self._names[int(label)]

    def _out_of_range(self, label: Any) -> FeatureError:
        return FeatureError(f"ClassLabel: got the label {label}. Expected an id from 0 to "
                            f"{len(self._names) - 1} (num_classes={len(self._names)})")


def _default_names(num_classes: int | None, names_file: str | None) -> list[str]:
    if names_file is not None:
        lines = Path(names_file).read_text(encoding="utf-8").split("\n")
        return [line.strip() for line in lines if line.strip()]
    if num_classes is None:
        raise FeatureError("ClassLabel: got nothing. Expected num_classes, names or names_file")
    return [str(label) for label in range(num_classes)]
