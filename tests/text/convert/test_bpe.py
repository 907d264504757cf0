"""vocab.json + merges.txt and tiktoken files: expected ids, other programs, damaged files."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from enfold.errors import TokenizerError
from enfold.text.convert import build
from enfold.text.convert.recipes import CL100K

Files = dict[str, Path]


def expected(shared_data: Path, name: str) -> list[tuple[str, list[int]]]:
    """llama.cpp's test vectors: texts and the ids that a real vocabulary gives for them."""
    stem = shared_data / "gguf-vocabs" / f"ggml-vocab-{name}.gguf"
    texts = Path(f"{stem}.inp").read_text("utf-8").split("\n__ggml_vocab_test__\n")
    answers = Path(f"{stem}.out").read_text("utf-8").split("\n")
    return [(text, [int(i) for i in line.split()])
            for text, line in zip(texts, answers, strict=False)]


def test_gpt2_vectors(shared_data: Path, vocabularies: Callable[..., Path]) -> None:
    vectors = expected(shared_data, "gpt-2")
    engine = build(gpt2(shared_data), "GPT2Tokenizer", {})
    assert [engine.encode(text).ids for text, _ in vectors] == [ids for _, ids in vectors]
    assert len(vectors) > 40


def test_roberta_vectors(shared_data: Path, roberta_files: dict[str, str]) -> None:
    vectors = expected(shared_data, "roberta-bpe")
    files = {name: Path(path) for name, path in roberta_files.items()}
    engine = build(files, "RobertaTokenizer", {})
    assert [engine.encode(t, add_special_tokens=False).ids for t, _ in vectors] == [
        ids for _, ids in vectors]


def test_bert_vectors(shared_data: Path) -> None:
    vectors = expected(shared_data, "bert-bge")
    engine = build({"vocab.txt": shared_data / "tokenizers/bert-base-uncased/vocab.txt"},
                   "BertTokenizer", {})
    assert [engine.encode(t, add_special_tokens=False).ids for t, _ in vectors] == [
        ids for _, ids in vectors]


def test_llama2_vectors(shared_data: Path, tmp_path: Path) -> None:
    """Phi-3's GGUF file holds Llama 2's pieces: written as a .model, they give Llama's ids."""
    path = tmp_path / "tokenizer.model"
    path.write_bytes(_model_of(shared_data / "gguf-vocabs/ggml-vocab-phi-3.gguf"))
    engine = build({path.name: path}, "LlamaTokenizer", {"add_bos_token": False})
    vectors = expected(shared_data, "llama-spm")
    assert [engine.encode(text).ids for text, _ in vectors] == [ids for _, ids in vectors]


def _model_of(path: Path) -> bytes:
    with path.open("rb") as file:
        file.read(8)
        _, count = struct.unpack("<QQ", file.read(16))
        values = {_text(file): _value(file, *struct.unpack("<I", file.read(4)))
                  for _ in range(count)}
    out = b""
    listed = zip(*(values[f"tokenizer.ggml.{key}"] for key in ("tokens", "scores", "token_type")),
                 strict=True)
    for index, (text, score, kind) in enumerate(listed):
        if index >= 32000:  # Phi-3's own tokens
            break
        name = text.encode()
        body = b"\n" + bytes([len(name)]) + name + b"\x15" + struct.pack("<f", score)
        kind = 2 if text == "<unk>" else kind
        out += b"\n" + bytes([len(body) + 2]) + body + b"\x18" + bytes([kind])
    return out + b"\x12\x05\x18\x02\x98\x02\x01" + b"\x1a\x02\x20\x00"  # BPE, bytes, spaces kept


def _text(file: BinaryIO) -> str:
    return file.read(struct.unpack("<Q", file.read(8))[0]).decode()


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == 8:
        return _text(file)
    if kind == 9:
        inner, count = struct.unpack("<IQ", file.read(12))
        return [_value(file, inner) for _ in range(count)]
    form = "<" + "BbHhIif?_QqdQ".replace("_", " ")[kind] if kind < 10 else "<" + "Qqd"[kind - 10]
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def gpt2(shared_data: Path) -> Files:
    return {name: shared_data / "tokenizers/gpt2" / name for name in ("vocab.json", "merges.txt")}


GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def test_tiktoken_gives_gpt2_ids(shared_data: Path, lines: list[str]) -> None:
    files = {"gpt2.tiktoken": shared_data / "tokenizers/whisper/gpt2.tiktoken"}
    ranks = build(files, None, {"pat_str": GPT2_WORDS})
    merges = build(gpt2(shared_data), "GPT2Tokenizer", {})
    assert [e.ids for e in ranks.encode_batch(lines)] == [
        e.ids for e in merges.encode_batch(lines)]
    assert [ranks.decode(ranks.encode(line).ids) for line in lines] == lines


