"""Ids and text that other implementations recorded for real vocabularies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from enfold.text import AutoTokenizer, BertTokenizer, GPT2Tokenizer

SEPARATOR = "\n__ggml_vocab_test__\n"


@pytest.fixture(scope="module")
def real(shared_data: Path) -> dict[str, Any]:
    folder = shared_data / "tokenizers"
    return {"gpt-2": GPT2Tokenizer(folder / "gpt2/vocab.json", folder / "gpt2/merges.txt"),
            "bert-bge": BertTokenizer(folder / "bert-base-uncased/vocab.txt")}


@pytest.mark.parametrize("name", ["gpt-2", "bert-bge"])
def test_ids_of_llama_cpp(real: dict[str, Any], shared_data: Path, name: str) -> None:
    base = shared_data / "gguf-vocabs" / f"ggml-vocab-{name}.gguf"
    texts = Path(f"{base}.inp").read_bytes().decode().split(SEPARATOR)
    want = [[int(word) for word in line.split()]
            for line in Path(f"{base}.out").read_text().split("\n")[:len(texts)]]
    assert len(texts) > 40
    assert real[name](texts, add_special_tokens=False)["input_ids"] == want


def test_records_of_swift_transformers(shared_data: Path) -> None:
    path = shared_data / "tokenizer_expected" / "swift_tokenizer_tests.json"
    records = json.loads(path.read_text())
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "tokenizers" / "bert-base-uncased",
                                              tokenizer_type="bert")
    assert records["bert-base-uncased"]
    for record in records["bert-base-uncased"]:
        out = tokenizer(record["input"])
        assert dict(out) == record["encoded"]
        for key, skip in (("decoded_with_special", False), ("decoded_without_special", True)):
            assert tokenizer.decode(out["input_ids"], skip_special_tokens=skip,
                                    clean_up_tokenization_spaces=True) == record[key]
