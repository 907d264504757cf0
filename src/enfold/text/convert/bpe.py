"""vocab.json + merges.txt, and tiktoken ranks: BPE over bytes (GPT-2 and after) or over words.

Byte-level BPE spells each byte of the text as one printable character, so nothing is unknown:
a space is Ġ, a newline Ċ.  Radford et al. 2019, https://github.com/openai/tiktoken
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from enfold.errors import TokenizerError
from enfold.text.convert.read import find, merges_of, read_merges, read_ranks, read_vocab_json
from enfold.text.convert.recipes import CL100K, Recipe
from enfold.text.convert.special import role_tokens

Options = Mapping[str, Any]
CLIP_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


def build_bytes(files: Mapping[str, Path], recipe: Recipe, options: Options) -> Tokenizer:
    """Byte-level BPE from vocab.json + merges.txt or tiktoken ranks.

    Options: add_prefix_space, and pat_str, the regular expression that cuts the text into words.
    """
    ranks = None if "vocab.json" in files else tiktoken_file(files)
    pattern = options.get("pat_str") or recipe.pattern or (CL100K if ranks else None)
    return bytes_engine(_from_ranks(ranks) if ranks else _read(files),
                        [pattern] if pattern else [], prefix=bool(options.get("add_prefix_space")),
                        nfc=bool(options.get("nfc")))


def bytes_engine(model: models.BPE, patterns: Sequence[str], *, prefix: bool = False,
                 nfc: bool = False) -> Tokenizer:
    """A byte-level BPE; what each pattern matches is cut out of the text, one after the other.

    No patterns: GPT-2's.
    """
    engine = Tokenizer(model)
    if nfc:
        engine.normalizer = normalizers.NFC()
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=prefix, use_regex=not patterns)
    cuts = [pre_tokenizers.Split(_regex(pattern), "isolated") for pattern in patterns]
    engine.pre_tokenizer = pre_tokenizers.Sequence([*cuts, to_bytes]) if cuts else to_bytes
    engine.decoder = decoders.ByteLevel()
    return engine


def build_clip(files: Mapping[str, Path], recipe: Recipe, options: Options) -> Tokenizer:
    """CLIP: lowercased byte-level BPE that marks the end of a word with </w>."""
    unknown = role_tokens(recipe, options)["unk"].content
    engine = Tokenizer(_read(files, end_of_word_suffix="</w>", unk_token=unknown))
    engine.normalizer = normalizers.Sequence([
        normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    engine.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(CLIP_WORDS), "removed", invert=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False)])
    engine.decoder = decoders.Sequence([
        decoders.ByteLevel(), decoders.Replace("</w>", " "),
        decoders.Replace(Regex(r" \z"), "")])  # decoders.Strip panics at an empty text
    return engine


def build_openai(files: Mapping[str, Path], recipe: Recipe, options: Options) -> Tokenizer:
    """The first GPT: lowercased characters, words split as BERT splits them, </w> at their end."""
    unknown = role_tokens(recipe, options)["unk"].content
    engine = Tokenizer(_read(files, end_of_word_suffix="</w>", unk_token=unknown))
    engine.normalizer = normalizers.BertNormalizer(lowercase=True)
    engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    engine.decoder = decoders.BPEDecoder(suffix="</w>")
    return engine


def tiktoken_file(files: Mapping[str, Path]) -> Path | None:
    """The folder's tiktoken file: by its suffix, or a tokenizer.model that is text (Llama 3)."""
    named = sorted(name for name in files if name.endswith(".tiktoken"))
    if len(named) > 1:
        raise TokenizerError(f"several tiktoken files ({', '.join(named)}): which one is meant? "
                             "Leave one in the folder")
    if named:
        return files[named[0]]
    path = files.get("tokenizer.model")
    if path is not None:
        with path.open("rb") as file:
            start = file.read(64).split(b"\n")[0].split(b" ")
        if len(start) == 2 and start[1].strip().isdigit():
            return path
    return None


def _read(files: Mapping[str, Path], **how: Any) -> models.BPE:
    vocab = read_vocab_json(find(files, "vocab.json", why="a BPE tokenizer"))
    merges = read_merges(find(files, "merges.txt", why="a BPE tokenizer"), vocab)
    return models.BPE(vocab, merges, **how)


def _from_ranks(path: Path) -> models.BPE:
    ranks = read_ranks(path)
    letters = byte_letters()
    vocab = {"".join(letters[byte] for byte in token): rank for token, rank in ranks.items()}
    missing = [byte for byte in range(256) if letters[byte] not in vocab]
    if missing:
        raise TokenizerError(f"{path}: no token for byte {missing[0]} and {len(missing) - 1} "
                             "others, expected all 256. Download the file again")
    # a word that is a token as it stands is never split: tiktoken looks it up first
    return models.BPE(vocab, merges_of(sorted(vocab, key=vocab.__getitem__)), ignore_merges=True)


def byte_letters() -> list[str]:
    """The character that stands for each byte: itself where Latin-1 prints it, else U+0100 up."""
    printed = {*range(33, 127), *range(161, 173), *range(174, 256)}
    hidden = [byte for byte in range(256) if byte not in printed]
    return [chr(byte if byte in printed else 256 + hidden.index(byte)) for byte in range(256)]


def _regex(pattern: str) -> Regex:
    try:
        return Regex(pattern)
    except Exception as error:  # the binding raises bare Exception
        raise TokenizerError(f"pat_str {pattern!r} is not a regular expression that the engine can "
                             f"run ({error})") from error
