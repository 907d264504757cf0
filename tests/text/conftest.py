"""Small tokenizers that the tests train themselves, ours and transformers' over the same files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tokenizers import Tokenizer as Rust
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "critical")

CORPUS = ["The quick brown fox jumps over the lazy dog.", "Pack my box with five dozen jugs.",
          "How vexingly quick daft zebras jump!", "Sphinx of black quartz, judge my vow.",
          "don't stop: 1234 567, naïve café", "hello world, hello there my old friend"] * 4
TEXTS = ["hello world", "The quick brown fox, and naïve café jumps!", "", "  a  b ", "x",
         "zebras 你好 🤗 don't", "Pack my box with five dozen jugs and judge my vow quickly."]
BERT = {"unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]",
        "mask_token": "[MASK]"}


class Pair(NamedTuple):
    """transformers' tokenizer and ours, over one tokenizer.json."""

    theirs: Any
    ours: Any


def train_wordpiece() -> Rust:
    rust = Rust(models.WordPiece(unk_token="[UNK]"))
    rust.normalizer = normalizers.BertNormalizer()
    rust.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    rust.decoder = decoders.WordPiece()
    rust.train_from_iterator(CORPUS, trainers.WordPieceTrainer(
        vocab_size=160, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    rust.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return rust


def train_bytes() -> Rust:
    rust = Rust(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.decoder = decoders.ByteLevel()
    rust.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<s>", "</s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    rust.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B:1", special_tokens=[("<s>", 0)])
    return rust


def train_unigram() -> Rust:
    rust = Rust(models.Unigram())
    rust.pre_tokenizer = pre_tokenizers.Metaspace()
    rust.decoder = decoders.Metaspace()
    rust.train_from_iterator(CORPUS, trainers.UnigramTrainer(
        vocab_size=120, special_tokens=["<unk>", "<pad>", "</s>"], unk_token="<unk>"))
    rust.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 2)])
    return rust


TRAINED: dict[str, tuple[Callable[[], Rust], dict[str, Any]]] = {
    "wordpiece": (train_wordpiece, BERT | {"model_max_length": 32, "model_input_names": [
        "input_ids", "token_type_ids", "attention_mask"]}),
    "bytes": (train_bytes, {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}),
    "unigram": (train_unigram, {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}),
}


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Name -> tokenizer.json."""
    folder = tmp_path_factory.mktemp("engines")
    for name, (train, _) in TRAINED.items():
        (folder / name).mkdir()
        train().save(str(folder / name / "tokenizer.json"))
    return {name: folder / name / "tokenizer.json" for name in TRAINED}


@pytest.fixture
def ours(engines: dict[str, Path]) -> Callable[..., Any]:
    """`ours("bytes", padding_side="left")`: a new tokenizer."""
    from enfold.text import Tokenizer

    def make(name: str = "wordpiece", **options: Any) -> Any:
        return Tokenizer(tokenizer_file=engines[name], **{**TRAINED[name][1], **options})

    return make


@pytest.fixture(scope="session")
def pairs(engines: dict[str, Path]) -> dict[str, Pair]:
    """transformers' and ours; not to be changed by a test."""
    from transformers import PreTrainedTokenizerFast

    from enfold.text import Tokenizer

    return {name: Pair(PreTrainedTokenizerFast(tokenizer_file=str(path), **TRAINED[name][1]),
                       Tokenizer(tokenizer_file=path, **TRAINED[name][1]))
            for name, path in engines.items()}
