"""AutoTokenizer and the classes: what files say, what keywords say, what is refused."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken
from tokenizers import Tokenizer as Rust

import enfold.text
from enfold.errors import ArgumentError, ConfigError, EnfoldError, FileMissing, TokenizerError
from enfold.text import AutoTokenizer, BertTokenizer, Tokenizer, classes
from tests.text.conftest import TEXTS


@pytest.fixture
def folder(engines: dict[str, Path], tmp_path: Path) -> Any:
    """`folder("bytes", config={...}, model={...}, roles={...})`: a checkpoint's folder."""
    def make(name: str = "bytes", **files: Any) -> Path:
        names = {"config": "tokenizer_config.json", "model": "config.json",
                 "roles": "special_tokens_map.json", "added": "added_tokens.json"}
        path = tmp_path / str(len(list(tmp_path.iterdir())))
        path.mkdir()
        shutil.copy(engines[name], path / "tokenizer.json")
        for key, value in files.items():
            (path / names[key]).write_text(json.dumps(value))
        return path

    return make


@pytest.mark.parametrize(("files", "name", "types", "side"), [
    ({}, "Tokenizer", False, "right"),
    ({"model": {"model_type": "bert"}}, "BertTokenizer", True, "right"),
    ({"model": {"model_type": "distilbert"}}, "DistilBertTokenizer", False, "right"),
    ({"model": {"model_type": "llama"}}, "LlamaTokenizer", False, "left"),
    ({"model": {"model_type": "x", "tokenizer_class": "BertTokenizer"}}, "BertTokenizer", True,
     "right"),
    ({"config": {"tokenizer_class": "LlamaTokenizerFast"}, "model": {"model_type": "bert"}},
     "LlamaTokenizer", False, "left"),
    ({"config": {"tokenizer_class": "TokenizersBackend", "padding_side": "left",
                 "model_input_names": ["input_ids", "token_type_ids"]}}, "Tokenizer", True, "left"),
    ({"config": {"tokenizer_class": "HouseTokenizer"}}, "Tokenizer", False, "right")])
def test_the_class_gives_sides_and_columns_never_ids(folder: Any, files: Any, name: str,
                                                     types: bool, side: str) -> None:
    path = folder(**files)
    tokenizer = AutoTokenizer.from_pretrained(path)
    assert type(tokenizer).__name__ == name
    assert ("token_type_ids" in tokenizer("a")) is types
    assert tokenizer.padding_side == side
    rust = Rust.from_file(str(path / "tokenizer.json"))
    assert tokenizer(TEXTS)["input_ids"] == [row.ids for row in rust.encode_batch(TEXTS)]
    assert len(tokenizer) == rust.get_vocab_size()


def test_tokenizer_json_of_real_models_is_run_verbatim(shared_data: Path) -> None:
    lines = (shared_data / "text" / "tinyshakespeare.txt").read_text().split("\n")[:300]
    lines += ["def f(x):\n\treturn x**2  # 123456", "日本語 한국어", "🤗🏳️‍🌈",
              "  lead", "trail  ", "\n\n"]
    paths = list((shared_data / "tokenizers").glob("*/*tokenizer.json"))
    assert len(paths) >= 5
    for path in paths:
        rust = Rust.from_file(str(path))
        rust.no_padding()
        rust.no_truncation()
        tokenizer = AutoTokenizer.from_pretrained(path)
        want = [row.ids for row in rust.encode_batch(lines)]
        assert tokenizer(lines)["input_ids"] == want, path


def test_keywords_go_before_files(folder: Any) -> None:
    path = folder(config={"eos_token": "</s>", "pad_token": "<pad>", "model_max_length": 9,
                          "chat_template": "a"})
    tokenizer = AutoTokenizer.from_pretrained(
        path, eos_token="<s>", pad_token="[PAD]", model_max_length=5, padding_side="left",
        truncation_side="left", chat_template="b", additional_special_tokens=["<x>"],
        use_fast=True, trust_remote_code=False, add_bos_token=False)
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.model_max_length) == \
        ("<s>", "[PAD]", 5)
    assert (tokenizer.padding_side, tokenizer.truncation_side, tokenizer.chat_template) == \
        ("left", "left", "b")
    assert tokenizer.convert_ids_to_tokens(tokenizer("a<x>")["input_ids"]) == ["a", "<x>"]
    assert tokenizer.pad_token_id == len(tokenizer) - 2


