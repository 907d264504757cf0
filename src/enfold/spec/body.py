"""Whole transformers: embedding, blocks, final norm."""

from __future__ import annotations

from dataclasses import dataclass

from enfold.spec.parts import Block, Norm
from enfold.spec.show import Spec


@dataclass(frozen=True, slots=True)
class Learned(Spec):
    """`count` positions, at row position + offset.  `pad`: count only tokens that aren't `pad`."""

    count: int
    offset: int = 0
    pad: int | None = None


@dataclass(frozen=True, slots=True)
class Sinusoid(Spec):
    """Fixed sines and cosines, halves concatenated.  Computed, never stored."""

    count: int


@dataclass(frozen=True, slots=True)
class Tokens(Spec):
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


@dataclass(frozen=True, slots=True)
class Stack(Spec):
    """Embedding, blocks, final norm.  `drop` skips whole layers in training (LayerDrop)."""

    dim: int
    blocks: tuple[Block, ...]
    embed: Tokens
    norm: Norm | None = None
    dropout: float = 0.0
    drop: float = 0.0


@dataclass(frozen=True, slots=True)
class EncDec(Spec):
    """An encoder and a decoder that attends to it.

    `share_embed`: one token table for both; `shift_inputs`: without decoder input it is the input,
    shifted.
    """

    encoder: Stack
    decoder: Stack
    share_embed: bool = True
    shift_inputs: bool = False


Body = Stack | EncDec
