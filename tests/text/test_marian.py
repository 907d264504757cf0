"""Marian's tokenizer, two models over one vocabulary, against transformers on a real one."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from enfold import AutoTokenizer

TEXTS = ["Where is the nearest hotel, please?", "", "naïve café — déjà vu", "你好 world", "▁▁",
         "aoka|zoma", "x\ty\n", "1,000,000 €", "Misaotra betsaka, tompoko!"]


@pytest.fixture(scope="module")
def pair(shared_data: Path) -> tuple[Any, Any]:
    """(ours, transformers')."""
    import transformers

    folder = shared_data / "tokenizers/opus-mt-en-mg"
    return AutoTokenizer.from_pretrained(folder), transformers.MarianTokenizer.from_pretrained(
        folder)


@pytest.fixture(scope="module")
def texts(shared_data: Path) -> list[str]:
    found = list(TEXTS)
    for name in ("botchan.txt", "flair_regression_test.txt", "wagahaiwa_nekodearu.txt",
                 "en-fr/eng-fra.txt"):
        found += (shared_data / "text" / name).read_text("utf-8").split("\n")[::300]
    return found


@pytest.mark.parametrize("column", ["text", "text_target"])
def test_ids_are_the_references(pair: tuple[Any, Any], texts: list[str], column: str) -> None:
    ours, theirs = (tokenizer(**{column: texts}).input_ids for tokenizer in pair)
    assert [t for t, a, b in zip(texts, ours, theirs, strict=True) if a != b] == []
    assert max(map(max, ours)) < len(pair[0]) == len(pair[1])


def test_the_vocabulary_is_that_of_the_file(pair: tuple[Any, Any]) -> None:
    ours, theirs = pair
    assert ours.get_vocab() == theirs.get_vocab()
    every = list(range(len(theirs)))
    names = ours.convert_ids_to_tokens(every)
    assert names == theirs.convert_ids_to_tokens(every)
    assert ours.convert_tokens_to_ids(names) == every
    assert ours.convert_tokens_to_ids(["no such", "▁hotel"]) == theirs.convert_tokens_to_ids(
        ["no such", "▁hotel"])


@pytest.mark.parametrize("source", [False, True])
def test_ids_of_either_side_decode_on_both(pair: tuple[Any, Any], texts: list[str],
                                           source: bool) -> None:
    ours, theirs = pair
    for column in ("text", "text_target"):
        for ids in theirs(**{column: texts}).input_ids[:60]:
            known = [index for index in ids if index != theirs.unk_token_id]
            options = {"skip_special_tokens": True, "use_source_tokenizer": source}
            assert ours.decode(known, **options) == theirs.decode(known, **options)


def test_a_pickled_tokenizer_keeps_its_vocabulary(pair: tuple[Any, Any]) -> None:
    twin = pickle.loads(pickle.dumps(pair[0]))
    assert twin(TEXTS).input_ids == pair[0](TEXTS).input_ids
    assert twin.get_vocab() == pair[0].get_vocab()
