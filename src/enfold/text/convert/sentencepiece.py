"""SentencePiece models: Unigram (T5, ALBERT, XLM-R ...) and BPE (Llama, Mistral, BARThez ...).

    text -> charsmap, spaces trimmed -> ▁ for spaces, one in front -> pieces -> ids

What is done to the text comes from the model's own normalizer_spec, not from the class.  Ids equal
sentencepiece's, apart from what the engine decides: a combining mark after a character that the
charsmap rewrites, which of two segmentations with the same score is taken, and, in a Unigram with
byte fallback, a text that spells a byte piece ("<0x41>").
Kudo 2018, https://arxiv.org/abs/1804.10959
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from enfold.errors import TokenizerError
from enfold.text.convert import proto
from enfold.text.convert.read import find, merges_of
from enfold.text.convert.recipes import Recipe

NAMES = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model", "sentencepiece.model",
         "spm.model")
BYTES_TO_TEXT = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
DIGIT_COMMA = 100.0  # ALBERT's penalty on pieces such as "9,", so that "," stands alone


def build(files: Mapping[str, Path], recipe: Recipe, options: Mapping[str, Any]) -> Tokenizer:
    """An engine with words split at spaces, as all families but Llama have it."""
    path, model = load(files)
    extra = [f"<extra_id_{i}>" for i in reversed(range(options.get("extra_ids", 0)))]
    engine = Tokenizer(_model(path, model, recipe, [*recipe.back, *extra], options.get("comma")))
    scheme = _scheme(model, options)
    words = scheme == "always" and spaces_only_separate(model)
    engine.normalizer = normalizers.Sequence(
        [*_before(options), *normalizer(model, trim=not words)])
    cuts: list[pre_tokenizers.PreTokenizer] = [pre_tokenizers.Metaspace(prepend_scheme=scheme)]
    if options.get("split_by_punct"):
        cuts.insert(0, pre_tokenizers.Punctuation("isolated"))
    if words:
        cuts.insert(0, pre_tokenizers.CharDelimiterSplit(" "))
    engine.pre_tokenizer = pre_tokenizers.Sequence(cuts)
    engine.decoder = _decoder(scheme) if model.byte_fallback else decoders.Metaspace(
        prepend_scheme=scheme)
    engine.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in extra])
    _add_control(engine, model, recipe)
    return engine


def build_llama(files: Mapping[str, Path], recipe: Recipe, options: Mapping[str, Any]) -> Tokenizer:
    """An engine of a folder's model: see `llama_engine`."""
    return llama_engine(*load(files), recipe, options)


def llama_engine(path: Path, model: proto.Model, recipe: Recipe,
                 options: Mapping[str, Any]) -> Tokenizer:
    """An engine that keeps every space, and runs the BPE over the whole text.

    Option legacy (default true): each stretch between special tokens starts with a ▁, as
    sentencepiece would encode it alone; otherwise only the beginning of the text does.
    """
    engine = Tokenizer(_model(path, model, recipe, recipe.back))
    scheme = _scheme(model, options)
    if scheme == "first":
        engine.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
        steps = normalizer(model)
    else:
        steps = [*normalizer(model), normalizers.Replace(" ", "▁")]
        if scheme == "always":
            steps.append(normalizers.Prepend("▁"))
    if steps:
        engine.normalizer = normalizers.Sequence(steps)
    engine.decoder = _decoder(scheme)
    _add_control(engine, model, recipe)
    return engine


def load(files: Mapping[str, Path], *names: str) -> tuple[Path, proto.Model]:
    """Read the folder's model, and refuse what the engine has no counterpart for."""
    path = find(files, *(names or NAMES), why="a SentencePiece tokenizer")
    model = proto.read_model(path)
    refused = {"treat_whitespace_as_suffix": model.treat_whitespace_as_suffix,
               "escape_whitespaces=false": not model.escape_whitespaces,
               "model_type=WORD": model.model_type == proto.WORD}
    for name in (name for name, found in refused.items() if found):
        raise NotImplementedError(f"{path}: trained with {name}, which the tokenizers engine "
                                  "has no counterpart for. Encode with the sentencepiece library")
    return path, model


