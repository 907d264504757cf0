"""Heads: what turns hidden states into logits and losses.  Head spec -> Module."""

from __future__ import annotations

from enfold.config import Config
from enfold.nn.heads.base import BaseHead, HeadModule
from enfold.nn.heads.classify import (
    MultipleChoiceHead,
    NextSentenceHead,
    SequenceHead,
    SpanHead,
    TokenHead,
)
from enfold.nn.heads.language import CausalHead, DoubleHead, MaskedHead, Seq2SeqHead
from enfold.spec import (
    Base,
    Body,
    CausalLM,
    DoubleHeads,
    EncDec,
    Head,
    MaskedLM,
    MultipleChoice,
    NextSentence,
    Seq2SeqLM,
    SequenceClassifier,
    Span,
    Stack,
    TokenClassifier,
)

MODULES: dict[type, type[HeadModule]] = {
    Base: BaseHead, CausalLM: CausalHead, MaskedLM: MaskedHead, Seq2SeqLM: Seq2SeqHead,
    SequenceClassifier: SequenceHead, TokenClassifier: TokenHead, Span: SpanHead,
    MultipleChoice: MultipleChoiceHead, NextSentence: NextSentenceHead, DoubleHeads: DoubleHead,
}  # fmt: skip


def build_head(spec: Head, body: Body, config: Config) -> HeadModule:
    """The Module of a head on a body."""
    last = body.decoder if isinstance(body, EncDec) else body
    return MODULES[type(spec)](spec, last, config)


__all__ = ["HeadModule", "Stack", "build_head"]