def test_old_and_new_files_say_the_same(folder: Any) -> None:
    mask = {"content": "<m>", "lstrip": True, "rstrip": False, "single_word": False,
            "normalized": False}
    old = folder(config={"unk_token": "</s>", "additional_special_tokens": ["<x>"]},
                 roles={"mask_token": mask, "eos_token": "</s>"}, added={"<y>": 331, "<x>": 330})
    new = folder(config={"unk_token": "</s>", "mask_token": "<m>", "eos_token": "</s>",
                         "extra_special_tokens": ["<x>"], "added_tokens_decoder": {
                             "330": {"content": "<x>", "special": True, "normalized": False},
                             "331": {"content": "<y>", "special": False, "normalized": True},
                             "332": {**mask, "special": True}}})
    tokenizers = [AutoTokenizer.from_pretrained(path) for path in (old, new)]
    text = "a <x> b<y>  <m>"
    first, second = ([one.all_special_tokens, one.get_vocab(), one(text)["input_ids"],
                      one.special_tokens_map] for one in tokenizers)
    assert first[1] == second[1] and first[2] == second[2]
    assert sorted(first[0]) == sorted(second[0]) and first[3] == second[3]
    assert tokenizers[0].convert_tokens_to_ids("<y>") == 331


def test_classes_are_made_when_asked_for(engines: dict[str, Path], shared_data: Path) -> None:
    assert enfold.text.BertTokenizerFast is enfold.text.BertTokenizer is BertTokenizer
    assert enfold.text.PreTrainedTokenizerFast is Tokenizer is enfold.text.TokenizersBackend
    assert issubclass(BertTokenizer, Tokenizer) and BertTokenizer.__name__ == "BertTokenizer"
    assert "MarianTokenizer" in dir(classes)
    with pytest.raises(AttributeError, match="BertTokeniser"):
        _ = enfold.text.BertTokeniser
    tokenizer = BertTokenizer(tokenizer_file=engines["wordpiece"])
    assert (tokenizer.cls_token, tokenizer.mask_token_id) == ("[CLS]", 4)
    assert type(pickle.loads(pickle.dumps(tokenizer))) is BertTokenizer
    vocab = shared_data / "tokenizers" / "bert-base-cased" / "vocab.txt"
    one, other = BertTokenizer(vocab, do_lower_case=False), BertTokenizer.from_pretrained(
        vocab, do_lower_case=False)
    assert one.tokenize("Hello Ünder") == other.tokenize("Hello Ünder") == ["Hello", "Ü", "##nder"]
    gpt2 = shared_data / "tokenizers" / "gpt2"
    made = enfold.text.GPT2Tokenizer(vocab_file=gpt2 / "vocab.json",
                                     merges_file=gpt2 / "merges.txt")
    assert made.encode("Hello world") == [15496, 995]


def test_edits_by_keyword(folder: Any, ours: Any) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder("wordpiece"), do_lower_case=False)
    assert tokenizer.tokenize("QUICK") != tokenizer.tokenize("quick")
    assert tokenizer.do_lower_case is False
    spaced = AutoTokenizer.from_pretrained(folder("bytes"), add_prefix_space=True)
    assert spaced.encode("hello") == ours("bytes").encode(" hello")
    none = AutoTokenizer.from_pretrained(folder("unigram"), add_prefix_space=False)
    assert not none.tokenize("hello")[0].startswith("▁")
    with pytest.raises(TokenizerError, match="normalizer is not BERT's"):
        AutoTokenizer.from_pretrained(folder("bytes"), do_lower_case=True)
    with pytest.raises(TokenizerError, match="no ByteLevel or Metaspace"):
        AutoTokenizer.from_pretrained(folder("wordpiece"), add_prefix_space=True)


