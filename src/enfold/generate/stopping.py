"""When a row is finished: an end token, the length, or a criterion of the caller's.

A criterion maps (input_ids [B, T], scores) to a boolean [B], or to one bool for all rows; `scores`
is the tuple of all steps' scores if output_scores is on, None otherwise.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from enfold.errors import GenerationError
from enfold.generate.checks import as_ids

SPARE = 4  # tokens decoded before a stop string: a tokenizer may drop the first one's space


class StoppingCriteria:
    """Derive from it and define `__call__`, or pass any function of the same arguments."""

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Any:
        """Which rows are finished: [B] boolean, or a bool for all."""
        raise NotImplementedError(f"{type(self).__name__} defines no __call__(input_ids, scores)")


class StoppingCriteriaList(list[Any]):
    """Criteria of which any one finishes a row."""

    def __call__(self, input_ids: Tensor, scores: Any = None, **kwargs: Any) -> Tensor:
        done = torch.zeros(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
        for criterion in self:
            verdict = criterion(input_ids, scores, **kwargs)
            done |= verdict.to(done.device) if isinstance(verdict, Tensor) else bool(verdict)
        return done

    @property
    def max_length(self) -> int | None:
        """The length in tokens that a MaxLengthCriteria of the list sets."""
        return next((item.max_length for item in self if hasattr(item, "max_length")), None)


class MaxLengthCriteria(StoppingCriteria):
    """Finished at `max_length` tokens, prompt included."""

    def __init__(self, max_length: int, max_position_embeddings: int | None = None) -> None:
        self.max_length = max_length
        self.max_position_embeddings = max_position_embeddings

    def __call__(self, input_ids: Tensor, scores: Any = None, **kwargs: Any) -> bool:
        return input_ids.shape[1] >= self.max_length


class MaxTimeCriteria(StoppingCriteria):
    """Finished `max_time` seconds after `initial_timestamp` (time.time(); by default: now)."""

    def __init__(self, max_time: float, initial_timestamp: float | None = None) -> None:
        self.max_time = max_time
        self.start = time.time() if initial_timestamp is None else initial_timestamp

    def __call__(self, input_ids: Tensor, scores: Any = None, **kwargs: Any) -> bool:
        return time.time() - self.start > self.max_time


class EosTokenCriteria(StoppingCriteria):
    """Finished by one of the end tokens."""

    def __init__(self, eos_token_id: int | Sequence[int] | Tensor) -> None:
        self.eos_token_id = torch.tensor(as_ids(eos_token_id))

    def __call__(self, input_ids: Tensor, scores: Any = None, **kwargs: Any) -> Tensor:
        return torch.isin(input_ids[:, -1], self.eos_token_id.to(input_ids.device))


class StopStringCriteria(StoppingCriteria):
    """Finished by the token that completes one of the strings, wherever in it the string ends."""

    def __init__(self, tokenizer: Any, stop_strings: str | Sequence[str]) -> None:
        self.tokenizer = tokenizer
        self.stop_strings = (
            (stop_strings,) if isinstance(stop_strings, str) else tuple(stop_strings)
        )
        # a token has at least one byte, so that no string reaches further back
        self.window = max(len(text.encode()) for text in self.stop_strings) + SPARE

    def __call__(self, input_ids: Tensor, scores: Any = None, **kwargs: Any) -> Tensor:
        tails = input_ids[:, -self.window :].tolist()
        return torch.tensor([self.completed(tail) for tail in tails], device=input_ids.device)

    def completed(self, ids: list[int]) -> bool:
        """Whether the last of `ids` completes a stop string."""
        before, text = self._text(ids[:-1]), self._text(ids)
        old = _shared(before, text)
        return any(stop in text[max(0, old - len(stop) + 1):] for stop in self.stop_strings)

    def _text(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=False,
                                         clean_up_tokenization_spaces=False))


def _shared(before: str, after: str) -> int:
    """Characters at the start of both; an unfinished one at the end of `before` is not."""
    return next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b),
                min(len(before), len(after)))


class Halt:
    """Which rows are finished, on the device; the host looks every `every` steps.

    On a GPU looking means waiting, so that some steps too many may run: `overrun` counts them.
    """

    def __init__(self, batch: int, longest: int, ends: Sequence[int], pad: int | None,
                 criteria: StoppingCriteriaList, device: torch.device, every: int = 1) -> None:
        self.longest, self.pad, self.criteria, self.every = longest, pad, criteria, every
        self.ends = torch.tensor(ends, device=device) if ends else None
        self.finished = torch.zeros(batch, dtype=torch.bool, device=device)
        self.needed = torch.zeros((), dtype=torch.long, device=device)
        self.steps = 0
        self.watching = bool(ends) or bool(criteria)
        self.any = False  # whether a row was finished when last looked at

    def padded(self, tokens: Tensor) -> Tensor:
        """`tokens` [B] with padding in the rows that are finished."""
        if not self.watching or self.pad is None or (self.every == 1 and not self.any):
            return tokens
        return tokens.masked_fill(self.finished, self.pad)

    def __call__(self, ids: Tensor, tokens: Tensor, scores: Any = None) -> bool:
        """Take note of the `tokens` [B] just appended to `ids` [B, T]; whether to stop."""
        self.steps += 1
        if self.watching:
            if self.every > 1:
                self.needed += ~self.finished.all()
            if self.ends is not None:
                self.finished |= (tokens[:, None] == self.ends).any(-1)
            if self.criteria:
                self.finished |= self.criteria(ids, scores)
        if ids.shape[1] >= self.longest:
            return True
        if not self.watching or self.steps % self.every:
            return False
        done = self.finished.tolist()
        self.any = any(done)
        return all(done)

    def overrun(self) -> int:
        """Steps made after every row was finished."""
        return self.steps - int(self.needed) if self.watching and self.every > 1 else 0


def criteria_of(config: Any, tokenizer: Any, own: Any) -> StoppingCriteriaList:
    """The criteria of a call beside the length and the end tokens, the caller's own last."""
    made: list[Any] = []
    if config.max_time is not None:
        made.append(MaxTimeCriteria(config.max_time))
    if config.stop_strings is not None:
        if tokenizer is None:
            raise GenerationError(
                f"generate: stop_strings={config.stop_strings!r} without a tokenizer. "
                "Do: pass tokenizer=, the one that made the prompt"
            )
        made.append(StopStringCriteria(tokenizer, config.stop_strings))
    own = list(own or ())
    types = {type(item) for item in own}
    return StoppingCriteriaList([item for item in made if type(item) not in types] + own)
