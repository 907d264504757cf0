"""Rows of different lengths to a batch, padded by the tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from enfold.errors import InputError
from enfold.train.collate.base import (
    IGNORED,
    KindCollator,
    Row,
    as_kind,
    check_kind,
    filled,
    split_labels,
    up_to_multiple,
)


@dataclass
class DataCollatorWithPadding:
    """Pads inputs to the longest row of the batch; `label` and `label_ids` become `labels`.

    padding: True or "longest", "max_length" (to max_length, or the most the model takes), False.
    pad_to_multiple_of: and then to a multiple of this.  return_tensors: "pt" or "np".
    """

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __call__(self, features: list[Row]) -> dict[str, Any]:
        """The batch."""
        kind = check_kind(type(self).__name__, self.return_tensors)
        batch = padded(self, features, kind)
        for name in ("label", "label_ids"):
            if name in batch:
                batch["labels"] = batch.pop(name)
        return batch


@dataclass
class DataCollatorForTokenClassification(KindCollator):
    """Pads inputs, and labels of which there is one for each token, on the same side.

    label_pad_token_id: the label of padding; -100 is what losses leave out.  The rest as in
    `DataCollatorWithPadding`.  Raises InputError for labels of words, which are fewer.
    """

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = IGNORED
    return_tensors: str = "pt"

    def _batch(self, features: list[Row], kind: str) -> dict[str, Any]:
        name, labels, rows = split_labels(features)
        for number, (label, row) in enumerate(zip(labels or (), rows, strict=False)):
            _check_aligned(number, label, row)
        batch = padded(self, rows, kind)
        if labels is not None:
            width = batch["input_ids"].shape[1]
            array = filled(labels, width, self.label_pad_token_id, self.tokenizer.padding_side,
                           "labels")
            batch[name] = as_kind(array, kind)
        return batch


@dataclass
class DataCollatorForMultipleChoice(KindCollator):
    """Rows with several choices each ([choices, T] lists) to tensors [B, choices, T]."""

    tokenizer: Any
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def _batch(self, features: list[Row], kind: str) -> dict[str, Any]:
        _, labels, rows = split_labels(features)
        counts = sorted({len(row["input_ids"]) for row in rows})
        if len(counts) > 1:
            raise InputError(f"rows of the batch have {counts[0]} to {counts[-1]} choices, "
                             "expected the same number in each")
        flat = [{name: value[choice] for name, value in row.items()}
                for row in rows for choice in range(counts[0])]
        batch = {name: value.reshape(len(rows), counts[0], -1)
                 for name, value in padded(self, flat, kind).items()}
        if labels is not None:
            batch["labels"] = as_kind(np.asarray([int(label) for label in labels]), kind)
        return batch


@dataclass
class DataCollatorForSeq2Seq:
    """Pads inputs, and labels apart from them: they have a length of their own.

    model: if it has `prepare_decoder_input_ids_from_labels`, the batch gets `decoder_input_ids`
    (which label smoothing needs).  Labels are padded with label_pad_token_id, on the tokenizer's
    side; the rest as in `DataCollatorWithPadding`.
    """

    tokenizer: Any
    model: Any = None
    padding: bool | str = True
    max_length: int | None = None
    pad_to_multiple_of: int | None = None
    label_pad_token_id: int = IGNORED
    return_tensors: str = "pt"

    def __call__(self, features: list[Row], return_tensors: str | None = None) -> dict[str, Any]:
        """The batch; its `labels` are None if the rows have none."""
        kind = check_kind(type(self).__name__, return_tensors or self.return_tensors)
        _, labels, rows = split_labels(features)
        if labels is not None and all(label is None for label in labels):
            labels = None
        batch = padded(self, rows, kind)
        batch["labels"] = None
        if labels is not None:
            array = filled(labels, self._width(labels), self.label_pad_token_id,
                           self.tokenizer.padding_side, "labels")
            batch["labels"] = as_kind(array, kind)
            prepare = getattr(self.model, "prepare_decoder_input_ids_from_labels", None)
            if prepare is not None:
                batch["decoder_input_ids"] = prepare(labels=batch["labels"])
        return batch

    def _width(self, labels: list[Any]) -> int:
        if self.padding is False or self.padding == "do_not_pad":
            lengths = sorted({len(label) for label in labels})
            if len(lengths) > 1:
                raise InputError(f"labels have lengths {lengths[0]} to {lengths[-1]}, and padding "
                                 f"is {self.padding!r}. Do: padding=True")
            return lengths[0]
        to_max = self.padding == "max_length" and self.max_length is not None
        longest = self.max_length if to_max else max(len(label) for label in labels)
        return up_to_multiple(longest or 0, self.pad_to_multiple_of)


def _check_aligned(number: int, labels: Any, row: Row) -> None:
    """Raise unless there is a label for each token, or for each that is no padding."""
    tokens, given = len(row["input_ids"]), len(labels)
    if given not in (tokens, int(sum(row.get("attention_mask", ())))):
        raise InputError(f"row {number} of the batch has {given} labels for {tokens} tokens, "
                         "expected one for each. Do: if they are labels of words, tokenize with "
                         "is_split_into_words=True and give each token that of its word, by "
                         "word_ids(), special tokens -100")


def padded(collator: Any, rows: list[Any], kind: str) -> dict[str, Any]:
    """Rows through the tokenizer's `pad`, with the options that a collator has."""
    batch: dict[str, Any] = collator.tokenizer.pad(
        rows, padding=getattr(collator, "padding", True),
        max_length=getattr(collator, "max_length", None),
        pad_to_multiple_of=collator.pad_to_multiple_of, return_tensors=kind)
    return batch
