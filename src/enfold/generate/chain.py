"""The processors that a configuration asks for, in the order they are applied.

First what edits single scores, then the caller's own, then what shapes the distribution to sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from enfold.errors import GenerationError
from enfold.generate import penalties as pen
from enfold.generate import processors as pro
from enfold.generate import warpers as warp
from enfold.generate.checks import as_ids
from enfold.generate.config import GenerationConfig

Allowed = Callable[[int, Tensor], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Situation:
    """What processors need to know besides the configuration.

    prompt, shortest, longest: lengths of a row in ids.
    source: ids [B, S] of the encoder's input or the prompt, None for embeddings.
    padding: masked ids on the left of each row [B * copies], None without padding.
    """

    prompt: int
    shortest: int
    longest: int
    source: Tensor | None = None
    padding: Tensor | None = None


def chain(config: GenerationConfig, at: Situation, allowed: Allowed | None = None,
          own: Iterable[Any] | None = None) -> pro.LogitsProcessorList:
    """All processors of a call; empty where the scores are taken as they are."""
    made = [*_before(config, at), *_forcing(config, at, allowed), *_shaping(config, at)]
    found = merged(made, own)
    found += _sampling(config) if config.do_sample else ()
    if config.renormalize_logits:
        found.append(pro.LogitNormalization())
    return pro.LogitsProcessorList(found)


def merged(made: Sequence[Any], own: Iterable[Any] | None) -> list[Any]:
    """`made` and then `own`; one of the caller's replaces the one of its type that was made."""
    own = list(own or ())
    by_type = {type(item): item for item in reversed(own)}
    replaced = [by_type.get(type(item), item) for item in made]
    return replaced + [item for item in own if not any(item is other for other in replaced)]


def _before(config: GenerationConfig, at: Situation) -> Iterator[pro.LogitsProcessor]:
    """By what was written."""
    if config.sequence_bias is not None:
        yield pen.SequenceBiasLogitsProcessor(config.sequence_bias)
    if config.encoder_repetition_penalty not in (None, 1.0):
        yield pen.EncoderRepetitionPenaltyLogitsProcessor(
            config.encoder_repetition_penalty, _source(at, "encoder_repetition_penalty"))
    if config.repetition_penalty not in (None, 1.0):
        yield pen.RepetitionPenaltyLogitsProcessor(config.repetition_penalty, at.padding)
    if config.no_repeat_ngram_size:
        yield pen.NoRepeatNGramLogitsProcessor(config.no_repeat_ngram_size)
    if config.encoder_no_repeat_ngram_size:
        yield pen.EncoderNoRepeatNGramLogitsProcessor(
            config.encoder_no_repeat_ngram_size, _source(at, "encoder_no_repeat_ngram_size"))
    if config.bad_words_ids is not None:
        yield pen.NoBadWordsLogitsProcessor(config.bad_words_ids, config.eos_token_id)


def _forcing(config: GenerationConfig, at: Situation,
             allowed: Allowed | None) -> Iterator[pro.LogitsProcessor]:
    """By where we are."""
    ends = as_ids(config.eos_token_id)
    if ends and at.shortest > at.prompt:
        yield pro.MinLengthLogitsProcessor(at.shortest, ends)
    if allowed is not None:
        yield pro.PrefixConstrainedLogitsProcessor(allowed, config.num_beams or 1)
    if config.forced_bos_token_id is not None:
        yield pro.ForcedBOSTokenLogitsProcessor(config.forced_bos_token_id)
    if config.forced_eos_token_id is not None:
        yield pro.ForcedEOSTokenLogitsProcessor(at.longest, config.forced_eos_token_id)


def _shaping(config: GenerationConfig, at: Situation) -> Iterator[pro.LogitsProcessor]:
    if config.remove_invalid_values:
        yield pro.InfNanRemoveLogitsProcessor()
    if config.exponential_decay_length_penalty is not None:
        if config.eos_token_id is None:
            raise GenerationError(
                "generate: exponential_decay_length_penalty has no effect without "
                "an end. Do: set eos_token_id, or leave it out"
            )
        yield pro.ExponentialDecayLengthPenalty(
            config.exponential_decay_length_penalty, config.eos_token_id, at.prompt)
    if config.suppress_tokens is not None:
        yield pro.SuppressTokensLogitsProcessor(config.suppress_tokens)
    if config.begin_suppress_tokens is not None:
        forced = at.prompt <= 1 and config.forced_bos_token_id is not None
        yield pro.SuppressTokensAtBeginLogitsProcessor(config.begin_suppress_tokens,
                                                       at.prompt + forced)


def _sampling(config: GenerationConfig) -> Iterator[pro.LogitsProcessor]:
    keep = len(as_ids(config.eos_token_id)) + 1 if (config.num_beams or 1) > 1 else 1
    keep = max(keep, 2) if (config.num_beams or 1) > 1 else keep
    if config.temperature not in (None, 1.0):
        yield warp.TemperatureLogitsWarper(config.temperature)
    if config.top_h is not None:
        yield warp.TopHLogitsWarper(config.top_h)
    if config.top_k:
        yield warp.TopKLogitsWarper(config.top_k, min_tokens_to_keep=keep)
    for value, idle, made in ((config.top_p, 1.0, warp.TopPLogitsWarper),
                              (config.min_p, None, warp.MinPLogitsWarper),
                              (config.typical_p, 1.0, warp.TypicalLogitsWarper),
                              (config.epsilon_cutoff, 0.0, warp.EpsilonLogitsWarper),
                              (config.eta_cutoff, 0.0, warp.EtaLogitsWarper)):
        if value not in (None, idle):
            yield made(value, min_tokens_to_keep=keep)


def _source(at: Situation, name: str) -> Tensor:
    if at.source is None:
        raise GenerationError(f"generate: {name} needs input_ids, got embeddings or the encoder's "
                              f"output. Do: pass input_ids too, or leave {name} out")
    return at.source
