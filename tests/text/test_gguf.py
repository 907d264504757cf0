"""Vocabularies of GGUF files: ids equal to those that llama.cpp's test data lists, and back."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from enfold.errors import TokenizerError
from enfold.files.gguf import GGUFFile, write_gguf
from enfold.text import AutoTokenizer, Tokenizer
from enfold.text.convert.bpe import byte_letters
from enfold.text.gguf import read_tokenizer, tokenizer_metadata
from enfold.text.gguf.pre import PRE

K = "tokenizer.ggml."
REAL = ("bert-bge", "command-r", "deepseek-coder", "deepseek-llm", "deepseek-r1-qwen", "falcon",
        "gpt-2", "llama-bpe", "llama-spm", "mpt", "phi-3", "qwen2", "refact", "starcoder")
SHARED = {"deepseek-r1-qwen": "qwen2"}  # the ids are of this vocabulary


def vocabulary(shared_data: Path, name: str) -> Path:
    """A real vocabulary: four are in the shared data, all in llama.cpp's folder `models`."""
    file = f"ggml-vocab-{SHARED.get(name, name)}.gguf"
    further = os.environ.get("ENFOLD_GGUF_VOCABS")
    folders = [shared_data / "gguf-vocabs", *([Path(further)] if further else [])]
    found = next((folder / file for folder in folders if (folder / file).is_file()), None)
    return found or pytest.skip(f"{file} is not here (ENFOLD_GGUF_VOCABS=llama.cpp/models)")


def examples(shared_data: Path, name: str) -> list[tuple[str, list[int]]]:
    start = shared_data / "gguf-vocabs" / f"ggml-vocab-{name}.gguf"
    texts = Path(f"{start}.inp").read_text("utf-8").split("\n__ggml_vocab_test__\n")[:-1]
    lines = Path(f"{start}.out").read_text("utf-8").splitlines()
    return list(zip(texts, ([int(i) for i in line.split()] for line in lines), strict=True))


