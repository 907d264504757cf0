"""Changes to an engine that a user asks for by keyword: case, prefix space, BOS and EOS."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tokenizers import Tokenizer as Rust
from tokenizers.processors import Sequence as Chain
from tokenizers.processors import TemplateProcessing

from enfold.errors import TokenizerError

NORMALIZER = {"do_lower_case": "lowercase", "strip_accents": "strip_accents",
              "tokenize_chinese_chars": "handle_chinese_chars"}
EDITS = (*NORMALIZER, "add_prefix_space")
Part = dict[str, Any]


def edit(rust: Rust, **options: Any) -> None:
    """Apply those of EDITS that are given to the engine's parts, in place."""
    fields = {NORMALIZER[key]: value for key, value in options.items() if key in NORMALIZER}
    if fields and not _patch(rust, "normalizer", lambda part: _normalize(part, fields)):
        raise TokenizerError(f"{', '.join(options)}: this tokenizer's normalizer is not BERT's, so "
                             "it has no such option. Do: leave it out")
    if (space := options.get("add_prefix_space")) is not None:
        found = _patch(rust, "pre_tokenizer", lambda part: _prefix(part, space))
        _patch(rust, "post_processor", lambda part: _prefix(part, space))
        _patch(rust, "decoder", lambda part: _prefix(part, space))
        if not found:
            raise TokenizerError("add_prefix_space: this tokenizer has no ByteLevel or Metaspace "
                                 "part that could add one. Do: leave it out")


def frame(rust: Rust, start: str | None, end: str | None) -> None:
    """Put `start` before and `end` after each text, replacing what the post-processor added."""
    single = " ".join(filter(None, [start and f"{start}:0", "$A:0", end and f"{end}:0"]))
    second = " ".join(filter(None, [start and f"{start}:1", "$B:1", end and f"{end}:1"]))
    tokens = {token: rust.token_to_id(token) for token in (start, end) if token}
    template = TemplateProcessing(single=single, pair=f"{single} {second}",
                                  special_tokens=list(tokens.items()))
    state = _state(rust.post_processor) or {}
    rust.post_processor = (Chain([_byte_level(state), template])
                           if "ByteLevel" in json.dumps(state) else template)


def _byte_level(state: Part) -> Any:
    """The part that trims offsets; it adds no tokens and stays."""
    from tokenizers.processors import ByteLevel

    parts = state.get("processors", [state])
    options = next(part for part in parts if part.get("type") == "ByteLevel")
    return ByteLevel(trim_offsets=options.get("trim_offsets", True))


def _patch(rust: Rust, name: str, change: Callable[[Part], bool]) -> bool:
    """Change every (nested) part of one stage; whether there was one to change."""
    part = getattr(rust, name)
    state = _state(part)
    if state is None or not _walk(state, change):
        return False
    part.__setstate__(json.dumps(state).encode())
    setattr(rust, name, part)
    return True


def _state(part: Any) -> Part | None:
    return None if part is None else dict(json.loads(part.__getstate__()))


def _walk(node: Any, change: Callable[[Part], bool]) -> bool:
    if isinstance(node, dict):
        here = change(node)
        return any([here, *(_walk(value, change) for value in list(node.values()))])
    found = [_walk(item, change) for item in node] if isinstance(node, list) else []
    return any(found)


def _normalize(part: Part, fields: Part) -> bool:
    if part.get("type") != "BertNormalizer":
        return False
    part.update(fields)
    return True


def _prefix(part: Part, space: bool) -> bool:
    if part.get("type") == "Metaspace":
        part.pop("add_prefix_space", None)
        part["prepend_scheme"] = "always" if space else "never"
    elif part.get("type") in ("ByteLevel", "RobertaProcessing"):
        part["add_prefix_space"] = space
    else:
        return False
    return True
