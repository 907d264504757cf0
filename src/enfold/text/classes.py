"""BertTokenizer, GPT2Tokenizer, ...: classes made from the rows of kinds.py when asked for."""

from __future__ import annotations

from functools import cache
from typing import Any

from enfold.text.kinds import GENERIC, KINDS, base_name
from enfold.text.tokenizer import Tokenizer

ALIASES = ("PreTrainedTokenizerFast", "PreTrainedTokenizer", "PreTrainedTokenizerBase",
           "TokenizersBackend")


def class_named(name: str | None) -> type[Tokenizer]:
    """The class of a name, with or without "Fast"; the generic one if it has no row."""
    base = base_name(name) or ""
    return _made(base) if base in KINDS and KINDS[base] is not GENERIC else Tokenizer


@cache
def _made(base: str) -> type[Tokenizer]:
    kind = KINDS[base]
    return type(base, (Tokenizer,), {
        "kind": kind, "__module__": __name__, "__qualname__": base,
        "model_input_names": kind.model_input_names, "padding_side": kind.side,
        "truncation_side": "right",
        "__doc__": f"A Tokenizer with {base}'s defaults: {dict(kind.roles)}, pads on the "
                   f"{kind.side}, returns {', '.join(kind.model_input_names)}."})


def __getattr__(name: str) -> Any:
    if name in ALIASES:
        return Tokenizer
    if base_name(name) in KINDS:
        return class_named(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*KINDS, *(f"{name}Fast" for name in KINDS), *ALIASES})
