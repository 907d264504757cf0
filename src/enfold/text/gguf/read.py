"""The tokenizer of a GGUF file: tokens, scores or merges, types and special ids in its metadata.

    tokenizer.ggml.model   llama: SentencePiece's BPE    gpt2: BPE over bytes    bert: WordPiece
    tokenizer.ggml.tokens, .token_type, .scores or .merges, .bos_token_id, ..., .pre (see pre.py)
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Rust
from tokenizers import models

from enfold.errors import TokenizerError
from enfold.text.convert import bpe, proto, sentencepiece, special, wordpiece
from enfold.text.convert.recipes import RECIPES, Recipe
from enfold.text.gguf.pre import pre_named

log = logging.getLogger("enfold")

KEY = "tokenizer.ggml."
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # types, as SentencePiece's
ROLES = {"bos": ("bos",), "eos": ("eos",), "unk": ("unknown",), "pad": ("padding",),
         "sep": ("separator", "seperator"), "cls": ("cls",), "mask": ("mask",)}
# ids that llama.cpp takes where a file gives none
USUAL = {"llama": {"bos": 1, "eos": 2, "unk": 0}, "gpt2": {},
         "bert": {"unk": 100, "sep": 102, "pad": 0, "cls": 101, "mask": 103}}
CLASSES = {"bert": "BertTokenizer"}  # the others' roles are all in the file


def read_tokenizer(path: Path, metadata: Mapping[str, Any]) -> tuple[Rust, dict[str, Any]]:
    """(engine, what tokenizer_config.json would hold) of a file's metadata.

    Raises TokenizerError for a vocabulary that is incomplete or contradicts itself,
    NotImplementedError for a kind that has no exact counterpart here.
    """
    name = metadata.get(f"{KEY}model")
    if name is None:
        raise TokenizerError(f"{path}: no vocabulary (no {KEY}model). Do: load the tokenizer of "
                             "the model that the file was made of")
    if name not in BUILDERS:
        raise NotImplementedError(f"{path}: {KEY}model is {name!r}, which is not built. Expected "
                                  f"one of {', '.join(BUILDERS)}. Do: load the tokenizer of the "
                                  "model that the file was made of")
    vocabulary = Vocabulary(path, name, metadata)
    config = vocabulary.config()
    engine, recipe = BUILDERS[name](vocabulary, config)
    special.install(engine, {}, recipe, config)
    if name in CLASSES:
        config["tokenizer_class"] = CLASSES[name]
    return engine, config


class Vocabulary:
    """The tokens of a file, checked."""

    def __init__(self, path: Path, name: str, metadata: Mapping[str, Any]) -> None:
        self.path, self.name, self._metadata = path, name, metadata
        self.tokens: list[str] = self._list("tokens", str)
        if not self.tokens:
            raise TokenizerError(f"{path}: {KEY}tokens is empty or missing. Expected the "
                                 "vocabulary. Do: convert the model again")
        self.types: list[int] = self._list("token_type", int) or [NORMAL] * len(self.tokens)
        if len(self.types) != len(self.tokens):
            raise self.error("token_type", f"{len(self.types)} types for {len(self.tokens)} tokens")

    def get(self, key: str, default: Any = None) -> Any:
        return self._metadata.get(KEY + key, default)

    def error(self, key: str, what: str) -> TokenizerError:
        return TokenizerError(f"{self.path}: {KEY}{key}: {what}. Do: convert the model again")

    def ids(self) -> dict[str, int]:
        """Token -> id; of a token that is there twice, the last."""
        return {token: index for index, token in enumerate(self.tokens)}

    def scores(self) -> list[float]:
        found = self._list("scores", (int, float))
        if len(found) != len(self.tokens):
            raise self.error("scores", f"{len(found)} scores for {len(self.tokens)} tokens")
        return found

    def merges(self, known: Mapping[str, int]) -> list[tuple[str, str]]:
        """The pairs to join, best first."""
        found = []
        for text in self._list("merges", str):
            cut = text.find(" ", 1)
            pair = (text[:cut], text[cut + 1:])
            if cut < 0 or not all(part in known for part in (*pair, "".join(pair))):
                raise self.error("merges", f"{text!r:.80} does not join two tokens to a third")
            found.append(pair)
        return found

    def token(self, role: str) -> str | None:
        """The token of a role."""
        keys = [f"{key}_token_id" for key in ROLES[role]]
        index = next((self.get(key) for key in keys if self.get(key) is not None),
                     USUAL[self.name].get(role))
        if index is None:
            return None
        if type(index) is not int or not 0 <= index < len(self.tokens):
            raise self.error(keys[0], f"{index!r}, expected an id below {len(self.tokens)}")
        return self.tokens[index]

    def config(self) -> dict[str, Any]:
        """Roles, added tokens and chat template, as tokenizer_config.json has them."""
        roles = {f"{role}_token": self.token(role) for role in ROLES}
        added = {index: {"content": self.tokens[index], "special": kind == CONTROL}
                 for index, kind in enumerate(self.types) if kind in (CONTROL, USER_DEFINED)}
        options = {f"add_{role}_token": bool(value) and roles[f"{role}_token"] is not None
                   for role in ("bos", "eos")
                   if (value := self.get(f"add_{role}_token")) is not None}
        return {**roles, **options, "added_tokens_decoder": added, **self._templates()}

    def _templates(self) -> dict[str, Any]:
        start = "tokenizer.chat_template"
        default = self._metadata.get(start)
        named = {key.removeprefix(f"{start}."): value for key, value in self._metadata.items()
                 if key.startswith(f"{start}.")}
        if named and default is not None:
            named = {"default": default} | named
        return {"chat_template": named or default} if named or default else {}

    def _list(self, key: str, kind: type | tuple[type, ...]) -> list[Any]:
        found = self.get(key, [])
        if not isinstance(found, list) or not all(isinstance(value, kind) for value in found):
            raise self.error(key, f"a {type(found).__name__} that is no list of "
                                  f"{'texts' if kind is str else 'numbers'}")
        return found


def _llama(vocabulary: Vocabulary, config: dict[str, Any]) -> tuple[Rust, Recipe]:
    """SentencePiece's BPE: neighbours whose union has the best score are joined first."""
    unknown = config["unk_token"]
    types = [UNKNOWN if token == unknown else NORMAL if kind == UNKNOWN else kind
             for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True)]
    pieces = [proto.Piece(*piece) for piece in zip(vocabulary.tokens, vocabulary.scores(), types,
                                                   strict=True)]
    model = proto.Model(pieces, proto.BPE, byte_fallback=BYTE in types,
                        add_dummy_prefix=bool(vocabulary.get("add_space_prefix", True)),
                        remove_extra_whitespaces=bool(vocabulary.get("remove_extra_whitespaces")))
    recipe = RECIPES["Llama"]
    config.pop("added_tokens_decoder")  # the engine takes them from the pieces
    config.setdefault("add_bos_token", True)
    return sentencepiece.llama_engine(vocabulary.path, model, recipe, config), recipe


