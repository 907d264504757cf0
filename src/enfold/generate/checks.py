"""What generate() refuses: values that mean nothing or have no effect, modes not there yet.

`ranges` judges single values wherever they come from.  `ignored` and `conflicts` judge only what
the caller gave, because published checkpoints carry harmless leftovers (a temperature with
do_sample false).
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, NamedTuple

from enfold.errors import GenerationError

if TYPE_CHECKING:
    from enfold.generate.config import GenerationConfig

Test = Callable[[Any], bool]


def ranges(config: GenerationConfig) -> None:
    """Raise for the first value that means nothing."""
    for name, (test, expected) in RANGES.items():
        value = getattr(config, name)
        if value is not None and not _holds(test, value):
            raise GenerationError(f"generate: {name}={value!r}, expected {expected}")


def ignored(config: GenerationConfig, chosen: AbstractSet[str]) -> None:
    """Raise for a value in `chosen` that the rest of `config` leaves without effect."""
    for name, (need, idle) in NEEDS.items():
        value = getattr(config, name)
        if name in chosen and value is not None and value not in idle and not need.met(config):
            raise GenerationError(f"generate: {name}={value!r} has no effect with {need.lacking}. "
                                  f"Do: {need.remedy}, or leave {name} out")


def conflicts(config: GenerationConfig, chosen: AbstractSet[str]) -> None:
    """Raise for settings that contradict each other."""
    count, beams = config.num_return_sequences or 1, config.num_beams or 1
    if count > beams and not (config.do_sample and beams == 1):
        raise GenerationError(
            f"generate: num_return_sequences={count} with num_beams={beams} and "
            f"do_sample={bool(config.do_sample)}: there are only {beams} different sequences. "
            f"Do: set num_beams to at least {count}, or do_sample=True with num_beams=1")
    for longer, shorter in (("max_new_tokens", "max_length"), ("min_new_tokens", "min_length")):
        if longer in chosen and shorter in chosen:
            raise GenerationError(
                f"generate: {longer}={getattr(config, longer)} and "
                f"{shorter}={getattr(config, shorter)} both bound the length. Do: give one"
            )
    if config.do_sample and config.temperature == 0:
        raise GenerationError(
            "generate: temperature=0 can't be sampled from. Do: set do_sample=False for "
            "the most likely tokens"
        )
    _forced_and_suppressed(config)


def lengths(config: GenerationConfig, chosen: AbstractSet[str], prompt: int, longest: int) -> None:
    """Raise for lengths that don't fit the prompt; `longest` includes it."""
    if longest <= prompt:
        raise GenerationError(f"generate: max_length={longest} but the prompt has {prompt} tokens. "
                              "Do: set max_new_tokens, which doesn't count the prompt")
    shortest = max(config.min_length or 0, prompt + (config.min_new_tokens or 0))
    if shortest > longest and chosen & {"min_length", "min_new_tokens"}:
        name = "min_new_tokens" if config.min_new_tokens else "min_length"
        raise GenerationError(
            f"generate: {name}={getattr(config, name)} asks for {shortest} tokens in all, "
            f"the maximum is {longest}. Do: lower {name} or raise max_new_tokens"
        )


def later(config: GenerationConfig) -> None:
    """Raise NotImplementedError for the modes that are not there yet."""
    for name, (test, instead) in LATER.items():
        value = getattr(config, name)
        if value is not None and test(value):
            raise NotImplementedError(
                f"generate: {name}={value!r} is not implemented. Do: {instead}"
            )


def _forced_and_suppressed(config: GenerationConfig) -> None:
    suppressed = set(config.suppress_tokens or ())
    for name in ("forced_bos_token_id", "forced_eos_token_id"):
        forced = as_ids(getattr(config, name))
        if forced and suppressed.issuperset(forced):
            raise GenerationError(
                f"generate: {name}={getattr(config, name)} is also in suppress_tokens, so "
                "that no token is left. Do: take it out of one of them"
            )


def as_ids(value: Any) -> tuple[int, ...]:
    """Token ids given as None, a number, a list or a tensor."""
    if value is None:
        return ()
    value = value.tolist() if hasattr(value, "tolist") else value
    return (value,) if isinstance(value, int) else tuple(value)


def _holds(test: Test, value: Any) -> bool:
    try:
        return test(value)
    except TypeError:
        return False


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _id_lists(value: Any) -> bool:
    return bool(value) and all(
        isinstance(ids, list | tuple) and ids and all(map(_token, ids)) for ids in value
    )


