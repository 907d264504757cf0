"""Rows one after the other in a single row, without padding.

    rows        a b c | d e            input_ids      a b c d e
                                       position_ids   0 1 2 0 1
                                       labels         - b c - e    -: separator_id
                                       seq_idx        0 0 0 1 1
                                       cu_seq_lens    0 3 5
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from itertools import chain
from typing import Any

import numpy as np

from enfold.errors import InputError
from enfold.train.collate.base import IGNORED, Row, as_kind, check_kind, ints


@dataclass
class DataCollatorWithFlattening:
    """Rows as one row [1, total]; models keep sequences apart by their positions.

    return_position_ids: they begin again at `position_ids_start` in each sequence (2 is what
    RoBERTa needs).  separator_id: the label of each first token, which nothing predicts.
    return_flash_attn_kwargs: cu_seq_lens_q and _k (int32), max_length_q and _k.  return_seq_idx:
    the number of the sequence of each token (int32).  Raises InputError for labels that are not
    one for each token.  `DataCollatorForPacking` fills rows of a length, and masks.
    """

    return_tensors: str = "pt"
    _: KW_ONLY
    return_position_ids: bool = True
    separator_id: int = IGNORED
    return_flash_attn_kwargs: bool = False
    return_seq_idx: bool = False
    position_ids_start: int = 0

    def __call__(self, features: Sequence[Row], return_tensors: str | None = None,
                 separator_id: int | None = None) -> dict[str, Any]:
        """The batch."""
        kind = check_kind(type(self).__name__, return_tensors or self.return_tensors)
        separator = self.separator_id if separator_id is None else separator_id
        rows = [ints(row["input_ids"]) for row in features]
        lengths = [len(row) for row in rows]
        labels = rows
        if "labels" in features[0]:
            labels = [_labels(number, row["labels"], lengths[number])
                      for number, row in enumerate(features)]
        arrays = {"input_ids": _joined(rows),
                  "labels": _joined([separator, *row[1:]] for row in labels)}
        if self.return_position_ids:
            start = self.position_ids_start
            arrays["position_ids"] = _joined(range(start, start + length) for length in lengths)
        if self.return_seq_idx:
            arrays["seq_idx"] = np.repeat(np.arange(len(rows), dtype=np.int32), lengths)[None]
        found = {name: as_kind(array, kind) for name, array in arrays.items()}
        if self.return_flash_attn_kwargs:
            ends = np.cumsum([0, *lengths], dtype=np.int32)
            found |= {"cu_seq_lens_q": as_kind(ends, kind), "cu_seq_lens_k": as_kind(ends, kind),
                      "max_length_q": max(lengths), "max_length_k": max(lengths)}
        return found


def _labels(number: int, labels: Any, tokens: int) -> list[int]:
    given = np.shape(labels)
    if given != (tokens,):
        raise InputError(f"DataCollatorWithFlattening: row {number} has labels of shape {given} "
                         f"for {tokens} tokens, expected one for each. Do: DataCollatorWithPadding "
                         "for labels of whole texts")
    return ints(labels)


def _joined(rows: Any) -> Any:
    return np.fromiter(chain.from_iterable(rows), np.int64)[None]
