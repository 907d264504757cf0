"""Heads over the vocabulary.  B batch, T time, D width, V vocabulary"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from enfold.config import Config
from enfold.nn import losses
from enfold.nn.act import activation
from enfold.nn.heads.base import HeadModule, Run, dropped, labelled, last_rows
from enfold.nn.linear import Linear
from enfold.nn.norm import norm
from enfold.nn.outputs import (
    CausalLMOutput,
    DoubleHeadsModelOutput,
    MaskedLMOutput,
    ModelOutput,
    MoECausalLMOutput,
    PreTrainingOutput,
    Seq2SeqLMOutput,
)
from enfold.nn.tokens import wants_loss_only
from enfold.spec import CausalLM, DoubleHeads, MaskedLM, Norm, Seq2SeqLM, Stack


class LanguageHead(HeadModule):
    """A projection to the vocabulary, `out`, of `features(hidden)`."""

    out: nn.Linear

    def features(self, hidden: Tensor) -> Tensor:
        """What is projected, [.., D]."""
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores [.., V] of hidden [.., D]."""
        logits: Tensor = self.out(self.features(hidden))
        fixed = self.fixed()
        return logits if fixed is None else logits + fixed.to(logits.dtype)

    def fixed(self) -> Tensor | None:
        """What is added to all logits, [V], and not trained."""
        return None

    def reads(self, run: Run, mask: Tensor | None) -> str:
        return labelled(run.targets.get("labels"), mask, shift=self._shifts())

    def _shifts(self) -> bool:
        return bool(getattr(self.spec, "shift", False))

    def scored(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        """Loss and logits; where the caller wants the loss alone, of the labelled tokens only."""
        labels = run.targets.get("labels")
        if labels is not None and wants_loss_only():
            return {"loss": self._loss(hidden, labels, run.items)}
        logits = self.logits(hidden)
        measure = losses.next_token if self._shifts() else losses.tokens
        return {"loss": None if labels is None else measure(logits, labels, run.items),
                "logits": logits}

    def _loss(self, hidden: Tensor, labels: Tensor, items: Tensor | int | None) -> Tensor:
        losses.same_length(hidden, labels)
        if self._shifts():
            hidden, labels = hidden[:, :-1], labels[:, 1:]
        counted = labels.ne(losses.IGNORED)
        rows, wanted = hidden[counted.to(hidden.device)], labels[counted]
        out = self.out
        if type(out) is not Linear or out._forward_hooks or out._forward_pre_hooks:
            return losses.cross_entropy(self.logits(rows), wanted, items)
        return losses.projected(self.features(rows), out, wanted, items, self.fixed())


class VocabularyHead(LanguageHead):
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

    def features(self, hidden: Tensor) -> Tensor:
        return hidden if self.dense is None else self.norm(self.act(self.dense(hidden)))


class CausalHead(VocabularyHead):
    """The Module of `spec.CausalLM`."""

    output, output_sparse = CausalLMOutput, MoECausalLMOutput

    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        return self.scored(last_rows(hidden, run.keep), run)


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

    def reads(self, run: Run, mask: Tensor | None) -> str:
        return super().reads(run, mask) if self.sentence is None else "all"

    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        if self.sentence is None or run.pool is None:
            return self.scored(hidden, run)
        logits, labels = self.logits(hidden), run.targets.get("labels")
        loss = None if labels is None else losses.tokens(logits, labels, run.items)
        follows, label = self.sentence(run.pool(hidden)), run.targets.get("next_sentence_label")
        if loss is not None:
            loss = None if label is None else loss + losses.cross_entropy(follows, label)
        return {"loss": loss, "prediction_logits": logits, "seq_relationship_logits": follows}


class Seq2SeqHead(LanguageHead):
    """The Module of `spec.Seq2SeqLM`."""

    output = output_encdec = Seq2SeqLMOutput

    def __init__(self, spec: Seq2SeqLM, body: Stack, config: Config) -> None:
        super().__init__(spec, body, config)
        self.out = Linear(body.dim, body.embed.vocab, bias=False)
        if spec.fixed_bias:
            self.register_buffer("fixed_bias", torch.zeros(1, body.embed.vocab))

    def features(self, hidden: Tensor) -> Tensor:
        return hidden if self.spec.scale == 1.0 else hidden * self.spec.scale

    def fixed(self) -> Tensor | None:
        fixed: Tensor | None = getattr(self, "fixed_bias", None)
        return None if fixed is None else fixed.flatten()

    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        return self.scored(hidden, run)


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

    def reads(self, run: Run, mask: Tensor | None) -> str:
        return "all"

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