def _token(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and value >= 0


def _biases(value: Any) -> bool:
    pairs = value.items() if isinstance(value, dict) else value
    return bool(value) and all(ids and all(map(_token, ids)) and isinstance(bias, float | int)
                               for ids, bias in pairs)


def _strings(value: Any) -> bool:
    values = [value] if isinstance(value, str) else list(value)
    return bool(values) and all(isinstance(text, str) and text for text in values)


COUNT: tuple[Test, str] = (lambda v: _whole(v) and v >= 1, "a whole number of at least 1")
SIZE: tuple[Test, str] = (lambda v: _whole(v) and v >= 0, "a whole number of at least 0")
SHARE: tuple[Test, str] = (lambda v: 0 <= v <= 1, "a number from 0 to 1")
POSITIVE: tuple[Test, str] = (lambda v: v > 0, "a number above 0")
TOKENS: tuple[Test, str] = (lambda v: all(map(_token, v)), "a list of token ids")
RANGES: dict[str, tuple[Test, str]] = {
    "max_new_tokens": COUNT, "max_length": COUNT, "min_new_tokens": SIZE, "min_length": SIZE,
    "num_beams": COUNT, "num_return_sequences": COUNT, "max_time": POSITIVE,
    "temperature": (lambda v: v >= 0, "a number of at least 0"),
    "top_k": SIZE, "top_p": SHARE, "min_p": SHARE,
    "top_h": (lambda v: 0 < v <= 1, "a number above 0, up to 1"),
    "typical_p": (lambda v: 0 < v <= 1, "a number above 0, up to 1"),
    "epsilon_cutoff": (lambda v: 0 <= v < 1, "a number from 0, below 1"),
    "eta_cutoff": (lambda v: 0 <= v < 1, "a number from 0, below 1"),
    "repetition_penalty": POSITIVE, "encoder_repetition_penalty": POSITIVE,
    "no_repeat_ngram_size": SIZE, "encoder_no_repeat_ngram_size": SIZE,
    "early_stopping": (lambda v: isinstance(v, bool) or v == "never", "True, False or 'never'"),
    "bad_words_ids": (_id_lists, "a non-empty list of non-empty lists of token ids"),
    "sequence_bias": (_biases, "{(id, ...): bias} or [[[id, ...], bias], ...], not empty"),
    "suppress_tokens": TOKENS, "begin_suppress_tokens": TOKENS,
    "stop_strings": (_strings, "a string or a list of strings, none of them empty"),
    "exponential_decay_length_penalty": (lambda v: len(v) == 2 and v[0] >= 0 and v[1] > 0,
                                         "(start in new tokens, factor above 0)"),
}  # fmt: skip


class Need(NamedTuple):
    """What a field needs in order to have an effect."""

    met: Callable[[GenerationConfig], bool]
    lacking: str
    remedy: str


SAMPLING = Need(lambda c: bool(c.do_sample), "do_sample=False", "set do_sample=True to sample")
BEAMS = Need(lambda c: (c.num_beams or 1) > 1, "num_beams=1", "set num_beams above 1")
RESULT = Need(lambda c: bool(c.return_dict_in_generate), "return_dict_in_generate=False",
              "set return_dict_in_generate=True")
ASSISTANT = Need(lambda c: False, "no assistant, and assisted generation is not implemented",
                 "decode plainly: the tokens are the same")
# field -> (what it needs, the values that ask for nothing)
NEEDS: dict[str, tuple[Need, tuple[Any, ...]]] = {
    "temperature": (SAMPLING, (0, 1)), "top_k": (SAMPLING, (0, 50)), "top_p": (SAMPLING, (1,)),
    "min_p": (SAMPLING, (0,)), "top_h": (SAMPLING, ()), "typical_p": (SAMPLING, (1,)),
    "epsilon_cutoff": (SAMPLING, (0,)), "eta_cutoff": (SAMPLING, (0,)),
    "length_penalty": (BEAMS, (1,)), "early_stopping": (BEAMS, (False,)),
    **dict.fromkeys(("output_scores", "output_logits", "output_attentions", "output_hidden_states"),
                    (RESULT, (False,))),
    **dict.fromkeys(("num_assistant_tokens", "num_assistant_tokens_schedule",
                     "max_matching_ngram_size", "assistant_confidence_threshold",
                     "assistant_lookbehind", "target_lookbehind", "assistant_ensemble_weight",
                     "speculation_type"), (ASSISTANT, ())),
}  # fmt: skip

# field -> (whether the value asks for it, what to do instead)
ANY: Test = lambda value: value is not False  # noqa: E731
LATER: dict[str, tuple[Test, str]] = {
    "cache_implementation": (
        lambda v: v not in ("dynamic", "static", "hybrid"),
        "leave it out; the cache is preallocated and grows by itself",
    ),
    "cache_config": (ANY, "leave it out"),
    "max_cache_len": (ANY, "leave it out; the cache grows by itself"),
    "return_legacy_cache": (ANY, "call past_key_values.to_legacy_cache()"),
    "prefill_chunk_size": (ANY, "leave it out; the prompt is read in one pass"),
    "compile_config": (ANY, "call torch.compile on the model yourself"),
    "continuous_batching_config": (ANY, "give a batch of prompts to generate()"),
    "token_healing": (ANY, "end the prompt before the last incomplete word"),
    "guidance_scale": (
        lambda v: v != 1,
        "pass a LogitsProcessor that mixes in the unconditional scores",
    ),
    "watermarking_config": (ANY, "pass a LogitsProcessor that favours the marked tokens"),
    "low_memory": (ANY, "lower num_beams"),
    "penalty_alpha": (lambda v: v > 0, "sample with do_sample=True and a repetition_penalty"),
    "dola_layers": (ANY, "use greedy search with repetition_penalty=1.2"),
    "num_beam_groups": (lambda v: v > 1, "use beam sampling: num_beams and do_sample=True"),
    "diversity_penalty": (lambda v: v > 0, "use beam sampling: num_beams and do_sample=True"),
    "constraints": (ANY, "use prefix_allowed_tokens_fn or sequence_bias"),
    "force_words_ids": (ANY, "use prefix_allowed_tokens_fn or sequence_bias"),
    "use_mtp": (ANY, "leave it out"),
    "assistant_early_exit": (ANY, "leave it out: plain decoding gives the same tokens"),
    "prompt_lookup_num_tokens": (ANY, "leave it out: plain decoding gives the same tokens"),
    "is_assistant": (ANY, "leave it out"),
}
