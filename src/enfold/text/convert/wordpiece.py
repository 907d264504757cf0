"""vocab.txt: BERT's WordPiece, longest match first in words cut at spaces and punctuation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from enfold.errors import TokenizerError
from enfold.text.convert.read import find, read_vocab_txt
from enfold.text.convert.recipes import Recipe
from enfold.text.convert.special import role_tokens


def build(files: Mapping[str, Path], recipe: Recipe, options: Mapping[str, Any]) -> Tokenizer:
    """An engine from vocab.txt; options do_lower_case, strip_accents, tokenize_chinese_chars."""
    path = find(files, "vocab.txt", why="a WordPiece tokenizer")
    vocab = read_vocab_txt(path)
    tokens = role_tokens(recipe, options)
    unknown = tokens["unk"].content if "unk" in tokens else ""
    if unknown not in vocab:
        raise TokenizerError(f"{path}: no unknown token {unknown!r} among its {len(vocab)} tokens. "
                             'Give the right "unk_token" in tokenizer_config.json')
    return wordpiece_engine(vocab, unknown, options)


def wordpiece_engine(vocab: dict[str, int], unknown: str, options: Mapping[str, Any]) -> Tokenizer:
    """BERT's engine over a vocabulary whose pieces inside words begin with ##."""
    engine = Tokenizer(models.WordPiece(vocab, unk_token=unknown, max_input_chars_per_word=100))
    engine.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=bool(options.get("tokenize_chinese_chars", True)),
        strip_accents=options.get("strip_accents"), lowercase=bool(options["do_lower_case"]))
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.WordPiece(prefix="##")
    return engine
