"""The classes of a dataset's labels."""

from __future__ import annotations

from typing import Any

from enfold.data import ClassLabel
from enfold.errors import DataError


def classes(dataset: Any, column: str) -> tuple[list[str] | None, int, dict[str, int] | None]:
    """(names if there are any, how many outputs, name -> number if the column holds the names).

    Names come from a ClassLabel or from the values of a column of text, sorted; whole numbers have
    none; one output and no names mean regression.
    """
    kind = getattr(dataset.features[column], "feature", dataset.features[column])
    if isinstance(kind, ClassLabel):
        return list(kind.names), len(kind.names), None
    found: set[Any] = set()
    for value in dataset[column]:
        found.update(value if isinstance(value, list) else [value])
    kinds = {type(value) for value in found}
    if kinds == {str}:
        names = sorted(found)
        return names, len(names), {name: number for number, name in enumerate(names)}
    if kinds == {float}:
        return None, 1, None
    if kinds <= {int, bool} and found and min(found) >= 0:
        return None, max(max(found) + 1, 2), None
    shown = ", ".join(sorted(kind.__name__ for kind in kinds)) or "nothing"
    raise DataError(f"the label column {column!r} holds {shown}, expected names, whole numbers "
                    "from 0 on, or decimal numbers (regression), and a value in every row. Do: "
                    "name another column, or mend the rows")


def settings_of(names: list[str] | None, count: int, config: Any) -> dict[str, Any]:
    """What the model's config has to say of the classes; its own order of names is kept."""
    if names is None:
        return {"num_labels": count}
    own = getattr(config, "label2id", None) or {}
    if set(own) == set(names):
        return {}
    return {"id2label": dict(enumerate(names)),
            "label2id": {name: number for number, name in enumerate(names)}}
