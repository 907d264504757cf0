"""Attributes of other libraries' objects that are no part of what the object does.

Where it was read from, and what using it leaves behind: a tokenizer is the same before and after a
call, a model is the same wherever its folder lies.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

State = dict[str, Any]

_PATHS = {"name_or_path", "_name_or_path", "_commit_hash", "transformers_version"}
_TOKENIZER = _PATHS | {"init_kwargs", "verbose", "deprecation_warnings", "files_loaded",
                       "_in_target_context_manager", "_source", "_read_state"}


def describer(cls: type) -> Callable[[Any], Iterator[Any]] | None:
    """The describer of the tokenizers, configs and models that this file knows."""
    return _described if _rule(cls) else None


def _described(thing: Any) -> Iterator[Any]:
    cls: type = type(thing)
    rule, state = _rule(cls), thing.__getstate__()
    yield b"foreign"
    yield "class", cls.__name__, cls
    for name, value in sorted((rule(state) if rule else state).items()):
        yield name.encode()
        yield "attribute", name, value


def noise(cls: type) -> set[str]:
    """Attributes that any object of the class's library keeps for itself."""
    return _NOISE.get(cls.__module__.partition(".")[0], set())


def class_names(cls: type) -> list[str]:
    """The full names of a class and those it derives from, nearest first."""
    return [f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__]


@lru_cache(maxsize=1024)
def _rule(cls: type) -> Callable[[State], State] | None:
    return next((_RULES[name] for name in class_names(cls) if name in _RULES), None)


def _tokenizer(state: State) -> State:
    """transformers leaves the padding and truncation of the last call in the engine."""
    kept = {name: value for name, value in state.items() if name not in _TOKENIZER}
    engine = kept.get("_tokenizer")
    if engine is not None:
        told = json.loads(engine.to_str())
        kept["_tokenizer"] = {**told, "padding": None, "truncation": None}
        kept = {name: value for name, value in kept.items() if not name.endswith("_file")}
    return kept


def _config(state: State) -> State:
    kept = {name: value for name, value in state.items() if name not in _PATHS}
    if isinstance(values := kept.get("_values"), dict):  # enfold's keeps what it read in one place
        kept["_values"] = {key: value for key, value in values.items() if key not in _PATHS}
    return kept


def _module(state: State) -> State:
    return {name: value for name, value in state.items()
            if name not in _PATHS and name != "warnings_issued"}


def _compiled(state: State) -> State:
    """torch.compile wraps the module that counts."""
    return {"_modules": state["_modules"]}


def _pipeline(state: State) -> State:
    """How calls are batched, and how many there were, is no part of what a pipeline says."""
    return {name: value for name, value in state.items()
            if name not in ("scheduler", "call_count")}


_NOISE = {"pandas": {"_cache", "_readonly"}}
_RULES: dict[str, Callable[[State], State]] = {
    "enfold.text.tokenizer.Tokenizer": _tokenizer,
    "transformers.tokenization_utils_base.PreTrainedTokenizerBase": _tokenizer,
    "enfold.config.Config": _config,
    "transformers.configuration_utils.PreTrainedConfig": _config,
    "transformers.configuration_utils.PretrainedConfig": _config,
    "enfold.tasks.base.Pipeline": _pipeline,
    "transformers.pipelines.base.Pipeline": _pipeline,
    "torch._dynamo.eval_frame.OptimizedModule": _compiled,
    "torch.nn.modules.module.Module": _module,
}
