"""Beam search: the K likeliest continuations of each prompt, kept side by side.

    running   K rows of a prompt that go on, sorted by the sum of their log-probabilities
    pool      the K best rows of it that ended, sorted by that sum / length ** length_penalty

Each step looks at more continuations than K, so that K are left to go on when some of them end.
The arithmetic, -1e9 for "not a candidate" included, follows the reference, ties too.

B prompts, K beams, C candidates, V vocabulary, T length
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from enfold.generate.loop import Step
from enfold.generate.processors import LogitsProcessorList
from enfold.generate.session import Session
from enfold.generate.stopping import StoppingCriteriaList

NEVER = -1.0e9


@dataclass(frozen=True, slots=True)
class Rules:
    """How to search.  longest: ids in a row; fill: the id after the end of shorter rows."""

    beams: int
    longest: int
    ends: tuple[int, ...] = ()
    fill: int = -1
    length_penalty: float = 1.0
    early: bool | str = False
    sample: bool = False
    generator: torch.Generator | None = None
    criteria: StoppingCriteriaList | None = None

    @property
    def candidates(self) -> int:
        """Continuations looked at per prompt and step."""
        return max(2, 1 + len(self.ends)) * self.beams


@dataclass(slots=True)
class Candidates:
    """Continuations of the running rows, best first; all [B, C]."""

    scores: Tensor
    parents: Tensor
    tokens: Tensor
    ended: Tensor


class Pool:
    """The best rows that ended, of each prompt."""

    def __init__(self, ids: Tensor, rules: Rules, prompts: int) -> None:
        self.rules, self.prompt = rules, ids.shape[1]
        self.ids = ids.view(prompts, rules.beams, -1)
        self.scores = torch.full((prompts, rules.beams), NEVER, device=ids.device)
        self.full = torch.zeros((prompts, rules.beams), dtype=torch.bool, device=ids.device)
        self.trace = ids.new_full((prompts, rules.beams, 0), -1, dtype=torch.int32)
        self.lengths = torch.zeros((prompts, rules.beams), dtype=torch.long, device=ids.device)
        self.open = torch.ones((prompts, 1), dtype=torch.bool, device=ids.device)  # may improve

    def add(self, found: Candidates, ids: Tensor, trace: Tensor) -> None:
        """Take in the candidates that ended: ids [B, C, T] and trace [B, C, new] of all of them."""
        rules, length = self.rules, ids.shape[2] - self.prompt
        first = torch.arange(found.scores.shape[1], device=ids.device) < rules.beams
        ended = found.ended & first  # the others are there for the running rows' sake
        closed = self.full.all(-1, keepdim=True) & (rules.early is True)
        scores = found.scores / length**rules.length_penalty
        for barred in (closed, ~self.open, ~ended):
            scores = scores + barred.float() * NEVER
        best = torch.cat((self.scores, scores), 1).topk(rules.beams)
        self.scores = best.values
        self.ids = _pick(torch.cat((pad(self.ids, (0, ids.shape[2] - self.ids.shape[2]),
                                        value=rules.fill), ids), 1), best.indices)
        self.trace = _pick(torch.cat((pad(self.trace, (0, trace.shape[2] - self.trace.shape[2]),
                                          value=-1), trace), 1), best.indices)
        lengths = torch.full_like(found.tokens, length)
        self.lengths = torch.cat((self.lengths, lengths), 1).gather(1, best.indices)
        self.full = torch.cat((self.full, ended), 1).gather(1, best.indices)

    def close(self, running: Tensor, length: int) -> None:
        """Note which prompts the running rows, of these scores [B, K], can't improve any more."""
        rules = self.rules
        whole = rules.early == "never" and rules.length_penalty > 0.0
        reach = (rules.longest if whole else length) - self.prompt
        possible = running[:, :1] / reach**rules.length_penalty
        worst = self.scores.min(1, keepdim=True).values.where(self.full, NEVER)
        self.open &= (possible > worst).any(-1, keepdim=True)

    def finished(self) -> bool:
        """Whether no prompt needs to go on."""
        return not bool(self.open.any()) or (self.rules.early is True and bool(self.full.all()))


