"""`ds["text"]`: a column that is read where it is looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from enfold.data.formatting.query import ColumnMissing


class Column(Sequence[Any]):
    """A column of a `Dataset`, or a field of a column of structs: `ds["answers"]["text"]`.

    source: whatever has rows that are dicts, by `[index]`, `[slice]`, `[list]` and iteration, a
    length and `features`; where it has `_fast_select_column(name)`, only that column is read.
    """

    def __init__(self, source: Any, column_name: str) -> None:
        fields = source.features if isinstance(source.features, dict) else {}
        if column_name not in fields:
            raise ColumnMissing(column_name, fields)
        self.source, self.column_name = source, column_name
        self.features = fields[column_name]

    def __iter__(self) -> Iterator[Any]:
        name = self.column_name
        return (row[name] for row in self._alone())

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return Column(self, key)
        found = self._alone()[key]
        if isinstance(self.source, Column) and not isinstance(key, int):
            return [row[self.column_name] for row in found]
        return found[self.column_name]

    def __len__(self) -> int:
        return len(self.source)

    def __repr__(self) -> str:
        first = repr(list(self[:5]))
        return f"Column({first[:-1]}, ...])" if len(self) > 5 else f"Column({first})"

    def __eq__(self, other: object) -> bool:
        return bool(list(self) == (list(other) if isinstance(other, Column) else other))

    __hash__ = None  # type: ignore[assignment]

    def _alone(self) -> Any:
        select = getattr(self.source, "_fast_select_column", None)
        # a transform of the user's may need all columns
        custom = getattr(self.source, "_format_type", None) == "custom"
        return select(self.column_name) if select and not custom else self.source


class IterableColumn:
    """A column of an `IterableDataset`, or a field of one: what the rows hold under a name."""

    def __init__(self, source: Any, column_name: str) -> None:
        self.source, self.column_name = source, column_name

    def __iter__(self) -> Iterator[Any]:
        return (row[self.column_name] for row in self.source)

    def __getitem__(self, column_name: str) -> IterableColumn:
        return IterableColumn(self, column_name)
