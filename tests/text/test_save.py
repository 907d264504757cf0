"""Saved tokenizers are read by transformers 4.57 and 5.x; what was not changed stays as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enfold.errors import TokenizerError
from enfold.text import AutoTokenizer, BertTokenizer, GPT2Tokenizer, T5Tokenizer, Tokenizer
from tests.text.conftest import TEXTS, TRAINED

PROBE = """
import json, sys
from transformers import AutoTokenizer
out = []
for folder in sys.argv[2:]:
    t = AutoTokenizer.from_pretrained(folder)
    out.append({"ids": t(json.loads(sys.argv[1]))["input_ids"], "keys": list(t("a")), "len": len(t),
                "special": sorted(t.all_special_tokens), "side": t.padding_side,
                "max": t.model_max_length, "template": t.chat_template})
print(json.dumps(out))
"""


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def state(tokenizer: Any) -> dict[str, Any]:
    return {"ids": tokenizer(TEXTS, verbose=False)["input_ids"], "keys": list(tokenizer("a")),
            "len": len(tokenizer), "special": sorted(tokenizer.all_special_tokens),
            "side": tokenizer.padding_side, "max": tokenizer.model_max_length,
            "template": tokenizer.chat_template}


def edited(tokenizer: Any) -> Any:
    tokenizer.add_tokens(["newword"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<a>", "<b>"]})
    tokenizer.padding_side, tokenizer.model_max_length = "left", 77
    tokenizer.chat_template = "{{ messages[0].content }}"
    return tokenizer


@pytest.fixture
def made(ours: Any, shared_data: Path, tmp_path: Path) -> dict[str, Any]:
    """Tokenizers of every origin, fresh and edited."""
    def folder(*files: str) -> Path:
        path = tmp_path / files[0].replace("/", "-")
        path.mkdir(exist_ok=True)
        for name in files:
            shutil.copy(shared_data / "tokenizers" / name, path)
        return path

    named = TRAINED["wordpiece"][1]
    bert = BertTokenizer(tokenizer_file=ours()._source.files["tokenizer.json"], **named)
    return {
        "bert": bert, "bert, edited": edited(BertTokenizer(tokenizer_object=bert, **named)),
        "vocab.txt": BertTokenizer.from_pretrained(folder("bert-base-cased/vocab.txt"),
                                                   do_lower_case=False),
        "merges": edited(GPT2Tokenizer.from_pretrained(folder("gpt2/vocab.json",
                                                              "gpt2/merges.txt"))),
        "spiece": T5Tokenizer.from_pretrained(folder("t5/spiece.model")),
        "marian": AutoTokenizer.from_pretrained(shared_data / "tokenizers" / "opus-mt-en-mg"),
        "kept config": edited(AutoTokenizer.from_pretrained(shared_data / "tokenizers/minimind"))}


def test_both_transformers_read_it_and_saving_again_changes_nothing(
        made: dict[str, Any], tmp_path: Path, oracle457: Callable[..., Any]) -> None:
    folders = []
    for name, tokenizer in made.items():
        first, again = tmp_path / f"{name} 1", tmp_path / f"{name} 2"
        paths = tokenizer.save_pretrained(first)
        assert sorted(paths) == sorted(str(first / file) for file in tree(first))
        read = AutoTokenizer.from_pretrained(first)
        assert state(read) == state(tokenizer), name
        assert type(read) is type(tokenizer)
        read.save_pretrained(again)
        assert tree(first) == tree(again), name
        folders.append(first)
    want = [state(tokenizer) for tokenizer in made.values()]
    old = oracle457(PROBE, json.dumps(TEXTS), *folders)
    for name, mine, theirs in zip(made, want, old, strict=True):
        if name == "kept config":  # the generic class of 4.57 returns token_type_ids
            theirs["keys"], theirs["special"] = mine["keys"], mine["special"]
        if name == "spiece":
            theirs["special"] = mine["special"]
        assert theirs == mine, name
    from transformers import AutoTokenizer as New

    for name, mine, folder in zip(made, want, folders, strict=True):
        assert state(New.from_pretrained(folder)) == mine, name


def test_untouched_files_keep_their_bytes(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "tokenizers" / "minimind"
    AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path)
    saved = tree(tmp_path)
    assert {name: saved[name] for name in tree(source)} == tree(source)
    marian = shared_data / "tokenizers" / "opus-mt-en-mg"
    AutoTokenizer.from_pretrained(marian).save_pretrained(tmp_path / "m")
    for name in ("source.spm", "target.spm", "vocab.json"):
        assert (tmp_path / "m" / name).read_bytes() == (marian / name).read_bytes()


def test_files_of_transformers_5_become_readable_for_4(ours: Any, tmp_path: Path) -> None:
    ours("bytes").save_pretrained(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps({"tokenizer_class": "TokenizersBackend", "eos_token": "</s>",
                                "extra_special_tokens": ["<x>"], "backend": "tokenizers"}))
    (tmp_path / "special_tokens_map.json").unlink()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.extra_special_tokens == ["<x>"]
    tokenizer.save_pretrained(tmp_path)
    config = json.loads(path.read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert config["additional_special_tokens"] == ["<x>"]
    assert "extra_special_tokens" not in config
    assert config["backend"] == "tokenizers"


def test_baked_padding_and_truncation_are_kept(ours: Any, tmp_path: Path) -> None:
    rust = ours().backend_tokenizer
    rust.enable_padding(direction="left", pad_token="[PAD]", pad_id=0, pad_type_id=1, length=9)
    rust.enable_truncation(7)
    rust.save(str(tmp_path / "tokenizer.json"))
    baked = json.loads((tmp_path / "tokenizer.json").read_text())
    tokenizer = Tokenizer(tokenizer_file=tmp_path / "tokenizer.json")
    assert (tokenizer.padding_side, tokenizer.pad_token, tokenizer.pad_token_type_id) == \
        ("left", "[PAD]", 1)
    assert len(tokenizer("hello " * 20)["input_ids"]) == 22
    for add in ([], ["newword"]):
        tokenizer.add_tokens(add)
        tokenizer.save_pretrained(tmp_path / "out")
        saved = json.loads((tmp_path / "out" / "tokenizer.json").read_text())
        assert {key: saved[key] for key in ("padding", "truncation")} == \
            {key: baked[key] for key in ("padding", "truncation")}


def test_templates_have_files_of_their_own(ours: Any, tmp_path: Path) -> None:
    tokenizer = ours("bytes", chat_template={"default": "d", "rag": "r"})
    tokenizer.save_pretrained(tmp_path, filename_prefix="p")
    assert (tmp_path / "p-chat_template.jinja").read_text() == "d"
    assert (tmp_path / "p-additional_chat_templates" / "rag.jinja").read_text() == "r"
    tokenizer.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path).chat_template == {"default": "d", "rag": "r"}
    listed = json.loads((tmp_path / "tokenizer_config.json").read_text())["chat_template"]
    assert listed == [{"name": "default", "template": "d"}, {"name": "rag", "template": "r"}]
    tokenizer.chat_template = {"../x": "no"}
    with pytest.raises(TokenizerError, match="can't be a file's name"):
        tokenizer.save_pretrained(tmp_path)


def test_what_saving_refuses(ours: Any, tmp_path: Path) -> None:
    with pytest.raises(NotImplementedError, match="legacy_format=True"):
        ours().save_pretrained(tmp_path, legacy_format=True)
    with pytest.raises(TokenizerError, match="repo_id only mean something with push_to_hub=True"):
        ours().save_pretrained(tmp_path / "x", repo_id="a/b")
    assert not (tmp_path / "x").exists()


def test_pushing_uploads_the_folder(ours: Any, tmp_path: Path,
                                    monkeypatch: pytest.MonkeyPatch) -> None:
    pushed: list[Any] = []

    def push(folder: Path, repo_id: str, **hub: Any) -> None:
        pushed.append((sorted(tree(folder)), repo_id, hub))

    monkeypatch.setattr("enfold.text.save.push_to_hub", push)
    files = ["special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"]
    ours().push_to_hub("me/tok", private=True)
    ours().save_pretrained(tmp_path / "tok2", push_to_hub=True, token="t")
    assert pushed == [(files, "me/tok", {"commit_message": "Upload tokenizer", "private": True}),
                      (files, "tok2", {"token": "t"})]


def test_the_vocabulary_alone(ours: Any, tmp_path: Path) -> None:
    assert [Path(path).name for path in ours().save_vocabulary(tmp_path)] == ["vocab.txt"]
