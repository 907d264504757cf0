"""Exact engines for vocabularies older than tokenizer.json.

`build` picks a Recipe (recipes.py) from the class or the model type, else from the files, lets the
format's module make the engine, and adds the special tokens.  Nothing here imports torch,
sentencepiece or protobuf.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from enfold.errors import TokenizerError, nearest
from enfold.text.convert import bpe, marian, proto, sentencepiece, special, wordpiece
from enfold.text.convert.recipes import CLASSES, MODEL_TYPES, RECIPES, Recipe

Builder = Callable[[Mapping[str, Path], Recipe, Mapping[str, Any]], Tokenizer]
BUILDERS: dict[str, Builder] = {
    "wordpiece": wordpiece.build, "bytes": bpe.build_bytes, "clip": bpe.build_clip,
    "openai": bpe.build_openai, "sentencepiece": sentencepiece.build,
    "llama": sentencepiece.build_llama, "marian": marian.build}
GENERIC = ("PreTrained", "TokenizersBackend", "SentencePieceBackend", "PythonBackend", "Auto")


def build(files: Mapping[str, Path], tokenizer_class: str | None,
          config: Mapping[str, Any]) -> Tokenizer:
    """An engine from a checkpoint folder without a tokenizer.json.

    files: the folder's names -> paths.  tokenizer_class: with or without "Fast", or None.
    config: tokenizer_config.json, and "model_type" where it is known.
    Raises TokenizerError naming the file and what to do, NotImplementedError for a format that has
    no exact counterpart in the engine.
    """
    recipe = choose(files, tokenizer_class, config.get("model_type"))
    config = special.merged(files, config)
    options = dict(recipe.options) | {key: value for key, value in config.items()
                                      if value is not None or key.endswith("_token")}
    engine = BUILDERS[recipe.kind](files, recipe, options)
    if recipe.kind != "marian":  # its engines come complete, in pairs
        special.install(engine, files, recipe, config)
    return engine


def choose(files: Mapping[str, Path], tokenizer_class: str | None,
           model_type: str | None = None) -> Recipe:
    """The recipe of a class, else of a model type, else the only one that the files allow."""
    name = (tokenizer_class or "").removesuffix("Fast").removesuffix("Tokenizer")
    if name.startswith(GENERIC):
        name = ""
    key = CLASSES.get(name, name) if name else MODEL_TYPES.get(model_type or "", "")
    if key and key not in RECIPES:
        known = [f"{stem}Tokenizer" for stem in (*RECIPES, *CLASSES)]
        raise TokenizerError(
            f"no conversion is known for tokenizer_class {tokenizer_class!r}"
            f"{nearest(f'{name}Tokenizer', known)}. Save its tokenizer.json with transformers, or "
            "give the class whose vocabulary it has")
    recipe = RECIPES[key] if key else _infer(files)
    if recipe.kind in ("llama", "sentencepiece") and bpe.tiktoken_file(files):
        return RECIPES["Tiktoken"]
    return recipe


def _infer(files: Mapping[str, Path]) -> Recipe:
    """Without a class: the format that is there, with no special tokens assumed beyond its own."""
    models = [name for name in sentencepiece.NAMES
              if name in files and proto.looks_like_model(files[name])]
    found = {
        "Marian": "source.spm" in files and "vocab.json" in files,
        "Bert": "vocab.txt" in files,
        "GPT2": "merges.txt" in files and "source.spm" not in files,
        "SentencePiece": bool(models),
        "Tiktoken": bpe.tiktoken_file(files) is not None}
    names = [name for name, there in found.items() if there]
    if len(names) != 1:
        state = "several vocabularies" if names else "no vocabulary"
        raise TokenizerError(
            f"the folder has {state} ({', '.join(sorted(files)) or 'no files'}) and names no "
            "tokenizer class. Put \"tokenizer_class\" into tokenizer_config.json, for example "
            "\"BertTokenizer\"")
    if names == ["SentencePiece"] and proto.read_model(files[models[0]]).model_type == proto.BPE:
        return RECIPES["Llama"]
    return RECIPES[names[0]]
