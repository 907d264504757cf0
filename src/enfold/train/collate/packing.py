"""Rows packed into few long ones without padding, each seeing itself alone.

    rows  a b c | d e | f      input_ids  a b c d e     position_ids  0 1 2 0 1     f goes to a
                                                                                    second row
    attention_mask (causal)    a  x . . . .
                               b  x x . . .       block by block: nothing of a sequence is seen
                               c  x x x . .       from another, and the loss is that of the rows
                               d  . . . x .       in a padded batch
                               e  . . . x x
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from enfold.errors import InputError
from enfold.train.collate.base import IGNORED, Row, as_kind, check_kind, ints, up_to_multiple

LEFT_OUT = ("attention_mask", "position_ids", "special_tokens_mask")  # made anew, or of no use
PER_TOKEN = ("input_ids", "labels", "token_type_ids")


@dataclass
class DataCollatorForPacking:
    """Rows in as few rows of at most max_length tokens as best fit finds, kept apart by a mask.

    model: tells causal, shift, window and position_ids_start where they are None.  max_length: None
    packs the batch into one row.  causal (True): a token sees those before it, else its whole
    sequence.  shift (as causal): the loss compares a token with the next label; then the first
    label of each sequence is -100, and without labels the inputs are the labels.  window: a token
    sees so many at most.  position_ids_start: the first position of a sequence.  pad_token_id:
    what the shorter rows are filled with.

    The batch has input_ids, position_ids [N, T], attention_mask [N, 1, T, T] (bool), labels and
    token_type_ids if the rows have them.  Raises InputError for a row that is longer than
    max_length, for labels that are not one for each token, and for models that need more than a
    mask (encoder-decoders, heads that look at the first or last token).
    """

    model: Any = None
    max_length: int | None = None
    causal: bool | None = None
    shift: bool | None = None
    window: int | None = None
    position_ids_start: int | None = None
    pad_token_id: int = 0
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"

    def __post_init__(self) -> None:
        check_kind(type(self).__name__, self.return_tensors)
        told = traits(self.model) if self.model is not None else {}
        for name, value in told.items():
            if getattr(self, name) is None:
                setattr(self, name, value)
        self.causal = True if self.causal is None else self.causal
        self.shift = self.causal if self.shift is None else self.shift
        self.position_ids_start = self.position_ids_start or 0

    def __call__(self, features: Sequence[Row]) -> dict[str, Any]:
        """The batch."""
        rows = [self._row(number, row) for number, row in enumerate(features)]
        lengths = [len(row["input_ids"]) for row in rows]
        bins = pack(lengths, self.max_length)
        width = max(sum(lengths[number] for number in held) for held in bins)
        width = up_to_multiple(width, self.pad_to_multiple_of)
        fills = {"input_ids": self.pad_token_id, "labels": IGNORED, "token_type_ids": 0}
        arrays: dict[str, npt.NDArray[Any]] = {
            name: _laid(([rows[number][name] for number in held] for held in bins),
                        (len(bins), width), fills[name])
            for name in rows[0]}
        sizes = [[lengths[number] for number in held] for held in bins]
        start = self.position_ids_start or 0
        arrays["position_ids"] = _laid(
            ([np.arange(start, start + size) for size in held] for held in sizes),
            (len(bins), width), start)
        sequences = _laid(([np.full(size, number) for number, size in enumerate(held)]
                           for held in sizes), (len(bins), width), -1)
        arrays["attention_mask"] = block_mask(sequences, bool(self.causal), self.window)
        return {name: as_kind(array, self.return_tensors) for name, array in arrays.items()}

    def _row(self, number: int, row: Row) -> dict[str, list[int]]:
        found = {name: ints(value) for name, value in row.items()
                 if name in PER_TOKEN and value is not None}
        strange = [name for name in row if name not in (*PER_TOKEN, *LEFT_OUT)]
        if strange:
            raise InputError(f"DataCollatorForPacking: row {number} has {strange[0]!r}, which is "
                             f"not known to be a number for each token; expected {PER_TOKEN}. Do: "
                             "remove the column")
        length = len(found["input_ids"])
        if self.max_length is not None and length > self.max_length:
            raise InputError(f"DataCollatorForPacking: row {number} has {length} tokens, expected "
                             f"at most max_length={self.max_length}. Do: truncate when tokenizing")
        for name, value in found.items():
            if len(value) != length:
                raise InputError(f"DataCollatorForPacking: row {number} has {len(value)} {name} "
                                 f"for {length} tokens, expected one for each")
        if self.shift:
            found["labels"] = [IGNORED, *found.get("labels", found["input_ids"])[1:]]
        return found


def pack(lengths: Sequence[int], limit: int | None) -> list[list[int]]:
    """Row numbers in groups of at most `limit` tokens: long rows first, each where least is left.

    Groups and the rows in them are in the order of their first rows, so that it is the same for
    the same lengths.
    """
    if limit is None:
        return [list(range(len(lengths)))]
    room: list[list[int]] = [[] for _ in range(limit + 1)]  # by tokens left: groups, as a heap
    groups: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        need = lengths[row]
        left = next((size for size in range(need, limit + 1) if room[size]), None)
        if left is None:
            groups.append([])
            left, group = limit, len(groups) - 1
        else:
            group = heapq.heappop(room[left])
        groups[group].append(row)
        heapq.heappush(room[left - need], group)
    return sorted(sorted(group) for group in groups)


def block_mask(sequences: npt.NDArray[np.int64], causal: bool,
               window: int | None = None) -> npt.NDArray[np.bool_]:
    """Who sees whom, [N, 1, T, T], for the number of the sequence of each token [N, T].

    Tokens of sequence -1, which are padding, see padding alone.
    """
    seen: npt.NDArray[np.bool_] = sequences[:, :, None] == sequences[:, None, :]
    places = np.arange(sequences.shape[1])
    distance = places[:, None] - places[None, :]
    if causal:
        seen = seen & (distance >= 0)
    if window is not None:
        seen = seen & (np.abs(distance) < window)
    return seen[:, None]


def traits(model: Any) -> dict[str, Any]:
    """causal, shift, window and position_ids_start of one of our models.  Raises InputError."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    name = type(base).__name__
    body: Any = getattr(base, "body", None)
    if getattr(base.config, "is_encoder_decoder", False):
        raise InputError(f"DataCollatorForPacking: {name} is an encoder-decoder, expected one "
                         "stack. Do: DataCollatorForSeq2Seq, and group_by_length=True")
    if not hasattr(body, "attentions"):
        raise InputError(f"DataCollatorForPacking: nothing is known of a {name}, expected a model "
                         "of enfold. Do: leave model out, and give causal=, window= and "
                         "position_ids_start=")
    head = type(base.head.spec).__name__
    if head not in ("CausalLM", "MaskedLM", "TokenClassifier", "Base"):
        raise InputError(f"DataCollatorForPacking: {name} has one answer for a text, expected one "
                         "for each token. Do: DataCollatorWithPadding, and group_by_length=True")
    specs = body.attentions()
    windows = {spec.window for spec in specs}
    if len(windows) > 1:
        raise InputError(f"DataCollatorForPacking: the layers of {name} see differently far "
                         f"({sorted(map(str, windows))}), expected one mask for all. Do: "
                         "DataCollatorWithPadding, and group_by_length=True")
    pad = getattr(body.spec.embed.position, "pad", None)
    return {"causal": specs[0].causal, "window": specs[0].window,
            "shift": getattr(base.head.spec, "shift", False),
            "position_ids_start": 0 if pad is None else pad + 1}


def _laid(rows: Iterable[Sequence[Any]], shape: tuple[int, int], fill: int
          ) -> npt.NDArray[np.int64]:
    """Parts of each row one after the other, then filled up."""
    out = np.full(shape, fill, np.int64)
    for number, parts in enumerate(rows):
        joined = np.concatenate([np.asarray(part, np.int64) for part in parts])
        out[number, :len(joined)] = joined
    return out
