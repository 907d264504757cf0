"""Edits of the scores before a token is chosen: the base class, forcing and forbidding tokens.

A processor maps (input_ids [B, T], scores [B, V]) to scores [B, V] and leaves its arguments as they
are.  B counts beams too; T includes the prompt, padded on the left.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from enfold.errors import GenerationError
from enfold.generate.checks import as_ids

Ids = int | Sequence[int] | Tensor
INF = -math.inf


class LogitsProcessor:
    """Derive from it and define `__call__`, or pass any function of the same arguments."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [B, V] for the next token, given the ids [B, T] so far."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(input_ids, scores)")


class LogitsProcessorList(list[Any]):
    """Processors applied one after the other."""

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        for processor in self:
            scores = processor(input_ids, scores, **kwargs)
        return scores


class MinLengthLogitsProcessor(LogitsProcessor):
    """No end before `min_length` tokens, prompt included."""

    def __init__(self, min_length: int, eos_token_id: Ids, device: Any = "cpu") -> None:
        self.min_length = min_length
        self.eos_token_id = as_ids(eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if input_ids.shape[1] >= self.min_length:
            return scores
        return forbid(scores, self.eos_token_id)


class MinNewTokensLengthLogitsProcessor(MinLengthLogitsProcessor):
    """No end before `min_new_tokens` tokens after the prompt."""

    def __init__(self, prompt_length_to_skip: int, min_new_tokens: int, eos_token_id: Ids,
                 device: Any = "cpu") -> None:
        super().__init__(prompt_length_to_skip + min_new_tokens, eos_token_id)


class ForcedBOSTokenLogitsProcessor(LogitsProcessor):
    """A given token right after the decoder's start token."""

    def __init__(self, bos_token_id: int) -> None:
        self.bos_token_id = bos_token_id

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return only(scores, (self.bos_token_id,)) if input_ids.shape[1] == 1 else scores


class ForcedEOSTokenLogitsProcessor(LogitsProcessor):
    """The end (one of several ids) where `max_length` is reached."""

    def __init__(self, max_length: int, eos_token_id: Ids, device: Any = "cpu") -> None:
        self.max_length = max_length
        self.eos_token_id = as_ids(eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        last = input_ids.shape[1] == self.max_length - 1
        return only(scores, self.eos_token_id) if last else scores


class SuppressTokensLogitsProcessor(LogitsProcessor):
    """Tokens that never appear."""

    def __init__(self, suppress_tokens: Sequence[int], device: Any = "cpu") -> None:
        self.suppress_tokens = as_ids(suppress_tokens)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return forbid(scores, self.suppress_tokens)


class SuppressTokensAtBeginLogitsProcessor(LogitsProcessor):
    """Tokens that don't appear at the position `begin_index`."""

    def __init__(self, begin_suppress_tokens: Sequence[int], begin_index: int,
                 device: Any = "cpu") -> None:
        self.begin_suppress_tokens = as_ids(begin_suppress_tokens)
        self.begin_index = begin_index

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        if input_ids.shape[1] != self.begin_index:
            return scores
        return forbid(scores, self.begin_suppress_tokens)


class PrefixConstrainedLogitsProcessor(LogitsProcessor):
    """Only the tokens that `prefix_allowed_tokens_fn(prompt_index, ids [T])` lists."""

    def __init__(self, prefix_allowed_tokens_fn: Callable[[int, Tensor], Sequence[int]],
                 num_beams: int) -> None:
        self.allowed = prefix_allowed_tokens_fn
        self.num_beams = num_beams

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        mask = torch.full_like(scores, INF)
        for row, ids in enumerate(input_ids):
            prompt = row // self.num_beams
            tokens = list(self.allowed(prompt, ids))
            if not tokens:
                raise GenerationError(
                    f"generate: prefix_allowed_tokens_fn allows no token for prompt {prompt} after "
                    f"{len(ids)} tokens. Do: return at least the end-of-sequence token")
            mask[row, tokens] = 0
        allowed = scores + mask
        # where earlier processors left no allowed token to a prompt, the constraint wins
        stuck = allowed.amax(-1).isneginf().view(-1, self.num_beams).all(-1)
        return torch.where(stuck.repeat_interleave(self.num_beams)[:, None], mask, allowed)


class ExponentialDecayLengthPenalty(LogitsProcessor):
    """The end grows likelier by `factor` per token from `start` new tokens on."""

    def __init__(self, exponential_decay_length_penalty: tuple[int, float], eos_token_id: Ids,
                 input_ids_seq_length: int) -> None:
        start, self.factor = exponential_decay_length_penalty
        self.start = start + input_ids_seq_length
        self.eos_token_id = as_ids(eos_token_id)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        late = input_ids.shape[1] - self.start
        if late <= 0:
            return scores
        ends = torch.tensor(self.eos_token_id, device=scores.device)
        bonus = scores[:, ends].abs() * (self.factor**late - 1)
        bonus = bonus.masked_fill(~scores[:, ends].isfinite(), 0.0)
        return scores.index_add(1, ends, bonus)


class InfNanRemoveLogitsProcessor(LogitsProcessor):
    """NaN becomes 0, infinities the largest numbers."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores.nan_to_num(nan=0.0)


class LogitNormalization(LogitsProcessor):
    """Scores become log-probabilities."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores.log_softmax(-1)


def forbid(scores: Tensor, tokens: Sequence[int]) -> Tensor:
    """`scores` with -inf at `tokens`; ids that the head doesn't have are passed over."""
    scores = scores.clone()
    scores[:, [token for token in tokens if token < scores.shape[1]]] = INF
    return scores


def only(scores: Tensor, tokens: Sequence[int]) -> Tensor:
    """0 at `tokens`, -inf elsewhere."""
    forced = torch.full_like(scores, INF)
    forced[:, list(tokens)] = 0
    return forced
