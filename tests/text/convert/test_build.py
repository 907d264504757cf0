"""Which recipe is taken, which special tokens are added, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from enfold.errors import TokenizerError
from enfold.text.convert import BUILDERS, build, choose
from enfold.text.convert.recipes import CLASSES, MODEL_TYPES, RECIPES

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "world", "##s"]


@pytest.fixture
def bert(tmp_path: Path) -> dict[str, Path]:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(WORDS) + "\n")
    return {"vocab.txt": path}


def test_the_tables_agree() -> None:
    assert {*CLASSES.values(), *MODEL_TYPES.values()} <= RECIPES.keys()
    assert {recipe.kind for recipe in RECIPES.values()} == BUILDERS.keys()
    assert not CLASSES.keys() & RECIPES.keys()


@pytest.mark.parametrize(("cls", "model_type", "recipe"), [
    ("BertTokenizerFast", None, "Bert"), ("DistilBertTokenizer", "bert", "Bert"),
    ("PreTrainedTokenizerFast", "qwen2", "Qwen2"), (None, "gpt_bigcode", "GPT2"),
    ("TokenizersBackend", "t5", "T5"), ("BartTokenizer", "mbart", "Roberta")])
def test_choice(cls: str | None, model_type: str | None, recipe: str) -> None:
    assert choose({}, cls, model_type) is RECIPES[recipe]


def test_an_unknown_class_is_refused_with_near_ones(bert: dict[str, Path]) -> None:
    with pytest.raises(TokenizerError, match="'EsmTokenizer'.*Save its tokenizer.json"):
        build(bert, "EsmTokenizer", {})
    with pytest.raises(TokenizerError, match="nearest: 'DistilBertTokenizer'"):
        build(bert, "DistlBertTokenizer", {})


@pytest.mark.parametrize(("names", "state"), [
    ((), "no vocabulary .no files."), (("vocab.txt", "merges.txt"), "several vocabularies"),
    (("vocab.json",), "no vocabulary .vocab.json.")])
def test_ambiguous_files(tmp_path: Path, names: tuple[str, ...], state: str) -> None:
    files = {name: tmp_path / name for name in names}
    with pytest.raises(TokenizerError, match=f"{state}.*names no tokenizer class. Put"):
        build(files, None, {})


@pytest.mark.parametrize(("files", "recipe"), [
    ({"vocab.txt": "tokenizers/bert-base-cased/vocab.txt"}, "Bert"),
    ({"vocab.json": "tokenizers/gpt2/vocab.json", "merges.txt": "tokenizers/gpt2/merges.txt"},
     "GPT2"),
    ({"spiece.model": "tokenizers/t5/spiece.model"}, "SentencePiece"),
    ({"tokenizer.model": "models/stories260K/tok512.model"}, "Llama"),
    ({"x.tiktoken": "tokenizers/tiktoken/cl100k_base.tiktoken"}, "Tiktoken"),
    ({name: f"tokenizers/opus-mt-en-mg/{name}"
      for name in ("source.spm", "target.spm", "vocab.json")}, "Marian")])
def test_inferred_from_the_files(shared_data: Path, files: dict[str, str], recipe: str) -> None:
    assert choose({name: shared_data / path for name, path in files.items()}, None) is (
        RECIPES[recipe])


def test_several_tiktoken_files(shared_data: Path) -> None:
    folder = shared_data / "tokenizers/tiktoken"
    with pytest.raises(TokenizerError, match=r"several tiktoken files .*Leave one in the folder"):
        build({path.name: path for path in folder.iterdir()}, None, {})


def test_wordpiece_options(bert: dict[str, Path]) -> None:
    assert build(bert, "BertTokenizer", {}).encode("HELLO worlds").tokens == [
        "[CLS]", "hello", "world", "##s", "[SEP]"]
    cased = build(bert, "BertTokenizer", {"do_lower_case": False})
    assert cased.encode("HELLO").tokens == ["[CLS]", "[UNK]", "[SEP]"]
    pair = build(bert, "BertTokenizer", {}).encode("hello", "world")
    assert pair.type_ids == [0, 0, 0, 1, 1]


def test_special_tokens_from_the_configuration(bert: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"sep_token": "world"}))
    files = bert | {"special_tokens_map.json": tmp_path / "special_tokens_map.json"}
    config: dict[str, Any] = {
        "mask_token": {"content": "[MASK]", "lstrip": True},
        "additional_special_tokens": ["<x>"], "extra_special_tokens": {"image_token": "<y>"}}
    engine = build(files, "BertTokenizer", config)
    assert engine.encode("hello [MASK]<x><y>").ids == [2, 5, 4, 8, 9, 6]
    assert engine.get_added_tokens_decoder()[4].lstrip
    assert engine.token_to_id("<x>") == len(WORDS)


def test_added_tokens_keep_their_ids(bert: dict[str, Path], tmp_path: Path) -> None:
    decoder = {"9": {"content": "<b>", "special": True}, "8": {"content": "<a>", "special": False}}
    engine = build(bert, "BertTokenizer", {"added_tokens_decoder": decoder})
    assert [engine.token_to_id(token) for token in ("<a>", "<b>")] == [8, 9]
    assert engine.decode([8, 9], skip_special_tokens=True) == "<a>"
    (tmp_path / "added_tokens.json").write_text('{"<c>": 8}')
    files = bert | {"added_tokens.json": tmp_path / "added_tokens.json"}
    assert build(files, "BertTokenizer", {}).token_to_id("<c>") == 8


@pytest.mark.parametrize(("config", "message"), [
    ({"added_tokens_decoder": {"12": {"content": "<b>"}}},
     "'<b>' should have the id 12, and the vocabulary gives it 8"),
    ({"unk_token": "<unk>"}, "no unknown token '<unk>' among its 8 tokens"),
    ({"cls_token": None}, "puts a cls token around each text and has none"),
    ({"cls_token": 7}, "7 stands where a token belongs"),
])
def test_inconsistent_special_tokens(bert: dict[str, Path], config: dict[str, Any],
                                     message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        build(bert, "BertTokenizer", config)


def test_empty_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("")
    with pytest.raises(TokenizerError, match="empty, expected one token on each line"):
        build({"vocab.txt": tmp_path / "vocab.txt"}, "BertTokenizer", {})


def test_nothing_heavy_is_imported() -> None:
    code = ("import sys, enfold.text.convert\n"
            "print(*{'torch', 'numpy', 'sentencepiece', 'google.protobuf'} & set(sys.modules))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
