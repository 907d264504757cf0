"""Rows and batches whose columns are decoded when they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from operator import is_
from typing import Any, Self


class LazyDict(MutableMapping[str, Any]):
    """A dict whose values at `keys_to_format` are made by `format` on first access.

    data: the values there are; None stands at the keys to format.
    """

    def __init__(self, data: dict[str, Any], keys_to_format: Iterable[str],
                 format: Callable[[str], Any]) -> None:
        self.data = data
        self.keys_to_format = set(keys_to_format)
        self.format = format

    def __getitem__(self, key: str) -> Any:
        if key in self.keys_to_format:
            self[key] = self.format(key)
        return self.data[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.data[key] = value
        self.keys_to_format.discard(key)

    def __delitem__(self, key: str) -> None:
        del self.data[key]
        self.keys_to_format.discard(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __contains__(self, key: object) -> bool:
        return key in self.data

    def __repr__(self) -> str:
        return repr(dict(self))

    def __copy__(self) -> Self:
        return type(self)(dict(self.data), self.keys_to_format, self.format)

    copy = __copy__

    def __or__(self, other: Mapping[str, Any]) -> Self:
        merged = self.copy()
        merged |= other
        return merged

    def __ror__(self, other: Mapping[str, Any]) -> Self:
        return type(self)({**other, **self.data}, self.keys_to_format, self.format)

    def __ior__(self, other: Mapping[str, Any]) -> Self:
        self.update(other)
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self), (), None)


class LazyRow(LazyDict):
    """A row."""


class LazyBatch(LazyDict):
    """A batch: a dict of columns."""

    def __init__(self, data: dict[str, Any], keys_to_format: Iterable[str],
                 format: Callable[[str], Any]) -> None:
        super().__init__(data, keys_to_format, format)
        self._decoded: dict[str, list[Any]] = {}

    def __getitem__(self, key: str) -> Any:
        first = key in self.keys_to_format
        value = super().__getitem__(key)
        if first and isinstance(value, list):
            self._decoded[key] = value.copy()
        return value

    def untouched(self, key: str) -> bool:
        """Whether a list has in it the very objects that it was decoded to."""
        before, now = self._decoded.get(key), self.data.get(key)
        return before is not None and isinstance(now, list) and len(now) == len(before) \
            and all(map(is_, now, before))
