"""Whole words of WordPiece (`un ##fold`) hidden, without offsets: the collator of 4.57."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from enfold.train.collate.base import IGNORED, Ints, as_kind, ints
from enfold.train.collate.dice import Bools, Dice, NumpyDice, TorchDice, make_generator
from enfold.train.collate.masking import DataCollatorForLanguageModeling, special_places

MOST = 512  # tokens that are chosen in a row


@dataclass
class DataCollatorForWholeWordMask(DataCollatorForLanguageModeling):
    """Chooses words until mlm_probability of the tokens of a row are chosen.

    A word is a token and the ##tokens after it; positions in `chinese_ref` of a row count as
    such.  New code had better use DataCollatorForLanguageModeling(whole_word_mask=True).
    """

    def _batch(self, features: list[Any], kind: str) -> dict[str, Any]:
        if self.seed is not None and self.generator is None:
            self.generator = make_generator(self.seed, kind)
        rows = [row if isinstance(row, Mapping) else {"input_ids": row} for row in features]
        chosen = [self._chosen(row, kind) for row in rows]
        batch, _, _ = self._padded([{"input_ids": ints(row["input_ids"])} for row in rows], kind)
        ids = np.asarray(batch["input_ids"])
        places = np.zeros(ids.shape, bool)
        left = self.tokenizer.padding_side == "left"
        for number, picked in enumerate(chosen):
            start = ids.shape[1] - len(rows[number]["input_ids"]) if left else 0
            places[number, [start + place for place in picked]] = True
        dice = TorchDice(self.generator) if kind == "pt" else _FullDice(self.generator)
        batch["labels"] = as_kind(self._hidden(ids, places, dice), kind)
        return batch

    def _hidden(self, ids: Ints, places: Bools, dice: Dice) -> Ints:
        labels, chosen = ids.copy(), places & ~special_places(ids, self.tokenizer)
        self._replace(ids, chosen, dice)
        labels[~chosen] = IGNORED
        return labels

    def _chosen(self, row: Mapping[str, Any], kind: str) -> list[int]:
        """Places of the tokens that are chosen in a row."""
        tokens = self.tokenizer.convert_ids_to_tokens(ints(row["input_ids"]))
        inside = set(ints(row.get("chinese_ref", ())))
        words: list[list[int]] = []
        for place, token in enumerate(tokens):
            if token in ("[CLS]", "[SEP]"):
                continue
            if words and (place in inside or token.startswith("##")):
                words[-1].append(place)
            else:
                words.append([place])
        wanted = min(MOST, max(1, round(len(tokens) * (self.mlm_probability or 0.0))))
        found: list[int] = []
        for word in self._shuffled(words, kind):
            if len(found) + len(word) <= wanted:
                found += word
        return found

    def _shuffled(self, words: list[list[int]], kind: str) -> list[list[int]]:
        if self.seed is None:
            random.shuffle(words)
        elif kind == "pt":
            order = torch.randperm(len(words), generator=self.generator)
            words = [words[place] for place in order.tolist()]
        else:
            self.generator.shuffle(words)
        return words


class _FullDice(NumpyDice):
    """Draws of numpy, with an id drawn for places too that need none, as 4.57 does here."""

    def ids(self, count: int, places: Bools) -> Ints:
        return super().ids(count, np.ones_like(places)).reshape(places.shape)[places]