def test_tiktoken_cl100k(shared_data: Path, lines: list[str]) -> None:
    """Against the definition: join the neighbours of lowest joint rank until none has one."""
    regex = pytest.importorskip("regex")
    path = shared_data / "tokenizers/tiktoken/cl100k_base.tiktoken"
    ranks = {base64.b64decode(a): int(b) for a, b in
             (line.split() for line in path.read_text().splitlines())}
    engine = build({path.name: path}, "PreTrainedTokenizerFast", {})
    some = lines[:400]
    want = [[i for word in regex.findall(CL100K, line) for i in _join(word.encode(), ranks)]
            for line in some]
    assert [e.ids for e in engine.encode_batch(some)] == want
    assert [engine.decode(ids) for ids in want] == some


def _join(word: bytes, ranks: dict[bytes, int]) -> list[int]:
    if word in ranks:
        return [ranks[word]]
    parts = [word[i:i + 1] for i in range(len(word))]
    while len(parts) > 1:
        best = min(range(len(parts) - 1),
                   key=lambda i: ranks.get(parts[i] + parts[i + 1], 1 << 30))
        if parts[best] + parts[best + 1] not in ranks:
            break
        parts[best:best + 2] = [parts[best] + parts[best + 1]]
    return [ranks[part] for part in parts]


def test_tokenizer_model_in_tiktoken_form(tmp_path: Path) -> None:
    """Llama 3's tokenizer.model is tiktoken text; special tokens come from the configuration."""
    path = tmp_path / "tokenizer.model"
    path.write_text("".join(f"{base64.b64encode(bytes([i])).decode()} {i}\n" for i in range(256)))
    config = {"added_tokens_decoder": {"256": {"content": "<|begin_of_text|>", "special": True}},
              "bos_token": "<|begin_of_text|>", "add_bos_token": True}
    engine = build({path.name: path}, "LlamaTokenizer", config)
    assert engine.encode("hi").ids == [256, 104, 105]


VOCAB = {"a": 0, "b": 1, "ab": 2, "<|endoftext|>": 3}


@pytest.mark.parametrize(("vocab", "merges", "message"), [
    ('{"a": 0,', "", "vocab.json: broken JSON .*Download the file again"),
    ("[1]", "", "vocab.json: holds a JSON list, expected an object"),
    ({"a": "x"}, "", "token 'a' has the id 'x', expected a number"),
    ({"a": 1, "b": 1}, "", "tokens 'a' and 'b' share the id 1.*Repair the file"),
    (VOCAB, "#version: 0.2\na b\nab\n", "merges.txt, line 3: 'ab' has 1 parts, expected two"),
    (VOCAB, "a b\nb c\n", "merges.txt, line 2: 'c' of the merge 'b c' is not in vocab.json"),
    (VOCAB, b"\xff", "merges.txt: not UTF-8 text .*byte 0"),
    (VOCAB, None, "needs merges.txt, and the folder has only vocab.json. Download the missing"),
])
def test_damage_is_named(tmp_path: Path, vocab: Any, merges: Any, message: str) -> None:
    files = {name: tmp_path / name for name in ("vocab.json", "merges.txt")}
    files["vocab.json"].write_text(vocab if isinstance(vocab, str) else json.dumps(vocab))
    if merges is None:
        del files["merges.txt"]
    else:
        files["merges.txt"].write_bytes(merges if isinstance(merges, bytes) else merges.encode())
    with pytest.raises(TokenizerError, match=message):
        build(files, "GPT2Tokenizer", {})


def test_merges_with_windows_line_ends(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("vocab.json", "merges.txt")}
    files["vocab.json"].write_text(json.dumps(VOCAB))
    files["merges.txt"].write_bytes(b"#version: 0.2\r\na b\r\n")
    assert build(files, "GPT2Tokenizer", {}).encode("abb").tokens == ["ab", "b"]


@pytest.mark.parametrize(("text", "message"), [
    ("IQ== 0\nIg==\n", "line 2: 'Ig==' is not a token in base64 and its rank"),
    ("IQ== 0\nIQ== 1\n", "line 2: token b'!' with rank 1 is empty, negative or there twice"),
    ("IQ== 0\n", "no token for byte 0 and 254 others, expected all 256"),
])
def test_damaged_tiktoken(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "x.tiktoken"
    path.write_text(text)
    with pytest.raises(TokenizerError, match=message):
        build({path.name: path}, None, {})


def test_pattern_that_is_no_regex(shared_data: Path) -> None:
    with pytest.raises(TokenizerError, match="pat_str '\\('.* is not a regular expression"):
        build(gpt2(shared_data), "GPT2Tokenizer", {"pat_str": "("})
