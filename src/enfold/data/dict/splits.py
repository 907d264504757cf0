"""What dicts of datasets of both kinds share."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self, TypeVar

from enfold.data.splits import NamedSplit, Split
from enfold.errors import DataError

Kind = TypeVar("Kind")


class Splits(dict[str | NamedSplit, Kind]):
    """Split name -> dataset."""

    _kind: ClassVar[str]  # what the values are called

    @property
    def num_columns(self) -> dict[str, Any]:
        """The number of columns, by split."""
        return self._asked("num_columns")

    @property
    def column_names(self) -> dict[str, Any]:
        """Names of the columns, by split."""
        return self._asked("column_names")

    def __getitem__(self, key: Any) -> Kind:
        """The dataset of a split."""
        if isinstance(key, (str, NamedSplit)) or not self:
            return super().__getitem__(key)
        first = next((split for split in (Split.TRAIN, Split.TEST, Split.VALIDATION)
                      if split in self), next(iter(self)))
        raise KeyError(f"Invalid key: {key}. Please first select a split. For example: "
                       f"`my_dataset_dictionary['{first}'][{key}]`. Available splits: "
                       f"{sorted(map(str, self))}")

    def __repr__(self) -> str:
        lines = "\n".join(f"{split}: {dataset}" for split, dataset in self.items())
        indented = re.sub("^", "    ", lines, flags=re.MULTILINE)
        return f"{type(self).__name__}({{\n{indented}\n}})"

    def _checked(self) -> None:
        for split, dataset in self.items():
            self._check_value(split, dataset)

    def _check_value(self, split: Any, dataset: Any) -> None:
        raise NotImplementedError

    def _wrong_kind(self, split: Any, dataset: Any) -> TypeError:
        return TypeError(f"Values in `{type(self).__name__}` should be of type `{self._kind}` but "
                         f"got type '{type(dataset)}' for {str(split)!r}. Do: put a {self._kind} "
                         "there")

    def _asked(self, name: str) -> dict[Any, Any]:
        """A property of each."""
        self._checked()
        return {split: getattr(dataset, name) for split, dataset in self.items()}

    def _each(self, method: str, *args: Any, per_split: Mapping[str, Any] | None = None,
              **kwargs: Any) -> Self:
        """What a method makes of each.  per_split: arguments given as {split: value}, or None."""
        self._checked()
        found = type(self)()
        for split, dataset in self.items():
            own = {name: None if values is None else values[split]
                   for name, values in (per_split or {}).items()}
            found[split] = getattr(dataset, method)(*args, **kwargs, **own)
        return found


def checked_shards(num_shards: Any) -> None:
    """Raises where numbers of shards are not given by split."""
    if num_shards is not None and not isinstance(num_shards, dict):
        raise DataError(f"num_shards={num_shards!r}. Please provide one `num_shards` per dataset "
                        "in the dataset dictionary, e.g. {'train': 128, 'test': 4}")


def by_split(splits: Iterable[Any], function: Any, with_split: bool) -> dict[Any, Any]:
    """The function for each split; with_split: given the name of the split as its last argument."""
    if with_split and function is None:
        raise DataError("map: with_split=True without a function to give the split to. Expected a "
                        "function")
    return {split: _with_split(function, split) if with_split else function for split in splits}


def _with_split(function: Callable[..., Any], split: Any) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):
        async def waited(*args: Any, **kwargs: Any) -> Any:
            return await function(*args, split, **kwargs)

        return waited

    def called(*args: Any, **kwargs: Any) -> Any:
        return function(*args, split, **kwargs)

    return called
