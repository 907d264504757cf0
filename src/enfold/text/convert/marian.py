"""Marian (opus-mt): source.spm and target.spm cut the text, vocab.json gives the ids.

    vocab.json   pieces of both models, in its own order: an id is a place in the engine's list
    source.spm   pieces with scores: only these can be found in a source text

A token that this side's model lacks keeps its id under a name with HIDDEN in front, which no
normalised text contains.  A piece that vocab.json lacks has no id, and the reference gives it the
unknown one: it takes the place of such a token, and what is found there is made unknown (Side).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from enfold.errors import TokenizerError
from enfold.text.convert import proto, special
from enfold.text.convert.read import find, read_vocab_json
from enfold.text.convert.recipes import RECIPES, Recipe
from enfold.text.convert.sentencepiece import load, normalizer

HIDDEN = "\0"


class Side(NamedTuple):
    """The engine of one side, and vocab.json's tokens by id.

    An id whose token in the engine is another must become that of `unknown`.
    """

    engine: Tokenizer
    names: list[str]
    unknown: int


def build_pair(files: Mapping[str, Path], config: Mapping[str, Any]) -> tuple[Side, Side]:
    """The sides for source and target text.

    Where vocab.json lacks more pieces than it has tokens of the other side, the last of them are
    left out, and their text is cut otherwise.
    """
    config = special.merged(files, config)
    why = "a Marian tokenizer"
    vocab = find(files, "vocab.json", why=why)
    other = vocab
    if config.get("separate_vocabs"):
        other = find(files, "target_vocab.json", why=f"{why} with separate_vocabs")
    recipe = RECIPES["Marian"]
    return (_side(files, "source.spm", vocab, recipe, config, True),
            _side(files, "target.spm", other, recipe, config, True))


def build(files: Mapping[str, Path], recipe: Recipe, options: Mapping[str, Any]) -> Tokenizer:
    """The engine of the source side alone, without the pieces that have no id."""
    vocab = find(files, "vocab.json", why="a Marian tokenizer")
    return _side(files, "source.spm", vocab, recipe, options, False).engine


def _side(files: Mapping[str, Path], name: str, vocab_path: Path, recipe: Recipe,
          config: Mapping[str, Any], overflow: bool) -> Side:
    path, model = load(files, name)
    if model.model_type != proto.UNIGRAM:
        raise NotImplementedError(f"{path}: a SentencePiece BPE, expected Unigram as in all "
                                  "opus-mt models. Encode with the sentencepiece library")
    vocab = _dense(vocab_path)
    tokens = special.role_tokens(recipe, config)
    kept = {token.content for token in tokens.values()} | {t for t in vocab if _is_language(t)}
    engine = Tokenizer(_unigram(vocab_path, model, vocab, kept, tokens["unk"].content, overflow))
    engine.normalizer = normalizers.Sequence([*normalizer(model), _strange_runs(model)])
    engine.pre_tokenizer = pre_tokenizers.Metaspace()
    engine.decoder = decoders.Sequence([decoders.Replace(HIDDEN, ""), decoders.Metaspace()])
    engine.add_tokens([AddedToken(t, normalized=False) for t in vocab if _is_language(t)])
    special.install(engine, files, recipe, config)
    return Side(engine, vocab, vocab.index(tokens["unk"].content))


def _dense(path: Path) -> list[str]:
    """Tokens in id order; the engine's ids are places in a list, so none may be missing."""
    vocab = read_vocab_json(path)
    if sorted(vocab.values()) != list(range(len(vocab))):
        raise TokenizerError(f"{path}: {len(vocab)} tokens with ids up to {max(vocab.values())}, "
                             "expected every id from 0. Repair the file")
    return sorted(vocab, key=vocab.__getitem__)


def _unigram(path: Path, model: proto.Model, vocab: list[str], kept: set[str], unknown: str,
             overflow: bool) -> models.Unigram:
    if unknown not in vocab:
        raise TokenizerError(f"{path}: no unknown token {unknown!r}. Give the right "
                             '"unk_token" in tokenizer_config.json')
    scores = {p.text: p.score for p in model.pieces if p.type == proto.NORMAL}
    worst = min(scores.values())  # what an unknown character costs hangs on the lowest score
    known = set(vocab)
    spare = iter([text for text in scores if text not in known] if overflow else [])
    entries = []
    for token in vocab:
        if token not in scores and token not in kept and len(token) > 1:
            token = next(spare, HIDDEN + token)
        entries.append((token, scores.get(token, worst)))
    return models.Unigram(entries, unk_id=vocab.index(unknown), byte_fallback=False)


def _strange_runs(model: proto.Model) -> normalizers.Normalizer:
    """Two or more characters in a row that no piece contains become one that is unknown.

    sentencepiece returns such a run as one piece with the run's own text, and the reference looks
    that text up in vocab.json: a single character may be there, as a token of the other side.
    """
    letters = {letter for piece in model.pieces for letter in piece.text} | {" "}
    known = "".join(f"\\x{{{ord(letter):x}}}" for letter in sorted(letters))
    return normalizers.Replace(Regex(f"[^{known}]{{2,}}"), "\1")


def _is_language(token: str) -> bool:
    return token.startswith(">>") and token.endswith("<<")
