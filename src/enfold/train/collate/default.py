"""Rows of equal shapes to a batch, without a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from enfold.errors import InputError
from enfold.train.collate.base import check_kind


def default_data_collator(features: Sequence[Any], return_tensors: str = "pt") -> dict[str, Any]:
    """Rows (mappings, or objects with attributes) with equal shapes as a batch.

    `label` (a number a row) and `label_ids` (numbers of a row) become `labels`, integers as int64
    and the rest as float32; texts and what is None in the first row are left out.  Raises
    InputError if rows differ in shape.
    """
    kind = check_kind("default_data_collator", return_tensors)
    rows = [row if isinstance(row, Mapping) else vars(row) for row in features]
    first = rows[0]
    batch = {}
    if first.get("label") is not None:
        batch["labels"] = _labels(rows, "label", kind)
    elif first.get("label_ids") is not None:
        batch["labels"] = _labels(rows, "label_ids", kind)
    for name, value in first.items():
        if name not in ("label", "label_ids") and value is not None and not isinstance(value, str):
            batch[name] = _stack(rows, name, kind)
    return batch


@dataclass
class DefaultDataCollator:
    """`default_data_collator` as an object.  return_tensors: "pt" or "np"."""

    return_tensors: str = "pt"

    def __call__(self, features: Sequence[Any], return_tensors: str | None = None
                 ) -> dict[str, Any]:
        """The batch."""
        return default_data_collator(features, return_tensors or self.return_tensors)


def _labels(rows: Sequence[Mapping[str, Any]], name: str, kind: str) -> Any:
    values = [row[name] for row in rows]
    first = values[0]
    if hasattr(first, "shape") and name == "label_ids":
        return _stack(rows, name, kind)
    sample = first.item() if hasattr(first, "item") else first if name == "label" else first[0]
    whole = isinstance(sample, (int, np.integer))
    try:
        if kind == "pt":
            return torch.tensor(values, dtype=torch.long if whole else torch.float)
        return np.array(values, dtype=np.int64 if whole else np.float32)
    except (ValueError, TypeError) as error:
        raise _ragged(values, name) from error


def _stack(rows: Sequence[Mapping[str, Any]], name: str, kind: str) -> Any:
    values = [row[name] for row in rows]
    first = values[0]
    try:
        if kind == "np":
            return np.stack(values) if isinstance(first, np.ndarray) else np.array(values)
        if isinstance(first, torch.Tensor):
            return torch.stack(values)
        if isinstance(first, np.ndarray):
            return torch.from_numpy(np.stack(values))
        return torch.tensor(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise _ragged(values, name) from error


def _ragged(values: Sequence[Any], name: str) -> InputError:
    sizes = sorted({len(value) for value in values if hasattr(value, "__len__")})
    if len(sizes) > 1:
        return InputError(f"rows of the batch have {name!r} of lengths {sizes[0]} to {sizes[-1]}, "
                          "expected equal ones. Do: data_collator=DataCollatorWithPadding("
                          "tokenizer), or pad when tokenizing")
    return InputError(f"{name!r} can't be put in an array: got {values[0]!r} in the first row, "
                      "expected numbers, the same in shape in every row. Do: leave the column out "
                      "(remove_unused_columns=True does)")
