"""Specs: an architecture as frozen dataclasses, computed from Config by a family's page.

Exclusive variation is a type, orthogonal variation is a field, per-layer variation is a tuple of
blocks.  No torch here: `nn/build.py` maps each spec type to its Module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

# ---- parts --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Norm:
    """`kind` "rms" or "layer"; `offset` is added to the weight (gemma's 1)."""

    kind: str = "rms"
    eps: float = 1e-6
    bias: bool = True
    offset: float = 0.0
    affine: bool = True


@dataclass(frozen=True, slots=True)
class Linear:
    """Linear rope scaling: positions divided by `factor`."""

    factor: float


@dataclass(frozen=True, slots=True)
class Dynamic:
    """Dynamic NTK rope scaling: the base grows once a text is longer than `original`."""

    factor: float
    original: int


@dataclass(frozen=True, slots=True)
class Llama3:
    """Llama 3.1 rope scaling: long wavelengths divided by `factor`, a smooth ramp between."""

    factor: float
    low: float
    high: float
    original: int


@dataclass(frozen=True, slots=True)
class Yarn:
    """YaRN rope scaling (arXiv 2309.00071); `attention` multiplies cos and sin."""

    factor: float
    original: int
    fast: float
    slow: float
    attention: float
    truncate: bool = True


@dataclass(frozen=True, slots=True)
class LongRope:
    """LongRoPE (arXiv 2402.13753): one divisor per frequency, another set past `original`."""

    short: tuple[float, ...]
    long: tuple[float, ...]
    original: int
    attention: float


Scaling = Linear | Dynamic | Llama3 | Yarn | LongRope


@dataclass(frozen=True, slots=True)
class Rope:
    """Rotary positions over the first `dim` of each head (None: all of it)."""

    theta: float = 1e4
    dim: int | None = None
    interleaved: bool = False
    scaling: Scaling | None = None


@dataclass(frozen=True, slots=True)
class Buckets:
    """T5's relative position bias, over log-spaced distances.  All layers use the first one's."""

    count: int
    distance: int
    bidirectional: bool
    owner: bool = True


# ---- branches -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Attention:
    """Multi-head attention.  `bias` is a subset of "qkvo"; `fused` names the layout of a joint
    projection.

    `scale` None means head_dim**-0.5; `window` counts the positions a query sees, itself included;
    `upcast` computes the softmax in fp32; `dropout` is of the probabilities, `drop_out` of the
    output.
    """

    heads: int
    kv_heads: int
    head_dim: int
    bias: str = ""
    fused: str | None = None
    rope: Rope | None = None
    qk_norm: Norm | None = None
    qk_norm_over: str = "head"
    scale: float | None = None
    window: int | None = None
    causal: bool = True
    position: Buckets | None = None
    cross: bool = False
    upcast: bool = False
    dropout: float = 0.0
    drop_out: float = 0.0


@dataclass(frozen=True, slots=True)
class MLP:
    """Feed-forward: down(act(up(x))), or down(act(gate(x)) * up(x)) if `gated`.

    `dropout` is inside, before `down`; `drop_out` of the output.
    """

    hidden: int
    act: str = "silu"
    gated: bool = True
    bias: bool = False
    dropout: float = 0.0
    drop_out: float = 0.0


Branch = Attention | MLP


@dataclass(frozen=True, slots=True)
class Block:
    """A layer: its branches in order, each with norms at `norm_at`, a subset of in, out, sum."""

    branches: tuple[Branch, ...]
    norm: Norm
    norm_at: tuple[str, ...] = ("in",)


# ---- embeddings ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Learned:
    """`count` positions, at row position + offset.  `pad`: count only tokens that aren't `pad`."""

    count: int
    offset: int = 0
    pad: int | None = None


@dataclass(frozen=True, slots=True)
class Sinusoid:
    """Fixed sines and cosines, halves concatenated.  Computed, never stored."""

    count: int


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token embedding, plus positions, plus segments, then norm and dropout.

    `types` rows of a segment table; `shared_types`: segment ids look up the word table (GPT-2);
    `pad` row gets no gradient.
    """

    vocab: int
    position: Learned | Sinusoid | None = None
    types: int = 0
    shared_types: bool = False
    norm: Norm | None = None
    scale: float = 1.0
    dropout: float = 0.0
    pad: int | None = None


# ---- whole transformers -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stack:
    """Embedding, blocks, final norm.  `drop` skips whole layers in training (LayerDrop)."""

    dim: int
    blocks: tuple[Block, ...]
    embed: Tokens
    norm: Norm | None = None
    dropout: float = 0.0
    drop: float = 0.0


@dataclass(frozen=True, slots=True)
class EncDec:
    """An encoder and a decoder that attends to it.

    `share_embed`: one token table for both; `shift_inputs`: without decoder input it is the input,
    shifted.
    """

    encoder: Stack
    decoder: Stack
    share_embed: bool = True
    shift_inputs: bool = False


Body = Stack | EncDec

# ---- heads --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Base:
    """No head: the hidden states, and the pooled first token if `pooled`."""

    pooled: bool = False


@dataclass(frozen=True, slots=True)
class CausalLM:
    """Next-token logits.  `transform`: (act, norm) of a dense layer before the projection.

    `shift`: the label at t is the target at t - 1; without it, at t itself.
    """

    tied: bool = True
    transform: tuple[str, Norm] | None = None
    bias: bool = False
    shift: bool = True


@dataclass(frozen=True, slots=True)
class MaskedLM:
    """Logits of masked tokens; fields as in `CausalLM`.  `sentence`: next-sentence logits too."""

    tied: bool = True
    transform: tuple[str, Norm] | None = None
    bias: bool = True
    sentence: bool = False


@dataclass(frozen=True, slots=True)
class Seq2SeqLM:
    """Logits of an encoder-decoder.  `scale` multiplies the hidden states, `fixed_bias` is a stored
    buffer.

    `start` and `pad` shift labels to the right for the decoder's input.
    """

    tied: bool = True
    scale: float = 1.0
    fixed_bias: bool = False


@dataclass(frozen=True, slots=True)
class SequenceClassifier:
    """Class logits of a text.  `pool`: "pooler" (the body's), "first", "last" (non-pad), "eos".

    `hidden`: activation of a dense layer before the output ("" for none); `drop_in`: dropout before
    it too.
    """

    pool: str
    hidden: str = ""
    bias: bool = True
    dropout: float = 0.0
    drop_in: bool = False


@dataclass(frozen=True, slots=True)
class TokenClassifier:
    """Class logits of each token."""

    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class Span:
    """Start and end logits of an answer (extractive question answering)."""

    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class MultipleChoice:
    """One logit per choice; inputs [batch, choices, time].  Fields as in `SequenceClassifier`."""

    pool: str
    hidden: str = ""
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class NextSentence:
    """Whether the second text follows the first: 0 yes, 1 no."""


@dataclass(frozen=True, slots=True)
class DoubleHeads:
    """GPT-2's: next-token logits, and one logit per choice from the token at `mc_token_ids`."""

    tied: bool = True
    dropout: float = 0.0
    act: str = ""


Head = (Base | CausalLM | MaskedLM | Seq2SeqLM | SequenceClassifier | TokenClassifier | Span
        | MultipleChoice
        | NextSentence | DoubleHeads)  # fmt: skip

# ---- edits, for pages whose family is a variant of another --------------------------------------


def each_branch(stack: Stack, edit: Callable[[Branch], Branch]) -> Stack:
    """`stack` with every branch replaced by `edit(branch)`."""
    blocks = tuple(replace(b, branches=tuple(edit(branch) for branch in b.branches))
                   for b in stack.blocks)
    return replace(stack, blocks=blocks)


def attention(stack: Stack, **fields: Any) -> Stack:
    """`stack` with these fields changed in every attention."""
    return each_branch(stack, lambda b: replace(b, **fields) if isinstance(b, Attention) else b)


def blocks(stack: Stack, **fields: Any) -> Stack:
    """`stack` with these fields changed in every block."""
    return replace(stack, blocks=tuple(replace(block, **fields) for block in stack.blocks))


def positions(stack: Stack, **fields: Any) -> Stack:
    """`stack` with these fields changed in its learned positions."""
    if not isinstance(stack.embed.position, Learned):
        raise TypeError(f"the stack has {stack.embed.position!r}, not learned positions")
    moved = replace(stack.embed.position, **fields)
    return replace(stack, embed=replace(stack.embed, position=moved))