def test_marian_reads_and_writes_two_languages(shared_data: Path) -> None:
    from transformers import MarianTokenizer as Theirs

    path = shared_data / "tokenizers" / "opus-mt-en-mg"
    theirs, ours = Theirs.from_pretrained(path), AutoTokenizer.from_pretrained(path)
    english, malagasy = ["Hello, my friend!", "A cat."], ["Salama, ry namako!", "Saka iray."]
    want = theirs(english, text_target=malagasy, padding=True)
    got = ours(english, text_target=malagasy, padding=True)
    assert dict(got) == dict(want)
    assert ours(text_target=malagasy)["input_ids"] == theirs(text_target=malagasy)["input_ids"]
    with ours.as_target_tokenizer():
        assert ours(malagasy) == ours(text_target=malagasy) != ours(english)
    assert ours(english)["input_ids"] == theirs(english)["input_ids"]
    for skip in (False, True):
        assert ours.batch_decode(got["labels"], skip_special_tokens=skip) == \
            theirs.batch_decode(want["labels"], skip_special_tokens=skip)
    assert ours.model_max_length == theirs.model_max_length == 512


def test_loading_makes_no_request_for_a_folder(no_sockets: list[object], folder: Any) -> None:
    AutoTokenizer.from_pretrained(folder())
    assert not no_sockets


@pytest.mark.parametrize(("change", "error", "message"), [
    (lambda path: (path / "tokenizer.json").unlink(), FileMissing, "Looked for tokenizer.json"),
    (lambda path: (path / "tokenizer.json").write_text('{"a": 1,\n "b"}'), TokenizerError,
     "tokenizer.json: not valid JSON at line 2, column 5"),
    (lambda path: (path / "tokenizer.json").write_text('{"model": {"type": "New"}}'),
     TokenizerError, "the engine can't run this tokenizer.json"),
    (lambda path: (path / "tokenizer_config.json").write_text("{"), ConfigError, "line 1"),
    (lambda path: (path / "tokenizer_config.json").write_text('{"pad_token": 3}'), TokenizerError,
     "pad_token is 3, expected a str"),
    (lambda path: (path / "tokenizer_config.json").write_text('{"padding_side": "up"}'),
     TokenizerError, "padding_side='up'")])
def test_bad_folders(folder: Any, change: Any, error: type[Exception], message: str) -> None:
    path = folder(config={})
    change(path)
    with pytest.raises(error, match=message):
        AutoTokenizer.from_pretrained(path)


def test_bad_arguments(folder: Any, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="'pading_side' .nearest: 'padding_side'"):
        AutoTokenizer.from_pretrained(folder(), pading_side="left")
    with pytest.raises(NotImplementedError, match="errors='strict'"):
        AutoTokenizer.from_pretrained(folder(), errors="strict")
    with pytest.raises(NotImplementedError, match="sp_model_kwargs"):
        AutoTokenizer.from_pretrained(folder(), sp_model_kwargs={"alpha": 1})
    with pytest.raises(NotImplementedError, match="vocab=: give files"):
        BertTokenizer(tokenizer_file=folder() / "tokenizer.json", vocab={"a": 1})
    with pytest.raises(TokenizerError, match="nothing to build from"):
        BertTokenizer()
    with pytest.raises(FileMissing, match="no such file"):
        BertTokenizer(vocab_file=tmp_path / "vocab.txt")
    with pytest.raises(EnfoldError, match="AutoTokenizer is not a tokenizer itself"):
        AutoTokenizer()
    (tmp_path / "x.bin").write_text("")
    with pytest.raises(FileMissing, match="not a file of a tokenizer by its name"):
        AutoTokenizer.from_pretrained(tmp_path / "x.bin")


def test_old_metaspace_parts_are_read(ours: Any, tmp_path: Path) -> None:
    state = json.loads(ours("unigram").backend_tokenizer.to_str())
    for part in ("pre_tokenizer", "decoder"):
        state[part] = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": False}
    (tmp_path / "tokenizer.json").write_text(json.dumps(state))
    tokens = AutoTokenizer.from_pretrained(tmp_path).tokenize("hello you")
    assert not tokens[0].startswith("▁") and "".join(tokens) == "hello▁you"


def test_a_wrapped_engine_is_a_copy(ours: Any) -> None:
    engine = ours().backend_tokenizer
    tokenizer = Tokenizer(tokenizer_object=engine, mask_token=AddedToken("<new>"))
    assert tokenizer.mask_token_id == len(tokenizer) - 1
    assert engine.token_to_id("<new>") is None
    assert Tokenizer(tokenizer_object=tokenizer).encode("fox") == tokenizer.encode("fox")
