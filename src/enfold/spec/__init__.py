"""Specs: an architecture as frozen dataclasses, computed from Config by a family's page.

Exclusive variation is a type, orthogonal variation is a field, per-layer variation is a tuple of
blocks.  No torch here: `nn/build.py` maps each spec type to its Module.

    parts    norms, positions, attention, feed-forward, blocks
    body     embeddings and whole transformers
    heads    what is put on a body
    edit     a stack with fields changed, for variants
    show     a spec as text
"""

from __future__ import annotations

from enfold.spec.body import (
    Body,
    EncDec,
    Learned,
    Sinusoid,
    Stack,
    Tokens,
)
from enfold.spec.edit import (
    attention,
    blocks,
    each_branch,
    positions,
)
from enfold.spec.heads import (
    Base,
    CausalLM,
    DoubleHeads,
    Head,
    MaskedLM,
    MultipleChoice,
    NextSentence,
    Seq2SeqLM,
    SequenceClassifier,
    Span,
    TokenClassifier,
)
from enfold.spec.parts import (
    MLP,
    Attention,
    Block,
    Branch,
    Buckets,
    Dynamic,
    Linear,
    Llama3,
    LongRope,
    MoE,
    Norm,
    Rope,
    Router,
    Scaling,
    Yarn,
)
from enfold.spec.show import (
    Spec,
    describe,
)

__all__ = [
    "MLP",
    "Attention",
    "Base",
    "Block",
    "Body",
    "Branch",
    "Buckets",
    "CausalLM",
    "DoubleHeads",
    "Dynamic",
    "EncDec",
    "Head",
    "Learned",
    "Linear",
    "Llama3",
    "LongRope",
    "MaskedLM",
    "MoE",
    "MultipleChoice",
    "NextSentence",
    "Norm",
    "Rope",
    "Router",
    "Scaling",
    "Seq2SeqLM",
    "SequenceClassifier",
    "Sinusoid",
    "Span",
    "Spec",
    "Stack",
    "TokenClassifier",
    "Tokens",
    "Yarn",
    "attention",
    "blocks",
    "describe",
    "each_branch",
    "positions",
]  # fmt: skip