def normalizer(model: proto.Model, *, trim: bool = True) -> list[normalizers.Normalizer]:
    """What the model does to a text before it looks for pieces."""
    steps: list[normalizers.Normalizer] = []
    if model.precompiled_charsmap:
        steps.append(normalizers.Precompiled(model.precompiled_charsmap))
    if trim and model.remove_extra_whitespaces:
        steps.append(normalizers.Replace(Regex(r"\A +|[ ▁]+\z"), ""))
        steps.append(normalizers.Replace(Regex(" {2,}"), " "))
    return steps


def spaces_only_separate(model: proto.Model) -> bool:
    """Whether runs of spaces count as one, and a ▁ in the text as a space (as nmt_nfkc has it)."""
    table = model.precompiled_charsmap
    return model.remove_extra_whitespaces and bool(table) and (
        normalizers.Precompiled(table).normalize_str("▁") == " ")


def unigram_scores(model: proto.Model) -> list[tuple[str, float]]:
    """Pieces with scores; a user-defined one outscores, as in sentencepiece, all that it covers."""
    best = max((p.score for p in model.pieces if p.type == proto.NORMAL), default=0.0)
    return [(p.text, len(p.text.encode()) * best - 0.1 if p.type == proto.USER_DEFINED else p.score)
            for p in model.pieces]


def _model(path: Path, model: proto.Model, recipe: Recipe, back: Sequence[str],
           comma: bool | None = False) -> models.Model:
    unknown = model.pieces[model.unk_id].text
    scores = unigram_scores(model)[recipe.skip:]
    own = {text for text, _ in scores}
    front = [(token, 0.0) for token in recipe.front]
    scores = [*front, *((text, score - DIGIT_COMMA if comma and _digit_comma(text) else score)
                        for text, score in scores),
              *((token, 0.0) for token in back if token not in own)]
    ids = {text: index for index, (text, _) in enumerate(scores)}
    if len(ids) != len(scores) or unknown not in ids:
        raise TokenizerError(f"{path}: its pieces do not fit a tokenizer that starts with "
                             f"{list(recipe.front)}. Is the tokenizer_class right?")
    if model.model_type == proto.UNIGRAM:
        return models.Unigram(scores, unk_id=ids[unknown], byte_fallback=model.byte_fallback)
    joinable = [p for p in model.pieces if p.type in (proto.NORMAL, proto.USER_DEFINED)]
    joinable.sort(key=lambda piece: -piece.score)
    merges = merges_of(p.text for p in joinable) if model.model_type == proto.BPE else []
    return models.BPE(ids, merges, unk_token=unknown, fuse_unk=True,
                      byte_fallback=model.byte_fallback)


def _digit_comma(text: str) -> bool:
    return len(text) > 1 and text[-1] == "," and text[-2].isdigit()


def _before(options: Mapping[str, Any]) -> list[normalizers.Normalizer]:
    """What the class does to the text before the model sees it."""
    steps: list[normalizers.Normalizer] = []
    if options.get("quotes"):
        steps += [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
    if not options.get("keep_accents", True):
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if options.get("do_lower_case"):
        steps.append(normalizers.Lowercase())
    return steps


def _scheme(model: proto.Model, options: Mapping[str, Any]) -> str:
    """Where a ▁ is put in front: before each stretch of text, only the first, or never."""
    if not options.get("add_prefix_space", model.add_dummy_prefix):
        return "never"
    return "always" if options.get("legacy", True) else "first"


def _decoder(scheme: str) -> decoders.Decoder:
    strip = [] if scheme == "never" else [decoders.Strip(" ", 1, 0)]
    return decoders.Sequence([*BYTES_TO_TEXT, *strip])


def _add_control(engine: Tokenizer, model: proto.Model, recipe: Recipe) -> None:
    """Control pieces are special; a BPE finds user-defined ones in the text before it runs."""
    for piece in model.pieces[recipe.skip:]:
        if piece.type == proto.CONTROL:
            engine.add_special_tokens([AddedToken(piece.text, normalized=False, special=True)])
        elif piece.type == proto.USER_DEFINED and model.model_type != proto.UNIGRAM:
            engine.add_tokens([AddedToken(piece.text, normalized=False)])