class BeamSearch:
    """A search over the rows of `session`, which holds K copies of each prompt.

    Iterate `steps()` to its end, then read `best()`.  trace: keep where every token came from, and
    give the scores of all steps to criteria.
    """

    def __init__(self, session: Session, prompts: int, rules: Rules,
                 processors: LogitsProcessorList | None = None, trace: bool = False) -> None:
        self.session, self.rules, self.processors = session, rules, processors
        self.shape, self.traced = (prompts, rules.beams), trace
        device = session.buffer.device
        self.ends = torch.tensor(rules.ends, device=device) if rules.ends else None
        self.first_row = torch.arange(prompts, device=device)[:, None] * rules.beams
        self.scores = torch.zeros(self.shape, device=device)
        self.scores[:, 1:] = NEVER  # the copies are equal at first: go on from one of them
        self.trace = torch.full((*self.shape, 0), -1, dtype=torch.int32, device=device)
        self.pool: Pool

    @torch.no_grad()
    def steps(self) -> Iterator[Step]:
        """Search; `tokens` of a step are those of the rows that go on."""
        session = self.session
        start = session.ids.repeat_interleave(session.copies, 0)
        self.pool = Pool(start, self.rules, self.shape[0])
        kept: tuple[Tensor, ...] = ()
        while True:
            logits, output = session.forward()
            logits = logits.float()
            scores = logits.log_softmax(-1)
            if self.processors:
                scores = self.processors(session.ids, scores)
            kept = (*kept, scores) if self.traced and self.rules.criteria else kept
            found = self._candidates(scores, kept or None)
            if bool(found.ended.any()):
                rows, ids = self._rows(found)
                self.pool.add(found, ids, self._traces(found.parents, rows))
            tokens = self._go_on(found)
            self.pool.close(self.scores, session.length)
            yield Step(tokens, scores, logits, output)
            if self.pool.finished() or bool(found.ended.all()):
                return

    def best(self, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """The `count` best rows of each prompt: ids [B * count, T], scores [B * count], trace."""
        new = int(self.pool.lengths[:, :count].max())
        ids = self.pool.ids[:, :count, : self.pool.prompt + new].flatten(0, 1)
        trace = self.pool.trace[:, :count, :new].flatten(0, 1)
        return ids, self.pool.scores[:, :count].flatten(), trace

    def _candidates(self, scores: Tensor, kept: tuple[Tensor, ...] | None) -> Candidates:
        """The best, or drawn, continuations by scores [B * K, V]."""
        rules, vocab = self.rules, scores.shape[1]
        total = (scores.view(*self.shape, vocab) + self.scores[:, :, None]).flatten(1)
        if rules.sample:
            index = torch.multinomial(
                total.softmax(-1), rules.candidates, generator=rules.generator
            )
            best = total.gather(1, index)
        else:
            best, index = total.topk(rules.candidates)
        parents, tokens = index // vocab, index % vocab
        ended = torch.full_like(tokens, self.session.length + 1 >= rules.longest, dtype=torch.bool)
        if self.ends is not None:
            ended |= torch.isin(tokens, self.ends)
        found = Candidates(best, parents, tokens, ended)
        if rules.criteria:
            ids = self._rows(found)[1]
            found.ended |= rules.criteria(ids.flatten(0, 1), kept).view_as(ended)
        return found

    def _rows(self, found: Candidates) -> tuple[Tensor, Tensor]:
        """The rows [B, C] that candidates come from, and their ids [B, C, T + 1]."""
        rows = found.parents + self.first_row
        ids = self.session.ids[rows.flatten()].view(*rows.shape, -1)
        return rows, torch.cat((ids, found.tokens[..., None]), -1)

    def _traces(self, parents: Tensor, rows: Tensor) -> Tensor:
        if not self.traced:
            return self.trace[:, :1].expand(-1, parents.shape[1], -1)
        return torch.cat((_pick(self.trace, parents), rows[..., None].to(torch.int32)), -1)

    def _go_on(self, found: Candidates) -> Tensor:
        """Choose the rows that go on, in the session too; their tokens [B * K]."""
        alive = found.scores + found.ended.float() * NEVER
        chosen = alive.topk(self.rules.beams).indices
        self.scores = alive.gather(1, chosen)
        parents, tokens = found.parents.gather(1, chosen), found.tokens.gather(1, chosen).flatten()
        rows = parents + self.first_row
        self.trace = self._traces(parents, rows)
        self.session.reorder(rows.flatten())
        self.session.append(tokens)
        return tokens


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """values [B, N, T] at index [B, M]: [B, M, T]."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[2]))
