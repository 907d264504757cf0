"""Real text, real vocabularies, and other programs' encodings of the first by the second."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from enfold import errors

ODD = ["", " ", "   ", "\t", " a", "a ", "  a  b  ", "a\tb\n\nc", "x\r\ny", "ﬁne ①② ½", "Ω K Å µ",
       "ｆｕｌｌ　ｗｉｄｔｈ", "👨‍👩‍👧‍👦 ok 🚫🦈 🇫🇷 👍🏽", "한국어 텍스트", "Việt Nam",
       "مُحَمَّد", "שָׁלוֹם", "हिन्दी ไทย",
       "1234567890 3.14 1,000,000 9,9", "a\u00a0b a\u200bb a\u3000b", "\u0000x\u0001y\u2028z",
       "----------", "aaaaaaaaaaaa", "        def f(x):\n\treturn x  # ok", "''q'' ``x``",
       "(foo)bar - £5 €6", "▁", "a ▁ b", "don't I'LL we've", "naïve café, déjà vu"]
FILES = [("botchan.txt", 9), ("flair_regression_test.txt", 5), ("tinyshakespeare.txt", 90),
         ("wagahaiwa_nekodearu.txt", 5), ("en-fr/eng-fra.txt", 20),
         ("wikitext-2-raw/wiki.valid.raw", 8)]


@pytest.fixture(scope="session")
def lines(shared_data: Path) -> list[str]:
    """At least 2,000 texts: prose, tweets, Japanese, French, code, and odd ones."""
    found = list(ODD)
    for name, step in FILES:
        found += (shared_data / "text" / name).read_text("utf-8").split("\n")[::step]
    found += Path(errors.__file__).read_text("utf-8").split("\n")
    assert len(found) >= 2000
    return found


@pytest.fixture(scope="session")
def vocabularies(shared_data: Path,
                 tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`vocabularies(config, {name: path})` is a checkpoint folder with links to those files."""

    def folder(config: Mapping[str, object], files: dict[str, str]) -> Path:
        made = tmp_path_factory.mktemp("vocabulary")
        for name, path in files.items():
            (made / name).symlink_to(shared_data / path)
        (made / "tokenizer_config.json").write_text(json.dumps(dict(config)))
        return made

    return folder


@pytest.fixture(scope="session")
def roberta_files(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """RoBERTa's vocab.json, as fairseq's dictionary of GPT-2 ids defines it, and the merges."""
    gpt2 = json.loads((shared_data / "tokenizers/gpt2/vocab.json").read_text("utf-8"))
    tokens = {str(index): token for token, index in gpt2.items()}
    listed = (shared_data / "tokenizers/roberta-base/dict.txt").read_text("utf-8").splitlines()
    names = ["<s>", "<pad>", "</s>", "<unk>", *(line.split()[0] for line in listed), "<mask>"]
    vocab = {tokens.get(name, name): index for index, name in enumerate(names)}
    merges = (shared_data / "tokenizers/gpt2/merges.txt").read_text("utf-8").splitlines()
    kept = [line for line in merges if line.replace(" ", "") in vocab]
    made = tmp_path_factory.mktemp("roberta")
    (made / "vocab.json").write_text(json.dumps(vocab))
    (made / "merges.txt").write_text("#version: 0.2\n" + "\n".join(kept) + "\n")
    return {name: str(made / name) for name in ("vocab.json", "merges.txt")}

