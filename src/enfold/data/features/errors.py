"""What features raise, as the built-in and pyarrow exceptions that callers of `datasets` catch."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from enfold.errors import EnfoldError


class FeatureError(EnfoldError, ValueError):
    """A feature that can't be built or reconciled, or a value that it does not take."""


class CastError(FeatureError, pa.ArrowInvalid, TypeError):  # type: ignore[misc]
    """Data that can't be turned into the type that was asked for, or columns that don't match."""

    def __init__(self, message: str, table_column_names: Iterable[str] = (),
                 requested_column_names: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.table_column_names = list(table_column_names)
        self.requested_column_names = list(requested_column_names)

    def __reduce__(self) -> tuple[type[CastError], tuple[str, list[str], list[str]]]:
        return CastError, (str(self), self.table_column_names, self.requested_column_names)


def shown(value: object, limit: int = 120) -> str:
    """`repr(value)`, cut in the middle where it is long."""
    text = repr(value)
    return text if len(text) <= limit else f"{text[:limit // 2]}...{text[-limit // 2:]}"
