"""The same thing done with both libraries, and what came of it in a form to compare."""

from __future__ import annotations

import builtins
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import enfold.data as ours

theirs = pytest.importorskip("datasets")
ROWS = 57


def table() -> dict[str, list[Any]]:
    return {"text": [f"row {i % 11}" for i in range(ROWS)],
            "n": list(range(ROWS)),
            "label": [(i * 7) % 3 for i in range(ROWS)],
            "maybe": [None if i % 3 else i / 2 for i in range(ROWS)],
            "tokens": [list(range(i % 4)) for i in range(ROWS)],
            "point": [{"x": i, "y": {"z": str(i)}} for i in range(ROWS)]}


def features(lib: Any) -> Any:
    whole = lib.Value("int64")
    return lib.Features({
        "text": lib.Value("string"), "n": whole, "label": lib.ClassLabel(names=["no", "yes", "?"]),
        "maybe": lib.Value("float64"), "tokens": lib.List(whole),
        "point": {"x": whole, "y": {"z": lib.Value("string")}}})


def in_memory(lib: Any, _folder: Any) -> Any:
    return lib.Dataset.from_dict(table(), features=features(lib))


def in_file(lib: Any, folder: Any) -> Any:
    """An Arrow file that `datasets` wrote."""
    path = folder / "table" / "data-00000-of-00001.arrow"
    if not path.exists():
        theirs.Dataset.from_dict(table(), features=features(theirs)).save_to_disk(path.parent)
    return lib.Dataset.from_file(str(path))


STARTS = {
    "in memory": in_memory,
    "in a file": in_file,
    "shuffled": lambda lib, folder: in_file(lib, folder).shuffle(seed=3),
    "a map pending": lambda lib, folder: in_file(lib, folder).map(
        lambda row: {"n": row["n"] + 100, "text": row["text"].upper()}),
    "a filter pending": lambda lib, folder: in_memory(lib, folder).filter(
        lambda row: row["n"] % 4 > 0),
    "put together": lambda lib, folder: lib.concatenate_datasets(
        [in_file(lib, folder).select(range(20)), in_memory(lib, folder).shuffle(seed=1)]),
    "no rows": lambda lib, folder: in_memory(lib, folder).select([]),
}


def outcome(lib: Any, start: str, case: Any, folder: Any) -> Any:
    """What a case makes of a dataset in one of the libraries, in plain Python; or its error."""
    np.random.seed(0)
    dataset = STARTS[start](lib, folder)
    try:
        return told(case(dataset, lib))
    except Exception as error:
        return error


def told(value: Any) -> Any:
    """A result in plain Python: rows, columns, features, format."""
    if isinstance(value, (ours.DatasetDict, theirs.DatasetDict)):
        return {str(split): told(dataset) for split, dataset in value.items()}
    if isinstance(value, (ours.Dataset, theirs.Dataset)):
        plain = value.with_format(None)
        return SimpleNamespace(
            columns=value.column_names, features=value.features.to_dict(), rows=plain[:],
            one_by_one=list(plain), shape=value.shape, split=value.split,
            format={**value.format, "columns": sorted(value.format["columns"])})
    if type(value).__name__ == "Column":
        return told(list(value))
    if isinstance(value, np.ndarray):
        return (str(value.dtype), told(value.tolist()))
    if isinstance(value, float) and value != value:
        return "nan"
    if isinstance(value, dict) and value.keys() == {"type", "format_kwargs", "columns",
                                                    "output_all_columns"}:
        return {**value, "columns": sorted(value["columns"])}
    if isinstance(value, dict):
        return {name: told(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [told(item) for item in value]
    return value


def same(one: Any, other: Any) -> None:
    """One is as the other; of errors: `except` of Python's own class catches both."""
    if isinstance(other, Exception):
        builtin = next(kind for kind in type(other).__mro__ if hasattr(builtins, kind.__name__))
        assert isinstance(one, builtin), f"{one!r}\nExpected {other!r}"
        return
    if isinstance(one, Exception):
        raise one
    assert one == other
