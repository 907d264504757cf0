"""Edits of the scores by what was written: repetition, n-grams, biased and bad sequences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from enfold.errors import GenerationError
from enfold.generate.checks import as_ids
from enfold.generate.processors import INF, Ids, LogitsProcessor

Biases = Mapping[tuple[int, ...], float] | Sequence[Sequence[Any]]


class RepetitionPenaltyLogitsProcessor(LogitsProcessor):
    """Tokens seen before become less likely: positive scores / penalty, negative ones * penalty.

    `prompt_ignore_length`: leading ids that don't count, one number or one per row [B] (the
    padding). https://arxiv.org/abs/1909.05858
    """

    def __init__(self, penalty: float, prompt_ignore_length: int | Tensor | None = None) -> None:
        self.penalty = penalty
        self.ignored = prompt_ignore_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if isinstance(self.ignored, int):
            input_ids = input_ids[:, self.ignored :]
        elif self.ignored is not None:
            column = torch.arange(input_ids.shape[1], device=input_ids.device)
            beyond = column < self.ignored.to(input_ids.device)[:, None]
            input_ids = input_ids.masked_fill(beyond, scores.shape[1])
        return penalized(scores, input_ids, self.penalty)


class EncoderRepetitionPenaltyLogitsProcessor(LogitsProcessor):
    """Tokens of the encoder's input (or the prompt) become likelier."""

    def __init__(self, penalty: float, encoder_input_ids: Tensor) -> None:
        self.penalty = 1 / penalty
        self.encoder_input_ids = encoder_input_ids

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        copies = scores.shape[0] // self.encoder_input_ids.shape[0]
        return penalized(scores, self.encoder_input_ids.repeat_interleave(copies, 0), self.penalty)


class NoRepeatNGramLogitsProcessor(LogitsProcessor):
    """No n-gram of `ngram_size` tokens twice.  https://arxiv.org/abs/1705.04304"""

    def __init__(self, ngram_size: int) -> None:
        self.size = ngram_size

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return without_ngrams(scores, input_ids, input_ids, self.size)


class EncoderNoRepeatNGramLogitsProcessor(LogitsProcessor):
    """No n-gram of the encoder's input."""

    def __init__(self, encoder_ngram_size: int, encoder_input_ids: Tensor) -> None:
        self.size = encoder_ngram_size
        self.source = encoder_input_ids.view(-1, encoder_input_ids.shape[-1])

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        source = self.source.repeat_interleave(scores.shape[0] // self.source.shape[0], 0)
        return without_ngrams(scores, source, input_ids, self.size)


class SequenceBiasLogitsProcessor(LogitsProcessor):
    """A number added to the last token of a sequence where the tokens before it were just written.

    `sequence_bias`: {(id, ...): bias}, or [[[id, ...], bias], ...] as JSON has it.
    """

    def __init__(self, sequence_bias: Biases) -> None:
        pairs = sequence_bias.items() if isinstance(sequence_bias, Mapping) else sequence_bias
        self.groups: dict[int, list[tuple[tuple[int, ...], float]]] = defaultdict(list)
        for ids, bias in pairs:
            self.groups[len(ids) - 1].append((tuple(ids), float(bias)))
        self.tables: list[tuple[Tensor, Tensor, Tensor]] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if not self.tables:
            self._prepare(scores)
        total = torch.zeros_like(scores)
        for before, last, bias in self.tables:
            length = before.shape[1]
            if length > input_ids.shape[1]:
                continue
            tail = input_ids[:, input_ids.shape[1] - length :]
            hit = (tail[:, None] == before).all(-1)  # [B, sequences]
            total.index_add_(1, last, torch.where(hit, bias, 0.0).to(total.dtype))
        return scores + total

    def _prepare(self, scores: Tensor) -> None:
        """One table per length: the tokens before [N, L], the last one [N], its bias [N]."""
        for length, group in sorted(self.groups.items()):
            beyond = [ids for ids, _ in group if max(ids) >= scores.shape[1]]
            if beyond:
                raise GenerationError(
                    f"generate: bad_words_ids or sequence_bias name {beyond[0]}, expected ids "
                    f"below {scores.shape[1]}, the vocabulary. Do: encode them with the model's "
                    "tokenizer"
                )
            ids = torch.tensor([ids for ids, _ in group], device=scores.device)
            bias = torch.tensor([bias for _, bias in group], device=scores.device)
            self.tables.append((ids[:, :length], ids[:, length], bias))


class NoBadWordsLogitsProcessor(SequenceBiasLogitsProcessor):
    """Sequences that don't appear; an end-of-sequence id alone is not forbidden."""

    def __init__(self, bad_words_ids: Sequence[Sequence[int]],
                 eos_token_id: Ids | None = None) -> None:
        ends = as_ids(eos_token_id)
        super().__init__({tuple(ids): INF for ids in bad_words_ids
                          if len(ids) > 1 or ids[0] not in ends})


def penalized(scores: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """`scores` with those at `ids` [B, N] moved down; ids past the head don't count."""
    size = scores.shape[1]
    ids, room = ids.clamp(max=size), pad(scores, (0, 1))  # the spare column takes the others
    found = room.gather(1, ids)
    found = torch.where(found < 0, found * penalty, found / penalty)
    return room.scatter(1, ids, found)[:, :size]


def without_ngrams(scores: Tensor, source: Tensor, written: Tensor, size: int) -> Tensor:
    """-inf where a token after `written` [B, T] would complete an n-gram of `source` [B, S]."""
    if source.shape[1] < size or written.shape[1] < size - 1:
        return scores
    windows = source.unfold(1, size, 1)  # [B, S - size + 1, size]
    tail = written[:, written.shape[1] - size + 1 :]
    match = (windows[..., :-1] == tail[:, None]).all(-1)
    vocab = scores.shape[1]
    last = torch.where(match, windows[..., -1].clamp(max=vocab), vocab)
    banned = scores.new_zeros(scores.shape[0], vocab + 1, dtype=torch.bool).scatter_(1, last, True)
    return scores.masked_fill(banned[:, :vocab], INF)