def _gpt2(vocabulary: Vocabulary, config: dict[str, Any]) -> tuple[Rust, Recipe]:
    """BPE over bytes, cut into words as the file names."""
    name = vocabulary.get("pre")
    if name is None:
        log.warning("%s: the file does not say how text is cut into words (%spre), as files of "
                    "before May 2024 do: ids may differ from the model's own. Use its tokenizer, "
                    "or convert the model again", vocabulary.path, KEY)
    pre, ids = pre_named(name, str(vocabulary.path)), vocabulary.ids()
    model = models.BPE(ids, vocabulary.merges(ids), ignore_merges=pre.whole)
    config.setdefault("add_bos_token", pre.bos and config["bos_token"] is not None)
    return bpe.bytes_engine(model, pre.patterns, nfc=pre.nfc), RECIPES["GPT2"]


def _bert(vocabulary: Vocabulary, config: dict[str, Any]) -> tuple[Rust, Recipe]:
    """WordPiece: in the file words begin with ▁, and what follows inside a word is bare."""
    pieces = [_wordpiece(token, kind) for token, kind in zip(vocabulary.tokens, vocabulary.types,
                                                             strict=True)]
    ids = {token: index for index, token in enumerate(pieces)}
    options = {"do_lower_case": vocabulary.get("normalizer.lowercase", True),
               "strip_accents": vocabulary.get("normalizer.strip_accents")}
    config |= {key: value for key, value in options.items() if value is not None}
    unknown = config["unk_token"]
    return wordpiece.wordpiece_engine(ids, unknown, options), RECIPES["Bert"]


def _wordpiece(token: str, kind: int) -> str:
    if token.startswith("▁"):
        return token[1:]
    plain = kind in (CONTROL, UNKNOWN, UNUSED) or (token[:1] == "[" and token[-1:] == "]")
    return token if plain else f"##{token}"


BUILDERS: dict[str, Callable[[Vocabulary, dict[str, Any]], tuple[Rust, Recipe]]] = {
    "llama": _llama, "gpt2": _gpt2, "bert": _bert}
