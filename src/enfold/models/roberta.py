"""RoBERTa (https://arxiv.org/abs/1907.11692): BERT, with positions from the pad index on."""

from __future__ import annotations

from enfold.config import Config
from enfold.models import bert
from enfold.models.common import SPAN
from enfold.models.registry import Arch, family
from enfold.spec import (
    Base,
    CausalLM,
    MaskedLM,
    MultipleChoice,
    Norm,
    SequenceClassifier,
    Span,
    Stack,
    TokenClassifier,
    positions,
)
from enfold.weights.names import Names


def spec(c: Config) -> Stack:
    """BERT's, with positions counted over the tokens that are not padding."""
    return positions(bert.spec(c), pad=c.pad_token_id)


def transform(c: Config) -> tuple[str, Norm]:
    """The dense layer before the vocabulary projection: always gelu."""
    return "gelu", Norm("layer", c.layer_norm_eps)


def vocabulary(c: Config) -> Names:
    """The names of the vocabulary projection."""
    return {"dense": "lm_head.dense", "norm": "lm_head.layer_norm",
            "out": "lm_head.decoder", **bert.bias(c, "lm_head")}


POSITION = "embed.position"  # stands behind the norm, where BERT's stands before it
NAMES = {ours: theirs for ours, theirs in bert.NAMES.items() if ours != POSITION} | {
    POSITION: bert.NAMES[POSITION]}
HEADS = {
    "Model": Arch(Base(pooled=True)),
    "ForCausalLM": Arch(lambda c: CausalLM(transform=transform(c), bias=True), vocabulary),
    "ForMaskedLM": Arch(lambda c: MaskedLM(transform=transform(c)), vocabulary),
    "ForSequenceClassification": Arch(
        lambda c: SequenceClassifier("first", "tanh", dropout=bert.hidden_dropout(c), drop_in=True),
        {"dense": "classifier.dense", "out": "classifier.out_proj"}),
    "ForMultipleChoice": Arch(lambda c: MultipleChoice("pooler", dropout=c.hidden_dropout_prob),
                              bert.CLASSES),
    "ForTokenClassification": Arch(lambda c: TokenClassifier(bert.hidden_dropout(c)), bert.CLASSES),
    "ForQuestionAnswering": Arch(Span(), SPAN),
}
DEFAULTS = bert.DEFAULTS | {"vocab_size": 50265, "pad_token_id": 1, "bos_token_id": 0,
                            "eos_token_id": 2}

family("roberta", spec, NAMES, HEADS, "roberta", defaults=DEFAULTS, check=bert.check,
       drop=("*.position_ids",))
