"""Edits of the distribution that is sampled from: temperature and the truncations.

Each keeps at least `min_tokens_to_keep` tokens; the others get `filter_value`.  Beam sampling keeps
one more than there are ends, so that a beam can go on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from enfold.errors import GenerationError
from enfold.generate.processors import INF, LogitsProcessor


class TemperatureLogitsWarper(LogitsProcessor):
    """Scores / temperature: below 1 sharper, above 1 flatter."""

    def __init__(self, temperature: float) -> None:
        if not temperature > 0:
            raise GenerationError(
                f"generate: temperature={temperature!r}, expected a number above 0. "
                "Do: set do_sample=False for the most likely tokens"
            )
        self.temperature = temperature

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores / self.temperature


class Truncation(LogitsProcessor):
    """What the truncations share: which tokens to remove is up to `removed`."""

    def __init__(self, threshold: float, filter_value: float = INF,
                 min_tokens_to_keep: int = 1) -> None:
        self.threshold, self.filter_value, self.keep = threshold, filter_value, min_tokens_to_keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        return scores.masked_fill(self.removed(scores), self.filter_value)

    def removed(self, scores: Tensor) -> Tensor:
        """True [B, V] at the tokens to take out."""
        raise NotImplementedError

    def below_best(self, scores: Tensor, count: int) -> Tensor:
        """True where a score is below the `count` highest of its row."""
        return scores < scores.topk(min(count, scores.shape[1]))[0][:, -1:]


class TopKLogitsWarper(Truncation):
    """The `top_k` most likely tokens (and those level with the last of them)."""

    def __init__(self, top_k: int, filter_value: float = INF, min_tokens_to_keep: int = 1) -> None:
        super().__init__(top_k, filter_value, min_tokens_to_keep)
        self.top_k = max(top_k, min_tokens_to_keep)

    def removed(self, scores: Tensor) -> Tensor:
        return self.below_best(scores, self.top_k)


class TopPLogitsWarper(Truncation):
    """The most likely tokens with a probability of `top_p` together.  arxiv.org/abs/1904.09751"""

    def __init__(
        self, top_p: float, filter_value: float = INF, min_tokens_to_keep: int = 1
    ) -> None:
        super().__init__(top_p, filter_value, min_tokens_to_keep)

    def removed(self, scores: Tensor) -> Tensor:
        rising, order = scores.sort(descending=False)
        tail = rising.softmax(-1).cumsum(-1) <= 1 - self.threshold
        tail[:, -self.keep :] = False
        return tail.scatter(1, order, tail)


class MinPLogitsWarper(Truncation):
    """Tokens at least `min_p` times as likely as the likeliest.  arxiv.org/abs/2407.01082"""

    def __init__(
        self, min_p: float, filter_value: float = INF, min_tokens_to_keep: int = 1
    ) -> None:
        super().__init__(min_p, filter_value, min_tokens_to_keep)

    def removed(self, scores: Tensor) -> Tensor:
        likely = scores.softmax(-1)
        removed = likely < self.threshold * likely.amax(-1, keepdim=True)
        best = likely.topk(min(self.keep, likely.shape[1])).indices
        return removed.scatter_(1, best, False)


class TopHLogitsWarper(Truncation):
    """The likeliest tokens, up to `top_h` of the 100 best's entropy.  arxiv.org/abs/2509.02510"""

    BEST = 100

    def __init__(self, top_h: float, filter_value: float = INF) -> None:
        super().__init__(top_h, filter_value)

    def removed(self, scores: Tensor) -> Tensor:
        best, index = scores.topk(min(self.BEST, scores.shape[1]))
        log = best.log_softmax(-1)
        terms = -(log.exp() * log.clamp(min=torch.finfo(log.dtype).min))
        kept = terms.cumsum(-1) <= terms.sum(-1, keepdim=True) * self.threshold
        kept[:, 0] = True
        return torch.ones_like(scores, dtype=torch.bool).scatter_(1, index, ~kept)


class TypicalLogitsWarper(Truncation):
    """Tokens whose surprise is nearest the entropy, up to `mass`.  arxiv.org/abs/2202.00666"""

    def __init__(self, mass: float = 0.9, filter_value: float = INF,
                 min_tokens_to_keep: int = 1) -> None:
        super().__init__(mass, filter_value, min_tokens_to_keep)

    def removed(self, scores: Tensor) -> Tensor:
        log = scores.log_softmax(-1)
        entropy = -(log * log.exp()).nansum(-1, keepdim=True)
        distance, order = (-log - entropy).abs().sort(descending=False)
        mass = scores.gather(1, order).softmax(-1).cumsum(-1)
        last = (mass < self.threshold).sum(1, keepdim=True).clamp_(max=scores.shape[1] - 1)
        far = distance > distance.gather(1, last)
        far[:, : self.keep] = False
        return far.scatter(1, order, far)


class EpsilonLogitsWarper(Truncation):
    """Tokens of a probability of at least `epsilon`.  https://arxiv.org/abs/2210.15191"""

    def __init__(
        self, epsilon: float, filter_value: float = INF, min_tokens_to_keep: int = 1
    ) -> None:
        super().__init__(epsilon, filter_value, min_tokens_to_keep)

    def removed(self, scores: Tensor) -> Tensor:
        return (scores.softmax(-1) < self.threshold) & self.below_best(scores, self.keep)


class EtaLogitsWarper(Truncation):
    """Epsilon that shrinks where the distribution is flat.  https://arxiv.org/abs/2210.15191"""

    def __init__(self, epsilon: float, filter_value: float = INF, min_tokens_to_keep: int = 1,
                 device: str = "cpu") -> None:
        super().__init__(epsilon, filter_value, min_tokens_to_keep)

    def removed(self, scores: Tensor) -> Tensor:
        log = scores.log_softmax(-1)
        likely = log.exp()
        entropy = -(likely * log.clamp(min=torch.finfo(log.dtype).min)).sum(-1, keepdim=True)
        eta: Tensor = (self.threshold**0.5 * (-entropy).exp()).clamp(max=self.threshold)
        return self.below_best(scores, self.keep) & (likely < eta)
