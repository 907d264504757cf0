"""generate(): what `model.generate` calls.

    arguments -> resolve (one configuration) -> prepare (rows) -> Session -> decode or BeamSearch
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from enfold.errors import GenerationError
from enfold.generate.beam import BeamSearch, Rules
from enfold.generate.chain import Allowed, Situation, chain
from enfold.generate.checks import as_ids
from enfold.generate.config import FIELDS, GenerationConfig
from enfold.generate.loop import Sampler, decode, greedy
from enfold.generate.output import RESULTS, Record
from enfold.generate.processors import LogitsProcessorList
from enfold.generate.prompt import Prompt
from enfold.generate.resolve import bounds, resolve_chosen
from enfold.generate.rows import prepare
from enfold.generate.session import Session
from enfold.generate.stopping import Halt, MaxLengthCriteria, StoppingCriteriaList, criteria_of
from enfold.nn.outputs import ModelOutput

LOOK = 16  # steps between two looks at the finished rows on a GPU
UNCONDITIONAL = "pass a LogitsProcessor that mixes in the unconditional scores"
NOT_YET = {
    "assistant_model": "leave it out: plain decoding gives the same tokens",
    "assistant_tokenizer": "leave it out: there is no assisted decoding",
    "negative_prompt_ids": UNCONDITIONAL, "negative_prompt_attention_mask": UNCONDITIONAL,
    "custom_generate": "write a loop over enfold.generate.loop.decode",
    "synced_gpus": "generate on every process by itself",
}


def generate(model: Any, inputs: Tensor | None = None,
             generation_config: GenerationConfig | None = None,
             logits_processor: Iterable[Any] | None = None,
             stopping_criteria: Iterable[Any] | None = None,
             prefix_allowed_tokens_fn: Allowed | None = None, streamer: Any = None,
             tokenizer: Any = None, seed: int | None = None,
             generator: torch.Generator | None = None, use_model_defaults: bool | None = None,
             **kwargs: Any) -> Tensor | ModelOutput:
    """Tokens after a prompt: ids [B * num_return_sequences, T], or a result with its details.

    inputs: ids [B, T] of the prompt (of an encoder-decoder: of the encoder), or `input_ids=`, or
        `inputs_embeds=` [B, T, D], or nothing, to start from bos_token_id.  Padding is on either
        side; `attention_mask=` [B, T] says where.
    generation_config: settings that stand behind `kwargs` and before the checkpoint's.
    logits_processor, stopping_criteria: functions of (ids [B, T], scores), after the built-in ones.
    prefix_allowed_tokens_fn: (index of the prompt, ids [T]) -> the tokens that may follow.
    streamer: gets the tokens while they are made, by greedy search or sampling.
    tokenizer: for stop_strings.
    seed, generator: the source of randomness, by default torch's own (torch.manual_seed).
    use_model_defaults: False leaves the checkpoint's settings out.
    kwargs: fields of GenerationConfig, and inputs of the model.

    A decoder's rows start with the prompt, padded on the left.  With return_dict_in_generate the
    result is one of `output`'s classes.  Raises GenerationError for settings that contradict each
    other, mean nothing or have no effect, ArgumentError for unknown names.
    """
    try:
        _refuse_unknown_modes(kwargs)
        fields = {name: kwargs.pop(name) for name in list(kwargs) if name in FIELDS}
        config, chosen = resolve_chosen(model, generation_config, use_model_defaults, **fields)
        _check_extras(config, streamer, seed, generator)
        with torch.no_grad():
            call = _prepare(model, inputs, config, chosen, kwargs, (seed, generator))
            call.processors = chain(
                config, call.situation, prefix_allowed_tokens_fn, logits_processor
            )
            call.criteria = criteria_of(config, tokenizer, stopping_criteria)
            return _beams(call) if call.beams > 1 else _rows(call, streamer)
    except BaseException as error:
        _fail(streamer, error)
        raise


@dataclass(slots=True)
class Call:
    """One call of generate(), decided."""

    model: Any
    config: GenerationConfig
    prompt: Prompt
    situation: Situation
    session: Session
    record: Record
    generator: torch.Generator | None
    encoded: Any = None
    processors: LogitsProcessorList | None = None
    criteria: StoppingCriteriaList | None = None

    @property
    def beams(self) -> int:
        return self.config.num_beams or 1

    @property
    def keeps(self) -> bool:
        return bool(self.config.output_scores or self.config.output_logits)


def _prepare(model: Any, inputs: Any, config: GenerationConfig, chosen: set[str],
             given: dict[str, Any], randomness: tuple[int | None, torch.Generator | None]) -> Call:
    prompt = prepare(model, inputs, config, given)
    copies = max(config.num_beams or 1, config.num_return_sequences or 1)
    situation = _situation(model, prompt, config, chosen, copies)
    traced = {name: True for name in ("output_attentions", "output_hidden_states")
              if getattr(config, name) and config.return_dict_in_generate}
    if prompt.embeds is not None and not config.use_cache:
        raise GenerationError(
            "generate: inputs_embeds with use_cache=False: the new tokens have no "
            "embeddings to be read again. Do: leave use_cache out"
        )
    session = Session(model, prompt, situation.longest, copies=copies,
                      use_cache=bool(config.use_cache), trace=traced)
    keep = bool(config.return_dict_in_generate)
    record = Record(keep and bool(config.output_scores), keep and bool(config.output_logits),
                    "output_attentions" in traced, "output_hidden_states" in traced)
    return Call(model, config, prompt, situation, session, record,
                _generator(prompt.ids.device, *randomness), prompt.fixed.get("encoder_outputs"))


def _situation(model: Any, prompt: Prompt, config: GenerationConfig, chosen: set[str],
               copies: int) -> Situation:
    """Lengths in ids of a row, where max_length and min_length count embeddings too."""
    if config.max_new_tokens is None and config.max_length is None:
        warnings.warn("generate: stops after 20 new tokens, because neither max_new_tokens nor "
                      "max_length is set. Do: pass max_new_tokens", stacklevel=4)
    room = getattr(model.config, "max_position_embeddings", None)
    shortest, longest = bounds(config, chosen, prompt.length, room)
    start = prompt.ids.shape[1]
    unnamed = prompt.length - start
    padding = None
    if prompt.mask is not None and start:
        padding = prompt.mask[:, -start:].ne(0).int().argmax(1).repeat_interleave(copies)
    return Situation(start, shortest - unnamed, longest - unnamed, prompt.source, padding)


# ---- greedy search and sampling ------------------------------------------------------------------
def _rows(call: Call, streamer: Any) -> Tensor | ModelOutput:
    config, session, device = call.config, call.session, call.prompt.ids.device
    batch = call.prompt.ids.shape[0] * (config.num_return_sequences or 1)
    every = LOOK if device.type == "cuda" and streamer is None and not call.criteria else 1
    halt = Halt(batch, _longest(call), as_ids(config.eos_token_id), config.pad_token_id,
                call.criteria or StoppingCriteriaList(), device, every)
    choose = Sampler(call.generator) if config.do_sample else greedy
    if streamer is not None:
        streamer.put(session.ids.repeat_interleave(session.copies, 0).cpu())
    count = 0
    for step in decode(session, halt, call.processors, choose, keep=call.keeps):
        count += 1
        call.record.add(step)
        if streamer is not None:
            streamer.put(step.tokens.cpu())
    over = halt.overrun()
    session.crop(over)
    if streamer is not None:
        streamer.end()
    return _result(call, session.ids.clone(), call.record.fields(count - over))


# ---- beams ---------------------------------------------------------------------------------------
def _beams(call: Call) -> Tensor | ModelOutput:
    config = call.config
    ends, pad = as_ids(config.eos_token_id), config.pad_token_id
    rules = Rules(
        call.beams,
        _longest(call),
        ends,
        _fill(ends, pad),
        config.length_penalty or 0.0,
        config.early_stopping or False,
        bool(config.do_sample),
        call.generator,
        call.criteria,
    )
    search = BeamSearch(call.session, call.prompt.ids.shape[0], rules, call.processors,
                        trace=bool(config.return_dict_in_generate))
    for step in search.steps():
        call.record.add(step)
    ids, scores, trace = search.best(config.num_return_sequences or 1)
    fields: dict[str, Any] = {"beam_indices": trace, **call.record.fields(int(1e9))}
    if config.output_scores:
        fields["sequences_scores"] = scores
    return _result(call, ids, fields)


def _fill(ends: tuple[int, ...], pad: int | None) -> int:
    """What stands after the end of a shorter row: as in the reference, never a pad id of 0."""
    if ends:
        return pad or ends[0]
    return -1 if pad is None else pad


# ---- all -----------------------------------------------------------------------------------------
def _result(call: Call, sequences: Tensor, fields: dict[str, Any]) -> Tensor | ModelOutput:
    config = call.config
    if not config.return_dict_in_generate:
        return sequences
    encdec = bool(call.model.config.is_encoder_decoder)
    if encdec and call.encoded is not None:
        for name in ("attentions", "hidden_states"):
            if getattr(config, f"output_{name}"):
                fields[f"encoder_{name}"] = call.encoded.get(name)
    return RESULTS[encdec, call.beams > 1](sequences=sequences, past_key_values=call.session.cache,
                                           **fields)


def _longest(call: Call) -> int:
    """The length in ids; a MaxLengthCriteria of the caller's comes before the configuration."""
    own = [item.max_length for item in call.criteria or () if isinstance(item, MaxLengthCriteria)]
    return min(own, default=call.situation.longest)


