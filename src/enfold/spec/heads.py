"""Heads: what is put on a body."""

from __future__ import annotations

from dataclasses import dataclass

from enfold.spec.parts import Norm
from enfold.spec.show import Spec


@dataclass(frozen=True, slots=True)
class Base(Spec):
    """No head: the hidden states, and the pooled first token if `pooled`."""

    pooled: bool = False


@dataclass(frozen=True, slots=True)
class CausalLM(Spec):
    """Next-token logits.  `transform`: (act, norm) of a dense layer before the projection.

    `shift`: the label at t is the target at t - 1; without it, at t itself.
    """

    tied: bool = True
    transform: tuple[str, Norm] | None = None
    bias: bool = False
    shift: bool = True


@dataclass(frozen=True, slots=True)
class MaskedLM(Spec):
    """Logits of masked tokens; fields as in `CausalLM`.  `sentence`: next-sentence logits too."""

    tied: bool = True
    transform: tuple[str, Norm] | None = None
    bias: bool = True
    sentence: bool = False


@dataclass(frozen=True, slots=True)
class Seq2SeqLM(Spec):
    """Logits of an encoder-decoder.  `scale` multiplies the hidden states, `fixed_bias` is a stored
    buffer.

    `start` and `pad` shift labels to the right for the decoder's input.
    """

    tied: bool = True
    scale: float = 1.0
    fixed_bias: bool = False


@dataclass(frozen=True, slots=True)
class SequenceClassifier(Spec):
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
class TokenClassifier(Spec):
    """Class logits of each token."""

    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class Span(Spec):
    """Start and end logits of an answer (extractive question answering)."""

    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class MultipleChoice(Spec):
    """One logit per choice; inputs [batch, choices, time].  Fields as in `SequenceClassifier`."""

    pool: str
    hidden: str = ""
    dropout: float = 0.0


@dataclass(frozen=True, slots=True)
class NextSentence(Spec):
    """Whether the second text follows the first: 0 yes, 1 no."""


@dataclass(frozen=True, slots=True)
class DoubleHeads(Spec):
    """GPT-2's: next-token logits, and one logit per choice from the token at `mc_token_ids`."""

    tied: bool = True
    dropout: float = 0.0
    act: str = ""


Head = (Base | CausalLM | MaskedLM | Seq2SeqLM | SequenceClassifier | TokenClassifier | Span
        | MultipleChoice
        | NextSentence | DoubleHeads)  # fmt: skip
