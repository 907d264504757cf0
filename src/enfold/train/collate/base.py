"""What collators share: the kind of arrays, labels beside the rows, filled rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from enfold.errors import InputError
from enfold.text.pad import kept_places, lengths_of, matrix

Row = Mapping[str, Any]
Ints = npt.NDArray[np.int64]
IGNORED = -100


class DataCollatorMixin:
    """A collator with one method for each kind of arrays: torch_call, numpy_call."""

    return_tensors: str = "pt"

    def __call__(self, features: list[Any], return_tensors: str | None = None) -> dict[str, Any]:
        """The batch; return_tensors: "pt" or "np", else as the collator was made."""
        kind = check_kind(type(self).__name__, return_tensors or self.return_tensors)
        return self.torch_call(features) if kind == "pt" else self.numpy_call(features)

    def torch_call(self, features: list[Any]) -> dict[str, Any]:
        """The batch as torch tensors."""
        raise NotImplementedError(f"{type(self).__name__} makes no torch tensors. Do: write its "
                                  "torch_call(features)")

    def numpy_call(self, features: list[Any]) -> dict[str, Any]:
        """The batch as numpy arrays."""
        raise NotImplementedError(f"{type(self).__name__} makes no numpy arrays. Do: "
                                  "return_tensors='pt', or write its numpy_call(features)")


class KindCollator(DataCollatorMixin):
    """A collator with one method for both kinds of arrays: `_batch(features, kind)`."""

    def torch_call(self, features: list[Any]) -> dict[str, Any]:
        return self._batch(features, "pt")

    def numpy_call(self, features: list[Any]) -> dict[str, Any]:
        return self._batch(features, "np")

    def _batch(self, features: list[Any], kind: str) -> dict[str, Any]:
        """The batch as arrays of a kind, "pt" or "np"; a subclass says how."""
        raise NotImplementedError


def check_kind(name: str, kind: str) -> str:
    """"pt" or "np"."""
    if kind not in ("pt", "np"):
        raise InputError(f"{name}: return_tensors is {kind!r}, expected 'pt' (torch) or 'np' "
                         "(numpy)")
    return kind


def as_kind(array: npt.NDArray[Any], kind: str) -> Any:
    """An array as such, or as a tensor of the same memory."""
    return torch.from_numpy(array) if kind == "pt" else array


def split_labels(rows: Sequence[Row]) -> tuple[str, list[Any] | None, list[dict[str, Any]]]:
    """The name of the labels ("label" or "labels"), the labels if there are, rows without them."""
    name = "label" if "label" in rows[0] else "labels"
    labels = [row[name] for row in rows] if name in rows[0] else None
    return name, labels, [{key: value for key, value in row.items() if key != name} for row in rows]


def ints(row: Any) -> list[int]:
    """Ids of a row as a list, whatever holds them."""
    return row.tolist() if hasattr(row, "tolist") else list(row)


def filled(rows: Sequence[Any], width: int, fill: int, side: str, what: str) -> Ints:
    """Rows of ids as one array [rows, width], filled up on the right or left."""
    lists = [ints(row) for row in rows]
    lengths = lengths_of(lists)
    for number, length in enumerate(lengths):
        if length > width:
            raise InputError(f"row {number} of the batch has {length} {what}, expected at most "
                             f"{width}. Do: truncate them with the inputs, or give max_length")
    return matrix(lists, fill, kept_places(lengths, width, side))


def up_to_multiple(length: int, multiple: int | None) -> int:
    """The next multiple from `length` on."""
    return -(-length // multiple) * multiple if multiple else length


def stacked(rows: Sequence[Any], tokenizer: Any, multiple: int | None) -> Ints:
    """Rows of ids that come without names, filled with the tokenizer's padding where needed."""
    lists = [ints(row) for row in rows]
    longest, shortest = max(lengths_of(lists)), min(lengths_of(lists))
    width = up_to_multiple(longest, multiple)
    if shortest == width:
        return np.asarray(lists, np.int64)
    if tokenizer.pad_token is None:
        raise InputError(f"the rows have {shortest} to {longest} ids, and the tokenizer has no "
                         "pad_token to make them equal. Do: tokenizer.pad_token = "
                         "tokenizer.eos_token")
    return filled(lists, width, tokenizer.pad_token_id, tokenizer.padding_side, "ids")
