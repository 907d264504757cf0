"""Language modeling: some tokens hidden and to be found (BERT), or each next token.

Of the tokens that are chosen, mask_replace_prob become [MASK], random_replace_prob any token, and
the rest stay as they are (Devlin et al., https://arxiv.org/abs/1810.04805).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from enfold.errors import ConfigError, InputError
from enfold.train.collate.base import IGNORED, Ints, KindCollator, as_kind, stacked
from enfold.train.collate.dice import Bools, Dice, NumpyDice, TorchDice, make_generator
from enfold.train.collate.padding import padded
from enfold.train.collate.words import word_numbers, word_starts

_log = getLogger(__name__)


@dataclass
class DataCollatorForLanguageModeling(KindCollator):
    """Pads rows (dicts, or just ids) and makes labels: -100 where there is nothing to predict.

    mlm: hide tokens, which become the labels; else the labels are the inputs without padding.
    mlm_probability: the chance of a token, or with whole_word_mask of a word, to be chosen.
    whole_word_mask: needs `offset_mapping` in the rows (tokenizer(...,
    return_offsets_mapping=True)); chosen words are all [MASK].  special_tokens_mask in the rows
    saves finding special tokens again.  seed: of the draws; None for the global generators.
    """

    tokenizer: Any
    mlm: bool = True
    whole_word_mask: bool = False
    mlm_probability: float | None = 0.15
    mask_replace_prob: float = 0.8
    random_replace_prob: float = 0.1
    pad_to_multiple_of: int | None = None
    return_tensors: str = "pt"
    seed: int | None = None
    generator: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self._check()
        if self.whole_word_mask and self.mask_replace_prob < 1:
            _log.warning("whole_word_mask: chosen words are all masked; mask_replace_prob is 1 and "
                         "random_replace_prob 0 now")
            self.mask_replace_prob, self.random_replace_prob = 1.0, 0.0
        pad = self.tokenizer.pad_token_id
        if not self.mlm and pad is not None and pad == self.tokenizer.eos_token_id:
            _log.warning("pad_token is eos_token, and padding has no label: the model does not "
                         "learn where texts end. Do: tokenizer.add_special_tokens({'pad_token': "
                         "'<pad>'}) and model.resize_token_embeddings(len(tokenizer))")

    def _check(self) -> None:
        if self.mlm and self.tokenizer.mask_token is None:
            raise ConfigError("masked language modeling needs a mask token, and the tokenizer has "
                              "none. Do: mlm=False for causal language modeling")
        if self.whole_word_mask and not self.mlm:
            raise ConfigError("whole_word_mask=True hides words, but mlm is False. Do: mlm=True")
        names = ("mlm_probability",) if self.mlm else ()
        for name in (*names, "mask_replace_prob", "random_replace_prob"):
            value = getattr(self, name)
            if value is None or not 0 <= value <= 1:
                raise ConfigError(f"{name} is {value}, expected a number from 0 to 1")
            setattr(self, name, float(value))
        if self.mask_replace_prob + self.random_replace_prob > 1:
            raise ConfigError(f"mask_replace_prob {self.mask_replace_prob} and random_replace_prob "
                              f"{self.random_replace_prob} are parts of the chosen tokens, "
                              "expected a sum of at most 1")

    def torch_mask_tokens(self, inputs: torch.Tensor, special_tokens_mask: Any = None,
                          offset_mapping: Any = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids [B, T] with tokens hidden, in place, and their labels; special tokens stay."""
        labels = self._mask(inputs.numpy(), special_tokens_mask, offset_mapping,
                            TorchDice(self.generator))
        return inputs, torch.from_numpy(labels)

    def numpy_mask_tokens(self, inputs: Ints, special_tokens_mask: Any = None,
                          offset_mapping: Any = None) -> tuple[Ints, Ints]:
        """Ids [B, T] with tokens hidden, in place, and their labels; special tokens stay."""
        return inputs, self._mask(inputs, special_tokens_mask, offset_mapping,
                                  NumpyDice(self.generator))

    def _batch(self, features: list[Any], kind: str) -> dict[str, Any]:
        if self.seed is not None and self.generator is None:
            self.generator = make_generator(self.seed, kind)
        batch, special, offsets = self._padded(features, kind)
        if self.mlm:
            mask = self.torch_mask_tokens if kind == "pt" else self.numpy_mask_tokens
            batch["input_ids"], batch["labels"] = mask(
                batch["input_ids"], special_tokens_mask=special, offset_mapping=offsets)
            return batch
        labels = np.asarray(batch["input_ids"]).copy()
        if self.tokenizer.pad_token_id is not None:
            labels[labels == self.tokenizer.pad_token_id] = IGNORED
        batch["labels"] = as_kind(labels, kind)
        return batch

    def _padded(self, features: list[Any], kind: str) -> tuple[dict[str, Any], Any, Any]:
        """The batch, and from it the mask of special tokens and the offsets, if there are."""
        if not isinstance(features[0], Mapping):
            ids = stacked(features, self.tokenizer, self.pad_to_multiple_of)
            return {"input_ids": as_kind(ids, kind)}, None, None
        rows = [{name: value for name, value in row.items() if name != "offset_mapping"}
                for row in features]
        batch = padded(self, rows, kind)
        offsets = None
        if self.whole_word_mask and "offset_mapping" in features[0]:
            offsets = _offsets([row["offset_mapping"] for row in features],
                               batch["input_ids"].shape[1], self.tokenizer.padding_side)
        return batch, batch.pop("special_tokens_mask", None), offsets

    def _mask(self, ids: Ints, special: Any, offsets: Any, dice: Dice) -> Ints:
        """Hide tokens in `ids`; returns the labels."""
        special = special_places(ids, self.tokenizer) if special is None else _bools(special)
        labels, probability = ids.copy(), self.mlm_probability or 0.0
        if self.whole_word_mask:
            if offsets is None:
                raise InputError("whole_word_mask needs to know where words begin, and the rows "
                                 "have no offset_mapping. Do: tokenizer(..., "
                                 "return_offsets_mapping=True), and remove_unused_columns=False")
            starts = word_starts(np.asarray(offsets), special)
            chosen = dice.coins(np.where(starts, probability, 0.0), ids.shape)
            chosen = _spread(chosen, word_numbers(starts), special)
        else:
            chosen = dice.coins(np.where(special, 0.0, probability), ids.shape)
        self._replace(ids, chosen, dice)
        labels[~chosen] = IGNORED
        return labels

    def _replace(self, ids: Ints, chosen: Bools, dice: Dice) -> None:
        masked = dice.coins(self.mask_replace_prob, ids.shape) & chosen
        ids[masked] = self.tokenizer.mask_token_id
        if self.mask_replace_prob == 1 or self.random_replace_prob == 0:
            return
        share = self.random_replace_prob / (1 - self.mask_replace_prob)
        places = dice.coins(share, ids.shape) & chosen & ~masked
        ids[places] = dice.ids(len(self.tokenizer), places)


def special_places(ids: Ints, tokenizer: Any) -> Bools:
    """Where ids are of special tokens, padding among them."""
    return np.isin(ids, np.asarray(tokenizer.all_special_ids, np.int64))


def _bools(mask: Any) -> Bools:
    return np.asarray(mask).astype(bool)


def _offsets(rows: list[Any], width: int, side: str) -> npt.NDArray[np.int64]:
    """Offsets [B, T, 2], zeros where padding is."""
    out = np.zeros((len(rows), width, 2), np.int64)
    for number, row in enumerate(rows):
        place = slice(0, len(row)) if side == "right" else slice(width - len(row), width)
        out[number, place] = np.asarray(row)
    return out


def _spread(chosen: Bools, numbers: Ints, special: Bools) -> Bools:
    """All tokens of a word whose first token is chosen."""
    picked = np.zeros((len(numbers), int(numbers.max(initial=0)) + 1), bool)
    rows, columns = np.nonzero(chosen)
    picked[rows, numbers[rows, columns]] = True
    return np.take_along_axis(picked, numbers, 1) & ~special
