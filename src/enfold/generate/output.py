"""What generate returns with return_dict_in_generate.

Tuples have one entry per new token.  B prompts, N num_return_sequences, K num_beams, V vocabulary

    sequences          [B * N, T]   prompt and new tokens; of an encoder-decoder the decoder's
    sequences_scores   [B * N]      beams: sum of log-probabilities / length ** length_penalty
    scores, logits     [B * N or B * K, V] each: after and before the processors
    beam_indices       [B * N, new] the row of scores that each token came from, -1 after the end
    attentions, hidden_states       what the model returned at that step, by layer
    past_key_values    the cache, to go on from
"""

from __future__ import annotations

from typing import Any, ClassVar

from enfold.generate.loop import Step
from enfold.nn.outputs import ModelOutput

ENCODER = ("encoder_attentions", "encoder_hidden_states", "decoder_attentions", "cross_attentions",
           "decoder_hidden_states", "past_key_values")
DECODER = ("attentions", "hidden_states", "past_key_values")


class GenerateDecoderOnlyOutput(ModelOutput):
    """Of a decoder, by greedy search or sampling."""

    FIELDS: ClassVar[tuple[str, ...]] = ("sequences", "scores", "logits", *DECODER)


class GenerateEncoderDecoderOutput(ModelOutput):
    """Of an encoder-decoder, by greedy search or sampling."""

    FIELDS: ClassVar[tuple[str, ...]] = ("sequences", "scores", "logits", *ENCODER)


class GenerateBeamDecoderOnlyOutput(ModelOutput):
    """Of a decoder, by beams."""

    FIELDS: ClassVar[tuple[str, ...]] = ("sequences", "sequences_scores", "scores", "logits",
                                         "beam_indices", *DECODER)


class GenerateBeamEncoderDecoderOutput(ModelOutput):
    """Of an encoder-decoder, by beams."""

    FIELDS: ClassVar[tuple[str, ...]] = ("sequences", "sequences_scores", "scores", "logits",
                                         "beam_indices", *ENCODER)


RESULTS = {
    (False, False): GenerateDecoderOnlyOutput,
    (True, False): GenerateEncoderDecoderOutput,
    (False, True): GenerateBeamDecoderOnlyOutput,
    (True, True): GenerateBeamEncoderDecoderOutput,
}
TRACES = ("attentions", "hidden_states", "decoder_attentions", "cross_attentions",
          "decoder_hidden_states")


class Record:
    """What of each step is kept, as the configuration's `output_*` ask."""

    def __init__(self, scores: bool = False, logits: bool = False, attentions: bool = False,
                 hidden_states: bool = False) -> None:
        wanted = {"attentions": attentions, "hidden_states": hidden_states}
        self.traces = [
            name for name in TRACES if any(name.endswith(k) and on for k, on in wanted.items())
        ]
        self.wanted = {"scores": scores, "logits": logits}
        self.steps: dict[str, list[Any]] = {}

    def add(self, step: Step) -> None:
        """Keep a step."""
        for name, on in self.wanted.items():
            if on:
                self.steps.setdefault(name, []).append(getattr(step, name))
        for name in self.traces:
            value = step.output.get(name)
            if value is not None:
                self.steps.setdefault(name, []).append(value)

    def fields(self, count: int) -> dict[str, tuple[Any, ...]]:
        """The first `count` steps, by field."""
        return {name: tuple(values[:count]) for name, values in self.steps.items()}
