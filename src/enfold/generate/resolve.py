"""One configuration out of the call's arguments, its GenerationConfig, the checkpoint, `DEFAULTS`.

Nothing below generate() looks anything up again; `print(resolve(model, ...))` shows what it does.
"""

from __future__ import annotations

import copy
from typing import Any, Protocol

from enfold.errors import GenerationError, unknown_arguments
from enfold.generate import checks
from enfold.generate.config import DEFAULTS, FIELDS, GenerationConfig

PAIRS = (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens"))
REQUIRED = (
    "do_sample",
    "num_beams",
    "num_return_sequences",
    "use_cache",
    "early_stopping",
    "length_penalty",
    "min_length",
)  # None can't turn these off
MODES = {"do_sample", "num_beams", "return_dict_in_generate"}


class HasGenerationConfig(Protocol):
    """A model, as far as resolving goes."""

    generation_config: GenerationConfig | None


def resolve(model: HasGenerationConfig, generation_config: GenerationConfig | None = None,
            use_model_defaults: bool | None = None, **kwargs: Any) -> GenerationConfig:
    """The configuration that `generate(..., generation_config, **kwargs)` would follow.

    Every field is decided.  An argument given as None turns the checkpoint's value off.
    `max_length` stays None unless some place sets it: then 20 new tokens are made.  Raises
    ArgumentError for a name that is no field, GenerationError for values that mean nothing,
    contradict each other or have no effect, NotImplementedError for modes not there yet.
    """
    return resolve_chosen(model, generation_config, use_model_defaults, **kwargs)[0]


def resolve_chosen(
    model: HasGenerationConfig,
    generation_config: GenerationConfig | None = None,
    use_model_defaults: bool | None = None,
    **kwargs: Any,
) -> tuple[GenerationConfig, set[str]]:
    """`resolve`, and the names that the caller chose rather than the checkpoint."""
    unknown = [name for name in kwargs if name not in FIELDS]
    if unknown:
        raise unknown_arguments("generate", unknown, FIELDS)
    values: dict[str, Any] = {}
    for config in (
        model.generation_config if use_model_defaults is not False else None,
        generation_config,
    ):
        chosen = set() if config is None else _override(values, *_values(config))
    if kwargs.keys() & MODES:
        chosen = (
            set()
        )  # the call changes the mode of its generation_config, whose settings may then rest
    chosen |= _override(
        values, kwargs, {name for name, value in kwargs.items() if value is not None}
    )
    resolved = _complete(values)
    checks.ranges(resolved)
    checks.later(resolved)
    checks.conflicts(resolved, chosen)
    checks.ignored(resolved, chosen)
    return resolved, chosen


def bounds(
    config: GenerationConfig, chosen: set[str], prompt: int, positions: int | None
) -> tuple[int, int]:
    """(shortest, longest) length, prompt included; `positions`: what the model has, if known."""
    if config.max_new_tokens is not None:
        longest = prompt + config.max_new_tokens
    elif config.max_length is not None:
        longest = config.max_length
    else:
        longest = prompt + DEFAULTS["max_length"]
        longest = min(longest, positions) if positions and positions > prompt else longest
    checks.lengths(config, chosen, prompt, longest)
    shortest = max(
        config.min_length or 0, prompt + config.min_new_tokens if config.min_new_tokens else 0
    )
    return shortest, longest


def _values(config: GenerationConfig) -> tuple[dict[str, Any], set[str]]:
    """The fields that `config` sets, and which of them were chosen by hand."""
    if isinstance(config, GenerationConfig):
        values, chosen = config.given(), config.chosen()
    elif hasattr(config, "to_dict"):  # another library's
        values = {name: value for name, value in config.to_dict().items() if value is not None}
        chosen = set(values)
    else:
        raise GenerationError(
            f"generate: generation_config is a {type(config).__name__}, expected a "
            "GenerationConfig. Do: GenerationConfig(**values)"
        )
    return {name: value for name, value in values.items() if name in FIELDS}, chosen & FIELDS


def _override(values: dict[str, Any], stronger: dict[str, Any], chosen: set[str]) -> set[str]:
    """Put `stronger` over `values`; a length chosen one way replaces it given the other way."""
    for total, new in PAIRS:
        for name, other in ((total, new), (new, total)):
            if name in chosen and other not in chosen:
                values.pop(other, None)
                stronger = {key: value for key, value in stronger.items() if key != other}
    values.update(stronger)
    return chosen


def _complete(values: dict[str, Any]) -> GenerationConfig:
    config = GenerationConfig.from_dict(copy.copy(values))
    for name, default in DEFAULTS.items():
        if name != "max_length" and (
            name not in values or (values[name] is None and name in REQUIRED)
        ):
            setattr(config, name, default)
    if config.cache_implementation == "hybrid":
        config.cache_implementation = None
    eos = checks.as_ids(config.eos_token_id)
    if config.pad_token_id is None and eos:
        config.pad_token_id = eos[0]
    return config  # type: ignore[no-any-return]
