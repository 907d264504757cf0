"""Heads over the vocabulary.  B batch, T time, D width, V vocabulary"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from enfold.config import Config
from enfold.nn import losses
from enfold.nn.act import activation
from enfold.nn.heads.base import HeadModule, Run, dropped, last_rows
from enfold.nn.linear import Linear
from enfold.nn.norm import norm
from enfold.nn.outputs import (
    CausalLMOutput,
    DoubleHeadsModelOutput,
    MaskedLMOutput,
    ModelOutput,
    PreTrainingOutput,
    Seq2SeqLMOutput,
)
from enfold.spec import CausalLM, DoubleHeads, MaskedLM, Norm, Seq2SeqLM, Stack


class VocabularyHead(HeadModule):
    """Dense, activation and norm where the spec asks for them, then the projection to V."""

    def __init__(self, spec: CausalLM | MaskedLM, body: Stack, config: Config) -> None:
        super().__init__(spec, body, config)
        self._transform(spec.transform, body.dim)
        self.out = Linear(body.dim, body.embed.vocab, spec.bias)

    def _transform(self, transform: tuple[str, Norm] | None, dim: int) -> None:
        self.dense: nn.Linear | None = None
        if transform is not None:
            act, spec = transform
            self.act, self.dense, self.norm = activation(act), Linear(dim, dim), norm(spec, dim)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores [.., V] of hidden [.., D]."""
        if self.dense is not None:
            hidden = self.norm(self.act(self.dense(hidden)))
        return self.out(hidden)  # type: ignore[no-any-return]


class CausalHead(VocabularyHead):
    """The Module of `spec.CausalLM`."""

    output = CausalLMOutput

    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        logits, labels = self.logits(last_rows(hidden, run.keep)), run.targets.get("labels")
        measure = losses.next_token if self.spec.shift else losses.tokens
        loss = None if labels is None else measure(logits, labels, run.items)
        return {"loss": loss, "logits": logits}


class MaskedHead(VocabularyHead):
    """The Module of `spec.MaskedLM`, with pre-training's next-sentence logits if it has them."""

    output: type[ModelOutput] = MaskedLMOutput  # type: ignore[misc]

    def __init__(self, spec: MaskedLM, body: Stack, config: Config) -> None:
        super().__init__(spec, body, config)
        self.sentence = Linear(body.dim, 2) if spec.sentence else None
        self.pooled = spec.sentence
        if spec.sentence:
            self.output = PreTrainingOutput
            self.targets = ("labels", "next_sentence_label")  # type: ignore[misc]

    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        logits, labels = self.logits(hidden), run.targets.get("labels")
        loss = None if labels is None else losses.tokens(logits, labels, run.items)
        if self.sentence is None or run.pool is None:
            return {"loss": loss, "logits": logits}
        follows, label = self.sentence(run.pool(hidden)), run.targets.get("next_sentence_label")
        if loss is not None:
            loss = None if label is None else loss + losses.cross_entropy(follows, label)
        return {"loss": loss, "prediction_logits": logits, "seq_relationship_logits": follows}


class Seq2SeqHead(HeadModule):
    """The Module of `spec.Seq2SeqLM`."""

    output = output_encdec = Seq2SeqLMOutput

    def __init__(self, spec: Seq2SeqLM, body: Stack, config: Config) -> None:
        super().__init__(spec, body, config)
        self.out = Linear(body.dim, body.embed.vocab, bias=False)
        if spec.fixed_bias:
            self.register_buffer("fixed_bias", torch.zeros(1, body.embed.vocab))

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores [.., V] of hidden [.., D]."""
        if self.spec.scale != 1.0:
            hidden = hidden * self.spec.scale
        logits = self.out(hidden)
        if self.spec.fixed_bias:
            logits = logits + self.fixed_bias.to(logits.dtype)
        return logits  # type: ignore[no-any-return]

    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        logits, labels = self.logits(hidden), run.targets.get("labels")
        loss = None if labels is None else losses.tokens(logits, labels, run.items)
        return {"loss": loss, "logits": logits}


class DoubleHead(VocabularyHead):
    """The Module of `spec.DoubleHeads`: inputs are [B, choices, T]."""

    targets = ("labels", "mc_labels", "mc_token_ids")
    output = DoubleHeadsModelOutput

    def __init__(self, spec: DoubleHeads, body: Stack, config: Config) -> None:
        HeadModule.__init__(self, spec, body, config)
        self.dense = None
        self.out = Linear(body.dim, body.embed.vocab, bias=False)
        self.choice = Linear(body.dim, 1)
        self.act = activation(spec.act)

    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        logits, labels = self.logits(hidden), run.targets.get("labels")
        loss = None
        if labels is not None:
            loss = losses.cross_entropy(logits[..., :-1, :], labels[..., 1:])
        place = run.targets.get("mc_token_ids")
        if place is None:
            place = hidden.new_full(hidden.shape[:-2], hidden.shape[-2] - 1, dtype=torch.long)
        rows = place[..., None, None].expand(*place.shape, 1, hidden.shape[-1])
        chosen = hidden.gather(-2, rows).squeeze(-2)
        scores = self.act(self.choice(dropped(chosen, self.spec.dropout,
                                              self.training))).squeeze(-1)
        answer = run.targets.get("mc_labels")
        mc_loss = None if answer is None else losses.cross_entropy(scores, answer)
        return {"loss": loss, "mc_loss": mc_loss, "logits": logits, "mc_logits": scores}