@pytest.mark.parametrize("name", REAL)
def test_ids_of_real_vocabularies(shared_data: Path, name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(vocabulary(shared_data, name))
    for text, ids in examples(shared_data, name):
        assert tokenizer.encode(text, add_special_tokens=False) == ids, text


@pytest.mark.parametrize(("name", "text", "expected", "roles"), [
    ("phi-3", "Hello world", [1, 15043, 3186], {"bos_token": "<s>", "eos_token": "<|endoftext|>",
                                               "unk_token": "<unk>", "pad_token": "<|endoftext|>"}),
    ("gpt-2", "Hello world", [15496, 995], {"bos_token": "<|endoftext|>",
                                            "eos_token": "<|endoftext|>"}),
    ("bert-bge", "Hello world", [101, 7592, 2088, 102], {
        "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]",
        "mask_token": "[MASK]"}),
])
def test_special_tokens_and_a_save(shared_data: Path, tmp_path: Path, name: str, text: str,
                                   expected: list[int], roles: dict[str, str]) -> None:
    path = vocabulary(shared_data, name)
    tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    assert tokenizer(text)["input_ids"] == expected
    assert tokenizer.special_tokens_map == roles
    assert ("token_type_ids" in tokenizer(text)) == (name == "bert-bge")
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    for sample, _ in examples(shared_data, name):
        assert again(sample) == tokenizer(sample)
    assert again.special_tokens_map == roles


def test_a_chat_template_is_read(shared_data: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(vocabulary(shared_data, "phi-3"))
    messages = [{"role": "user", "content": "hi"}]
    assert tokenizer.apply_chat_template(messages, tokenize=False) == (
        "<s><|user|>\nhi<|end|>\n<|assistant|>\n")


def test_keywords_go_before_the_file(shared_data: Path) -> None:
    path = vocabulary(shared_data, "phi-3")
    tokenizer = AutoTokenizer.from_pretrained(path, add_bos_token=False, pad_token="<unk>",
                                              padding_side="left")
    assert tokenizer(["Hello", "Hello world"], padding=True)["input_ids"] == [[0, 15043],
                                                                              [15043, 3186]]


@pytest.mark.parametrize("name", ["gpt-2", "phi-3"])
def test_written_metadata_reads_back(shared_data: Path, tmp_path: Path, name: str) -> None:
    path = vocabulary(shared_data, name)
    tokenizer, own = AutoTokenizer.from_pretrained(path), GGUFFile(path).metadata
    made = tokenizer_metadata(tokenizer, len(tokenizer) + 3)
    for key in ("model", "bos_token_id", "eos_token_id", "merges"):
        assert made.get(K + key) == own.get(K + key), key
    if name == "gpt-2":
        assert made[f"{K}pre"] == "gpt-2"
    assert made.get("tokenizer.chat_template") == own.get("tokenizer.chat_template")
    assert made[f"{K}tokens"][:-3] == own[f"{K}tokens"]
    assert made[f"{K}token_type"][-3:] == [5] * 3
    engine, _ = read_tokenizer(path, made)
    for text, ids in examples(shared_data, name):
        assert engine.encode(text, add_special_tokens=False).ids == ids


@pytest.mark.parametrize("name", PRE)
def test_every_way_to_cut_keeps_the_text_and_is_told_apart(shared_data: Path, name: str) -> None:
    letters = byte_letters()
    metadata = {f"{K}model": "gpt2", f"{K}pre": name, f"{K}tokens": letters, f"{K}merges": [],
                f"{K}bos_token_id": 0, f"{K}add_bos_token": False}
    engine, _ = read_tokenizer(Path("x.gguf"), metadata)
    for text, _ in examples(shared_data, "gpt-2"):
        expected = engine.normalizer.normalize_str(text) if engine.normalizer else text
        assert engine.decode(engine.encode(text).ids) == expected
    if name != "default":
        written = tokenizer_metadata(Tokenizer(tokenizer_object=engine), 256)[f"{K}pre"]
        assert PRE[written].patterns == PRE[name].patterns
        assert PRE[written].whole == PRE[name].whole
    del metadata[f"{K}add_bos_token"]
    assert read_tokenizer(Path("x.gguf"), metadata)[1]["add_bos_token"] == PRE[name].bos


TOKENS = ["<unk>", "<s>", "</s>", "a", "b", "ab"]
SPM = {f"{K}model": "llama", f"{K}tokens": TOKENS, f"{K}scores": [0.0, 0.0, 0.0, -1.0, -2.0, -3.0]}
BPE = {f"{K}model": "gpt2", f"{K}pre": "gpt-2", f"{K}tokens": TOKENS, f"{K}merges": ["a b"]}
FAULTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, TokenizerError, "no vocabulary"),
    ({f"{K}model": "t5"}, NotImplementedError, "'t5', which is not built"),
    ({f"{K}model": "rwkv"}, NotImplementedError, "'rwkv', which is not built"),
    (BPE | {f"{K}pre": "chameleon"}, NotImplementedError, "'chameleon'.*not built"),
    (BPE | {f"{K}pre": "roberta-bpe"}, NotImplementedError, "'roberta-bpe'.*not built"),
    (BPE | {f"{K}tokens": []}, TokenizerError, "tokens is empty or missing"),
    (BPE | {f"{K}tokens": [1, 2]}, TokenizerError, "tokens: a list that is no list of texts"),
    (BPE | {f"{K}merges": ["a x"]}, TokenizerError, "'a x' does not join two tokens to a third"),
    (BPE | {f"{K}token_type": [1]}, TokenizerError, "1 types for 6 tokens"),
    (BPE | {f"{K}bos_token_id": 6}, TokenizerError, "bos_token_id: 6, expected an id below 6"),
    (SPM | {f"{K}scores": [0.0]}, TokenizerError, "1 scores for 6 tokens"),
]


@pytest.mark.parametrize(("metadata", "error", "message"), FAULTS)
def test_faults_of_a_vocabulary(metadata: dict[str, Any], error: type[Exception],
                                message: str) -> None:
    with pytest.raises(error, match=message):
        read_tokenizer(Path("x.gguf"), metadata)


def test_a_file_that_does_not_say_how_words_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    read_tokenizer(Path("x.gguf"), {key: value for key, value in BPE.items() if key != f"{K}pre"})
    assert "does not say how text is cut into words" in caplog.text


def test_several_templates(tmp_path: Path) -> None:
    metadata = SPM | {"tokenizer.chat_template": "one", "tokenizer.chat_template.tool": "two",
                      "tokenizer.chat_templates": ["tool"]}
    write_gguf(tmp_path / "v.gguf", metadata, {}, {})
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "v.gguf")
    assert tokenizer.chat_template == {"default": "one", "tool": "two"}


def test_a_tokenizer_that_llama_cpp_could_not_run() -> None:
    from tokenizers import Tokenizer as Rust
    from tokenizers import models, pre_tokenizers

    word = Tokenizer(tokenizer_object=Rust(models.WordLevel({"a": 0}, unk_token="a")))
    with pytest.raises(NotImplementedError, match="a WordLevel tokenizer can't be written"):
        tokenizer_metadata(word, 1)
    engine = Rust(models.BPE({"a": 0}, []))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    with pytest.raises(NotImplementedError, match="no name for how this tokenizer prepares text"):
        tokenizer_metadata(Tokenizer(tokenizer_object=engine), 1)
    engine.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(NotImplementedError, match="not one with Whitespace"):
        tokenizer_metadata(Tokenizer(tokenizer_object=engine), 1)
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    with pytest.raises(TokenizerError, match="has the id 0, but the model's embedding has 0 rows"):
        tokenizer_metadata(Tokenizer(tokenizer_object=engine), 0)
