"""Padding and stacking rows of token ids: all rows of a column in one numpy operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from itertools import chain
from typing import TYPE_CHECKING, Any

from enfold.errors import TokenizerError
from enfold.text.plan import Pad
from enfold.text.vocabulary import to_list

if TYPE_CHECKING:  # numpy, a tenth of a second, is imported when arrays are asked for
    import numpy as np
    import numpy.typing as npt

Rows = Sequence[list[Any]]


def pad_rows(rows: Rows, fill: Any, pad: Pad | None, width: int) -> list[list[Any]]:
    """Rows as lists, those shorter than `width` filled up."""
    if pad is None:
        return list(rows)
    if pad.side == "left":
        return [[fill] * (width - len(row)) + row for row in rows]
    return [row + [fill] * (width - len(row)) for row in rows]


def matrix(rows: Rows, fill: int, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Rows as one array of ids, written where `kept` is true."""
    import numpy as np

    out = np.full(kept.shape, fill, np.int64)
    out[kept] = np.fromiter(chain.from_iterable(rows), np.int64, int(kept.sum()))
    return out


def kept_places(lengths: Sequence[int], width: int, side: str) -> npt.NDArray[np.bool_]:
    """(rows, width): where tokens go, the rest being padding."""
    import numpy as np

    places, counts = np.arange(width), np.asarray(lengths, np.int64)[:, None]
    return places < counts if side == "right" else places >= width - counts


def columns(inputs: Any, main: str) -> tuple[dict[str, Any], str | None]:
    """What `pad` was given as a dict of columns, and the kind of tensors it held ("pt", "np")."""
    if isinstance(inputs, (list, tuple)) and inputs and isinstance(inputs[0], Mapping):
        _same_keys(inputs)
        inputs = {key: [row[key] for row in inputs] for key in inputs[0]}
    if not isinstance(inputs, Mapping) or main not in inputs:
        got = ", ".join(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
        raise TokenizerError(f"pad: got {got or 'nothing'}, expected encodings "
                             f"with {main!r}. Do: tokenizer.pad({{'{main}': [[...], [...]]}})")
    first = inputs[main]
    kind = _kind(first) or (_kind(first[0]) if isinstance(first, (list, tuple)) and first else None)
    return ({key: to_list(value) for key, value in inputs.items()} if kind else dict(inputs)), kind


def _same_keys(rows: Sequence[Mapping[str, Any]]) -> None:
    for number, row in enumerate(rows):
        if row.keys() != rows[0].keys():
            raise TokenizerError(f"pad: row {number} has {', '.join(row)}, row 0 has "
                                 f"{', '.join(rows[0])}: expected the same keys in every row")


def same_count(data: Mapping[str, Any], main: str) -> None:
    """Every column must have as many rows as the main one."""
    for key, value in data.items():
        if isinstance(value, Sized) and len(value) != len(data[main]):
            raise TokenizerError(f"pad: {key!r} has {len(value)} rows, {main!r} has "
                                 f"{len(data[main])}: expected equal numbers")


def _kind(value: Any) -> str | None:
    return {"numpy": "np", "torch": "pt"}.get(type(value).__module__.partition(".")[0])


def lengths_of(rows: Iterable[Sized]) -> list[int]:
    """The length of each row."""
    return [len(row) for row in rows]
