"""Heads over classes.  B batch, T time, D width, C classes"""

from __future__ import annotations

import torch
from torch import Tensor

from enfold.config import Config
from enfold.errors import InputError
from enfold.nn import losses
from enfold.nn.act import activation
from enfold.nn.heads.base import HeadModule, Run, dropped, labelled
from enfold.nn.linear import Linear
from enfold.nn.outputs import (
    MultipleChoiceModelOutput,
    NextSentencePredictorOutput,
    QuestionAnsweringModelOutput,
    Seq2SeqQuestionAnsweringModelOutput,
    Seq2SeqSequenceClassifierOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from enfold.spec import MultipleChoice, SequenceClassifier, Span, Stack, TokenClassifier


class PooledHead(HeadModule):
    """Pooling, then an optional dense layer, then the classes."""

    def _layers(self, spec: SequenceClassifier | MultipleChoice, dim: int, count: int,
                bias: bool) -> None:
        self.pooled = spec.pool == "pooler"
        self.dense = Linear(dim, dim) if spec.hidden else None
        self.act = activation(spec.hidden)
        self.out = Linear(dim, count, bias)

    def reads(self, run: Run, mask: Tensor | None) -> str:
        how = self.spec.pool
        if how in ("pooler", "first"):
            return "first"
        if mask is None or mask.dim() != 2 or run.ids is None or run.ids.shape != mask.shape:
            return "all"
        places = (_last_token(mask, run.ids, self.config.pad_token_id) if how == "last"
                  else _last_eos(run.ids, self.config.eos_token_id))
        return "tokens" if bool(mask.gather(1, places[:, None]).all()) else "all"

    def scores(self, hidden: Tensor, run: Run) -> Tensor:
        """[B, C] for hidden [B, T, D]."""
        spec, x = self.spec, pool(hidden, run, self.spec.pool, self.config)
        if self.dense is not None:
            if getattr(spec, "drop_in", False):
                x = dropped(x, spec.dropout, self.training)
            x = self.act(self.dense(x))
        return self.out(dropped(x, spec.dropout, self.training))  # type: ignore[no-any-return]


class SequenceHead(PooledHead):
    """The Module of `spec.SequenceClassifier`; the loss follows `config.problem_type`."""

    output, output_encdec = SequenceClassifierOutput, Seq2SeqSequenceClassifierOutput

    def __init__(self, spec: SequenceClassifier, body: Stack, config: Config) -> None:
        super().__init__(spec, body, config)
        self._layers(spec, body.dim, config.num_labels, spec.bias)

    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        logits, labels = self.scores(hidden, run), run.targets.get("labels")
        if labels is None:
            return {"logits": logits}
        if self.config.problem_type is None:  # settled by the first labels, as in the reference
            self.config.problem_type = losses.problem_type(self.config.num_labels, labels)
        return {"loss": losses.classes(logits, labels, self.config.problem_type), "logits": logits}


class MultipleChoiceHead(PooledHead):
    """The Module of `spec.MultipleChoice`: hidden is [B * choices, T, D], logits [B, choices]."""

    output = MultipleChoiceModelOutput

    def __init__(self, spec: MultipleChoice, body: Stack, config: Config) -> None:
        super().__init__(spec, body, config)
        self._layers(spec, body.dim, 1, bias=True)

    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        logits = self.scores(hidden, run)
        if run.choices:
            logits = logits.view(-1, run.choices)
        labels = run.targets.get("labels")
        return {"loss": None if labels is None else losses.cross_entropy(logits, labels),
                "logits": logits}


class TokenHead(HeadModule):
    """The Module of `spec.TokenClassifier`."""

    output = TokenClassifierOutput

    def reads(self, run: Run, mask: Tensor | None) -> str:
        return labelled(run.targets.get("labels"), mask)

    def __init__(self, spec: TokenClassifier, body: Stack, config: Config) -> None:
        super().__init__(spec, body, config)
        self.out = Linear(body.dim, config.num_labels)

    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        logits, labels = self.out(dropped(hidden, self.spec.dropout,
                                          self.training)), run.targets.get("labels")
        return {"loss": None if labels is None else losses.tokens(logits, labels, run.items),
                "logits": logits}


class SpanHead(HeadModule):
    """The Module of `spec.Span`."""

    targets = ("start_positions", "end_positions")
    output, output_encdec = QuestionAnsweringModelOutput, Seq2SeqQuestionAnsweringModelOutput

    def __init__(self, spec: Span, body: Stack, config: Config) -> None:
        super().__init__(spec, body, config)
        self.out = Linear(body.dim, 2)

    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        start, end = self.out(dropped(hidden, self.spec.dropout, self.training)).unbind(-1)
        start, end = start.contiguous(), end.contiguous()
        fields: dict[str, Tensor | None] = {"start_logits": start, "end_logits": end}
        first, last = (run.targets.get(name) for name in self.targets)
        if first is not None and last is not None:
            fields["loss"] = losses.span(start, end, first, last)
        return fields


class NextSentenceHead(HeadModule):
    """The Module of `spec.NextSentence`."""

    output = NextSentencePredictorOutput
    pooled = True

    def __init__(self, spec: object, body: Stack, config: Config) -> None:
        super().__init__(spec, body, config)
        self.out = Linear(body.dim, 2)

    def forward(self, hidden: Tensor, run: Run) -> dict[str, Tensor | None]:
        logits, labels = self.out(pool(hidden, run, "pooler",
                                       self.config)), run.targets.get("labels")
        return {"loss": None if labels is None else losses.cross_entropy(logits, labels),
                "logits": logits}


def pool(hidden: Tensor, run: Run, how: str, config: Config) -> Tensor:
    """One vector per text, [B, D]: see `spec.SequenceClassifier`."""
    if how == "pooler" and run.pool is not None:
        return run.pool(hidden)
    if how == "first":
        return hidden[:, 0]
    rows = torch.arange(hidden.shape[0], device=hidden.device)
    if how == "last":
        return hidden[rows, _last_token(hidden, run.ids, config.pad_token_id)]
    if how == "eos":
        return hidden[rows, _last_eos(run.ids, config.eos_token_id)]
    raise NotImplementedError(f"no pooling {how!r}; there are 'pooler', 'first', 'last' and 'eos'")


def _last_token(like: Tensor, ids: Tensor | None, pad: int | None) -> Tensor:
    """The last token of each text, [B], of ids [B, T]; like [B, T, ..]."""
    batch, length = like.shape[:2]
    if pad is None and batch > 1:
        raise InputError("texts are classified by their last token, but config.pad_token_id is "
                         f"not set, so the last token of {batch} texts of different lengths can't "
                         "be told. "
                         "Do: model.config.pad_token_id = tokenizer.pad_token_id")
    if pad is None or ids is None:
        return torch.full((batch,), length - 1, device=like.device)
    places = torch.arange(length, device=like.device)
    return (places * ids.ne(pad)).argmax(-1)


def _last_eos(ids: Tensor | None, eos: int | None) -> Tensor:
    if ids is None:
        raise InputError("texts are classified by their end token, which needs input_ids. Do: "
                         "pass input_ids")
    found = ids.eq(eos) if eos is not None else torch.zeros_like(ids, dtype=torch.bool)
    counts = found.sum(1)
    if bool((counts != counts[0]).any()) or int(counts[0]) == 0:
        raise InputError(f"each text needs the same number of end tokens (id {eos}), got "
                         f"{counts.tolist()}. "
                         "Do: use the tokenizer of this model, which ends each text with one")
    places = torch.arange(ids.shape[1], device=ids.device)
    return (places * found).argmax(-1)
