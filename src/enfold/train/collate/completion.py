"""Labels for answers only: what comes before the answer is read, not learned.

    ids      <s> ### Question : hi ### Answer : hello </s>     response_template "### Answer :"
    labels    -   -     -     -  -  -    -    - hello </s>     -: -100
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from enfold.errors import ConfigError, InputError
from enfold.train.collate.base import IGNORED, Ints, as_kind
from enfold.train.collate.masking import DataCollatorForLanguageModeling
from enfold.train.collate.packing import DataCollatorForPacking


@dataclass(init=False)
class DataCollatorForCompletionOnlyLM(DataCollatorForLanguageModeling):
    """Causal language modeling whose labels begin after the response template.

    response_template: text or ids; without instruction_template the answer is what follows its
    last occurrence.  instruction_template: begins a turn that is not learned, in conversations of
    several turns: what is between a response template and the next instruction is learned.
    padding_free: rows packed into one (see `DataCollatorForPacking`).  Raises InputError for a row
    without the template, or with nothing after it, since nothing could be learned of it.
    """

    _: KW_ONLY
    ignore_index: int = IGNORED
    padding_free: bool = False

    def __init__(self, response_template: str | Sequence[int],
                 instruction_template: str | Sequence[int] | None = None, *args: Any,
                 tokenizer: Any = None, mlm: bool = False, ignore_index: int = IGNORED,
                 padding_free: bool = False, **kwargs: Any) -> None:
        if mlm:
            raise ConfigError("DataCollatorForCompletionOnlyLM: mlm is True, expected False: "
                              "answers are learned token by token")
        if args:  # trl's order: the tokenizer is the first of the parent's arguments
            tokenizer, *args = args  # type: ignore[assignment]
        super().__init__(tokenizer, False, *args, **kwargs)
        self.response_template = response_template
        self.instruction_template = instruction_template
        self.ignore_index, self.padding_free = ignore_index, padding_free
        self.response_token_ids = self._ids("response_template", response_template)
        self.instruction_token_ids = None if instruction_template is None else self._ids(
            "instruction_template", instruction_template)

    def _batch(self, features: list[Any], kind: str) -> dict[str, Any]:
        batch = super()._batch(features, kind)
        ids, labels = np.asarray(batch["input_ids"]), np.asarray(batch["labels"]).copy()
        for row in range(len(ids)):
            learned = self._learned(row, ids[row])
            labels[row, ~learned] = IGNORED
            if not (labels[row] != IGNORED).any():
                raise InputError(f"row {row} of the batch has nothing after the response template "
                                 f"{self.response_template!r}. Do: remove such rows, or truncate "
                                 "less")
        if self.padding_free:
            return self._packed(ids, labels, np.asarray(batch["attention_mask"]), kind)
        labels[labels == IGNORED] = self.ignore_index
        batch["labels"] = as_kind(labels, kind)
        return batch

    def _learned(self, row: int, ids: Ints) -> npt.NDArray[np.bool_]:
        """Where the answers of a row are."""
        ends = occurrences(ids, self.response_token_ids) + len(self.response_token_ids)
        if not len(ends):
            raise self._absent(row, ids, "response_template", self.response_template)
        places, asks = np.arange(len(ids)), self._asks(row, ids)
        begun = _latest(ends[-1:] if self.instruction_token_ids is None else ends, places)
        learned: npt.NDArray[np.bool_] = (begun >= 0) & (begun > _latest(asks, places))
        return learned

    def _asks(self, row: int, ids: Ints) -> Ints:
        """Where instructions begin."""
        if self.instruction_token_ids is None:
            return np.empty(0, np.int64)
        asks = occurrences(ids, self.instruction_token_ids)
        if not len(asks):
            raise self._absent(row, ids, "instruction_template", self.instruction_template)
        return asks

    def _ids(self, name: str, template: str | Sequence[int]) -> list[int]:
        ids = (self.tokenizer.encode(template, add_special_tokens=False)
               if isinstance(template, str) else list(template))
        if not ids:
            raise ConfigError(f"{name} is {template!r}, which has no tokens, expected what stands "
                              "before each answer")
        return ids

    def _absent(self, row: int, ids: Ints, name: str, template: Any) -> InputError:
        wanted = self._ids(name, template)
        return InputError(
            f"row {row} of the batch has no {name} {template!r} (ids {wanted}): nothing of it "
            f"would be learned. It begins {self.tokenizer.decode(ids[:40].tolist())!r}. Do: if the "
            "text is there, its tokens differ in context: give their ids instead of text, such as "
            "tokenizer.encode('\\n' + template, add_special_tokens=False)[1:]; or truncate less")

    def _packed(self, ids: Ints, labels: Ints, mask: Ints, kind: str) -> dict[str, Any]:
        pack = DataCollatorForPacking(causal=True, return_tensors=kind)
        kept = mask.astype(bool)
        batch = pack([{"input_ids": ids[row, kept[row]], "labels": labels[row, kept[row]]}
                      for row in range(len(ids))])
        batch["labels"][batch["labels"] == IGNORED] = self.ignore_index
        return batch


def occurrences(ids: Ints, wanted: Sequence[int]) -> Ints:
    """Places where a sequence of ids begins."""
    if len(wanted) > len(ids):
        return np.empty(0, np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(ids, len(wanted))
    return np.flatnonzero((windows == np.asarray(wanted)).all(1))


def _latest(marks: Ints, places: Ints) -> Ints:
    """For each place, the last mark at or before it, or -1."""
    if not len(marks):
        return np.full(len(places), -1)
    index = np.searchsorted(marks, places, side="right") - 1
    return np.where(index >= 0, marks[np.maximum(index, 0)], -1)
