"""A tokenizer as GGUF metadata, as llama.cpp's converter writes it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from enfold.errors import TokenizerError
from enfold.text.convert import proto
from enfold.text.gguf.pre import GPT2, PRE
from enfold.text.gguf.read import (
    BYTE,
    CONTROL,
    KEY,
    NORMAL,
    ROLES,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
)

if TYPE_CHECKING:
    from enfold.text.tokenizer import Tokenizer

Part = dict[str, Any]
SPELT = {"sep": "seperator"}  # as the format has it
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
LEAST = -1000.0  # the score of a token that is no piece
INSTEAD = "Do: convert without the tokenizer, and use it outside of llama.cpp"


def tokenizer_metadata(tokenizer: Tokenizer, size: int) -> dict[str, Any]:
    """The keys `tokenizer.*` of a tokenizer, padded to the `size` of the model's embedding.

    Raises NotImplementedError for one that llama.cpp could not run with equal ids, TokenizerError
    if it has more tokens than the model.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens, types = _tokens(tokenizer, size)
    made: dict[str, Any] = {f"{KEY}model": "gpt2", f"{KEY}pre": "default"}
    if state["model"].get("type") != "BPE":
        raise NotImplementedError(f"a {state['model'].get('type')} tokenizer can't be written as "
                                  f"GGUF. Expected BPE. {INSTEAD}")
    if _byte_level(state):
        made[f"{KEY}pre"] = _pre(state)
        made |= _lists(tokens, types) | {f"{KEY}merges": _merges(state["model"])}
    else:
        made[f"{KEY}model"] = "llama"
        made |= {f"{KEY}add_space_prefix": _prefixed(state)}
        types = [_piece_type(token, kind, state["model"].get("unk_token"))
                 for token, kind in zip(tokens, types, strict=True)]
        made |= {f"{KEY}scores": _scores(tokenizer, state["model"], tokens)}
        made |= _lists(tokens, types)
    return made | _roles(tokenizer) | _templates(tokenizer)


def _tokens(tokenizer: Tokenizer, size: int) -> tuple[list[str], list[int]]:
    """Tokens and their types, ids that none has filled up."""
    by_id = {index: token for token, index in tokenizer.get_vocab().items()}
    if by_id and max(by_id) >= size:
        raise TokenizerError(f"the tokenizer has the id {max(by_id)}, but the model's embedding "
                             f"has {size} rows. Do: give the model's own tokenizer")
    added = tokenizer.added_tokens_decoder
    tokens = [by_id.get(index, f"[PAD{index}]") for index in range(size)]
    types = [UNUSED if index not in by_id else NORMAL if index not in added
             else CONTROL if added[index].special else USER_DEFINED for index in range(size)]
    return tokens, types


def _lists(tokens: list[str], types: list[int]) -> dict[str, Any]:
    return {f"{KEY}tokens": tokens, f"{KEY}token_type": types}


def _byte_level(state: Part) -> bool:
    return any(part["type"] == "ByteLevel" for part in _parts(state["pre_tokenizer"]))


def _parts(stage: Part | None) -> list[Part]:
    """The parts of a stage, sequences written out."""
    if stage is None:
        return []
    if stage["type"] != "Sequence":
        return [stage]
    inner = stage.get("pretokenizers") or stage.get("normalizers") or []
    return [part for one in inner for part in _parts(one)]


def _pre(state: Part) -> str:
    """llama.cpp's name for how words are cut."""
    odd = [part["type"] for part in _parts(state["normalizer"]) if part["type"] != "NFC"]
    patterns = tuple(filter(None, map(_pattern, _parts(state["pre_tokenizer"]))))
    whole = bool(state["model"].get("ignore_merges"))
    alike = [name for name, pre in PRE.items() if name != "default"
             and (pre.patterns or (GPT2,)) == patterns]
    if odd or not alike:
        raise NotImplementedError(
            "llama.cpp has no name for how this tokenizer prepares text "
            f"({', '.join(odd) or json.dumps(state['pre_tokenizer'])[:300]}). {INSTEAD}")
    return next((name for name in alike if PRE[name].whole == whole), alike[0])


def _pattern(part: Part) -> str | None:
    """A part of a pre-tokenizer as a regular expression; "" for one that is none of ours."""
    if part["type"] == "ByteLevel":
        return "(prefix)" if part["add_prefix_space"] else GPT2 if part["use_regex"] else None
    if part["type"] == "Digits" and part["individual_digits"]:
        return r"\p{N}"
    if part["type"] == "Split" and part["behavior"] == "Isolated" and not part["invert"]:
        return str(part["pattern"].get("Regex", "(text)"))
    return f"({part['type']})"


def _merges(model: Part) -> list[str]:
    return [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]


def _prefixed(state: Part) -> bool:
    """Whether a space goes before a text."""
    parts = [*_parts(state["normalizer"]), *_parts(state["pre_tokenizer"])]
    known = {"Prepend", "Replace", "Metaspace"}
    odd = [part["type"] for part in parts if part["type"] not in known]
    if odd or not state["model"].get("byte_fallback"):
        raise NotImplementedError("only SentencePiece's BPE with byte fallback and byte-level BPE "
                                  f"can be written as GGUF, not one with {', '.join(odd) or 'none'}"
                                  f". {INSTEAD}")
    return any(part["type"] == "Prepend" or part.get("prepend_scheme") in ("first", "always")
               for part in parts)


def _piece_type(token: str, kind: int, unknown: str | None) -> int:
    if token == unknown:
        return UNKNOWN
    return BYTE if _BYTE.fullmatch(token) and kind == NORMAL else kind


def _scores(tokenizer: Tokenizer, model: Part, tokens: list[str]) -> list[float]:
    """SentencePiece's own scores if its file is there, else the order of the merges as scores."""
    path = tokenizer._source.files.get("tokenizer.model")
    if path is not None and proto.looks_like_model(path):
        own = {piece.text: piece.score for piece in proto.read_model(path).pieces}
    else:
        own = {}
        for rank, merge in enumerate(_merges(model)):
            own.setdefault(merge.replace(" ", "", 1), -float(rank))
        own = dict.fromkeys(model["vocab"], -float(len(model["merges"]))) | own
    return [own.get(token, LEAST) for token in tokens]


def _roles(tokenizer: Tokenizer) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for role, names in ROLES.items():
        index = getattr(tokenizer, f"{role}_token_id")
        if index is not None:
            found[f"{KEY}{SPELT.get(role, names[0])}_token_id"] = index
    return found | {f"{KEY}add_bos_token": tokenizer.add_bos_token,
                    f"{KEY}add_eos_token": tokenizer.add_eos_token}


def _templates(tokenizer: Tokenizer) -> dict[str, Any]:
    template = tokenizer.chat_template
    if not template:
        return {}
    start = "tokenizer.chat_template"
    if not isinstance(template, Mapping):
        return {start: template}
    named = {f"{start}.{name}": text for name, text in template.items() if name != "default"}
    default = {start: template["default"]} if "default" in template else {}
    return {"tokenizer.chat_templates": sorted(set(template) - {"default"})} | default | named