def _generator(device: torch.device, seed: int | None,
               generator: torch.Generator | None) -> torch.Generator | None:
    return generator if seed is None else torch.Generator(device).manual_seed(seed)


def _refuse_unknown_modes(kwargs: dict[str, Any]) -> None:
    for name, instead in NOT_YET.items():
        value = kwargs.pop(name, None)
        if value is not None and value is not False:
            raise NotImplementedError(f"generate: {name} is not implemented. Do: {instead}")


def _check_extras(config: GenerationConfig, streamer: Any, seed: int | None,
                  generator: torch.Generator | None) -> None:
    if streamer is not None and (config.num_beams or 1) > 1:
        raise GenerationError(
            f"generate: a streamer with num_beams={config.num_beams}: beams know their "
            "tokens at the end only. Do: set num_beams=1, or leave streamer out"
        )
    if seed is not None and generator is not None:
        raise GenerationError("generate: got seed and generator. Do: pass one")
    if (seed is not None or generator is not None) and not config.do_sample:
        name = "generator" if seed is None else "seed"
        raise GenerationError(f"generate: {name} has no effect with do_sample=False. "
                              f"Do: set do_sample=True to sample, or leave {name} out")


def _fail(streamer: Any, error: BaseException) -> None:
    """Let the reader of a stream know; streamers written for another library have only `end`."""
    if streamer is not None:
        streamer.fail(error) if hasattr(streamer, "fail") else streamer.end()
