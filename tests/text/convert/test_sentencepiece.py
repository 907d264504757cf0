"""Engines built from .model files against sentencepiece itself."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from enfold.errors import TokenizerError
from enfold.text.convert import build
from enfold.text.convert.proto import read_model

FIXTURES = "transformers_fixtures/"
CASES = [
    ("tokenizers/t5/spiece.model", "SentencePiece"),
    ("tokenizers/sentencepiece/test_model.model", "SentencePiece"),
    ("tokenizers/sentencepiece/test_ja_model.model", "SentencePiece"),
    ("tokenizers/opus-mt-en-mg/source.spm", "SentencePiece"),
    ("torchtune/m.model", "SentencePiece"),
    (FIXTURES + "spiece.model", "SentencePiece"),
    (FIXTURES + "test_sentencepiece.model", "SentencePiece"),
    (FIXTURES + "test_sentencepiece_no_bos.model", "SentencePiece"),
    (FIXTURES + "test_sentencepiece_bpe.model", "SentencePiece"),
    (FIXTURES + "test_sentencepiece_bpe_char.model", "SentencePiece"),
    (FIXTURES + "test_sentencepiece_with_bytefallback.model", "SentencePiece"),
    ("tokenizers/barthez/sentencepiece.bpe.model", "Barthez"),
    ("tokenizers/mistral/tokenizer.model.v1", "Llama"),
    ("tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3", "Llama"),
    ("tokenizers/mistral/mistral_instruct_tokenizer_241114.model.v7", "Llama"),
    ("models/stories260K/tok512.model", "Llama")]


def engine_of(path: Path, recipe: str, **config: Any) -> Tokenizer:
    return build({"tokenizer.model": path}, f"{recipe}Tokenizer", config)


@pytest.mark.parametrize(("name", "recipe"), CASES, ids=[name for name, _ in CASES])
def test_ids_and_text_equal_sentencepiece(shared_data: Path, lines: list[str], name: str,
                                          recipe: str) -> None:
    theirs = pytest.importorskip("sentencepiece").SentencePieceProcessor(
        model_file=str(shared_data / name))
    engine = engine_of(shared_data / name, recipe)
    unknown = theirs.unk_id()
    want = theirs.encode(lines)
    got = [e.ids for e in engine.encode_batch(lines, add_special_tokens=False)]
    scores = [piece.score for piece in read_model(shared_data / name).pieces]
    differ = [line for line, a, b in zip(lines, got, want, strict=True)
              if a != b and not _tied(a, b, scores)]
    assert differ == []
    known = [ids for ids in want if unknown not in ids]
    assert len(known) > 100
    assert [engine.decode(ids) for ids in known] == theirs.decode(known)


def _tied(ours: list[int], theirs: list[int], scores: list[float]) -> bool:
    """Whether both are best: sentencepiece adds scores in 32 bits, the engine in 64."""
    sums = [sum(scores[i] for i in ids) for ids in (ours, theirs)]
    return abs(sums[0] - sums[1]) <= 1e-6 * abs(sums[0])


@pytest.mark.parametrize("text", ["ﬁ\u0301", "①\u0300"])
def test_marks_after_a_rewritten_character_are_the_engines(shared_data: Path, text: str) -> None:
    """The one known difference: the engine's charsmap step drops them, as in transformers."""
    path = shared_data / "tokenizers/t5/spiece.model"
    theirs = pytest.importorskip("sentencepiece").SentencePieceProcessor(model_file=str(path))
    engine = engine_of(path, "SentencePiece")
    assert engine.encode(text).ids != theirs.encode(text)
    assert engine.encode(text[0]).ids == theirs.encode(text[0])


def test_charsmap_is_used(shared_data: Path) -> None:
    engine = engine_of(shared_data / "tokenizers/t5/spiece.model", "T5")
    assert engine.encode("ﬁｎｅ　①").ids == engine.encode("fine 1").ids


def test_byte_fallback(shared_data: Path) -> None:
    engine = engine_of(shared_data / "tokenizers/mistral/tokenizer.model.v1", "Llama")
    encoding = engine.encode("🦙", add_special_tokens=False)
    assert encoding.tokens == ["▁", "<0xF0>", "<0x9F>", "<0xA6>", "<0x99>"]
    assert engine.decode(encoding.ids) == "🦙"


@pytest.mark.parametrize(("config", "tokens"), [
    ({}, ["<s>", "▁a", "</s>", "▁b"]),
    ({"legacy": False}, ["<s>", "▁a", "</s>", "b"]),
    ({"add_prefix_space": False}, ["<s>", "a", "</s>", "b"]),
    ({"add_bos_token": False}, ["▁a", "</s>", "▁b"]),
    ({"add_eos_token": True}, ["<s>", "▁a", "</s>", "▁b", "</s>"]),
])
def test_llama_options(shared_data: Path, config: dict[str, Any], tokens: list[str]) -> None:
    engine = engine_of(shared_data / "tokenizers/mistral/tokenizer.model.v1", "Llama", **config)
    assert engine.encode("a</s>b").tokens == tokens


def test_control_pieces_are_special(shared_data: Path) -> None:
    engine = engine_of(
        shared_data / "tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3", "Llama")
    assert engine.encode("[INST] hi", add_special_tokens=False).ids[0] == 3
    assert engine.decode([3, 4], skip_special_tokens=True) == ""


def piece(text: str, kind: int, score: float) -> bytes:
    body = bytes([10, len(text.encode())]) + text.encode() + b"\x15" + struct.pack("<f", score)
    return bytes([10, len(body) + 2]) + body + bytes([24, kind])


VOCABULARY = piece("<unk>", 2, 0) + b"".join(
    piece(text, 1, score) for text, score in [("▁", -1.0), ("a", -2.0), ("b", -3.0), ("ab", -4.0)])


def small(tmp_path: Path, more: bytes = b"") -> Path:
    path = tmp_path / "spiece.model"
    path.write_bytes(VOCABULARY + more)
    return path


def test_user_defined_pieces_win(tmp_path: Path) -> None:
    path = small(tmp_path, piece("ba", 4, 0))
    engine = build({path.name: path}, "SentencePieceTokenizer", {})
    assert engine.encode("aba bab").tokens == ["▁", "a", "ba", "▁", "ba", "b"]


@pytest.mark.parametrize(("setting", "name"), [
    (b"\x12\x03\xc0\x01\x01", "treat_whitespace_as_suffix"),
    (b"\x12\x02\x18\x03", "model_type=WORD"),
    (b"\x1a\x02\x28\x00", "escape_whitespaces=false")])
def test_what_has_no_counterpart_is_refused(tmp_path: Path, setting: bytes, name: str) -> None:
    path = small(tmp_path, setting)
    with pytest.raises(NotImplementedError, match=f"trained with {name}.*Encode with"):
        build({path.name: path}, "T5Tokenizer", {})


def test_pieces_that_do_not_fit_the_class(tmp_path: Path) -> None:
    path = small(tmp_path, piece("<pad>", 3, 0))
    with pytest.raises(TokenizerError, match=r"do not fit .*Is the tokenizer_class right"):
        build({path.name: path}, "XLMRobertaTokenizer", {})


def test_no_dummy_prefix(tmp_path: Path) -> None:
    path = small(tmp_path, b"\x1a\x02\x18\x00")
    engine = build({path.name: path}, "SentencePieceTokenizer", {})
    assert engine.encode("  ab   a ").tokens == ["ab", "▁", "a"]
