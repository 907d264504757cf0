"""Greedy search and sampling: an iterator of steps.

    for step in decode(Session(model, prompt, longest), halt, processors):
        step.tokens    [B], already appended to session.ids

The one consumer that waits for a step's tokens is the one that reads them: on a GPU the loop itself
looks at the host's side every few steps only (see `Halt`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from enfold.generate.processors import LogitsProcessorList
from enfold.generate.session import Session
from enfold.generate.stopping import Halt


class Step(NamedTuple):
    """One token per row: the choice [B], the scores behind it and the model's [B, V]."""

    tokens: Tensor
    scores: Tensor
    logits: Tensor
    output: Any


class Sampler:
    """Draws from the scores; `generator` None is torch's global one."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    def __call__(self, scores: Tensor) -> Tensor:
        """Tokens [B] for scores [B, V]."""
        return torch.multinomial(scores.softmax(-1), 1, generator=self.generator)[:, 0]


def greedy(scores: Tensor) -> Tensor:
    """The likeliest tokens [B] for scores [B, V]."""
    return scores.argmax(-1)


@torch.no_grad()
def decode(session: Session, halt: Halt, processors: LogitsProcessorList | None = None,
           choose: Any = greedy, *, keep: bool = False) -> Iterator[Step]:
    """Write tokens until `halt` says so, one per row and step.

    keep: the scores will be looked at.  They are in fp32 then, and criteria get those of all steps.
    """
    exact = keep or bool(processors) or choose is not greedy
    kept: tuple[Tensor, ...] = ()
    while True:
        logits, output = session.forward()
        if exact:  # a caller's processors may write to them
            logits = logits.clone() if logits.is_inference() else logits
            logits = logits.float()
        scores = logits
        if processors:
            scores = processors(session.ids, logits.clone())
        tokens = halt.padded(choose(scores))
        session.append(tokens)
        if keep and halt.criteria:
            kept = (*kept, scores)
        done = halt(session.ids, tokens, kept or None)
        yield Step(tokens, scores, logits, output)
        if done:
            return
