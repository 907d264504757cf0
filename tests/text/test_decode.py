"""Ids back to text, as transformers; training; languages."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import processors

from enfold.errors import ArgumentError, TokenizerError
from enfold.text import NllbTokenizer
from tests.text.conftest import CORPUS, TEXTS, TRAINED


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("clean", [None, True])
def test_decoding_is_transformers(pairs: Any, name: str, skip: bool, clean: bool | None) -> None:
    theirs, ours = pairs[name]
    rows = ours(TEXTS)["input_ids"]
    options = {"skip_special_tokens": skip, "clean_up_tokenization_spaces": clean}
    want = theirs.batch_decode(rows, **options)
    assert ours.batch_decode(rows, **options) == want == ours.decode(rows, **options)
    assert [ours.decode(row, **options) for row in rows] == want
    padded = ours(TEXTS, padding=True, return_tensors="pt")["input_ids"]
    assert ours.batch_decode(padded, **options) == theirs.batch_decode(padded, **options)


def test_any_shape_of_ids(ours: Any) -> None:
    tokenizer = ours("bytes")
    ids = tokenizer.encode("fox", add_special_tokens=False)
    for form in (ids, tuple(ids), np.array(ids), torch.tensor(ids), [torch.tensor(i) for i in ids],
                 tokenizer("fox", add_special_tokens=False)):
        assert tokenizer.decode(form) == "fox"
    assert tokenizer.decode([torch.tensor(ids), torch.tensor(ids[:1])])[0] == "fox"
    assert tokenizer.decode(ids[0]) == tokenizer.convert_ids_to_tokens(ids[0])
    assert tokenizer.decode([]) == "" and tokenizer.batch_decode([]) == []
    with pytest.raises(ArgumentError, match="'skip_special'"):
        tokenizer.decode(ids, skip_special=True)


@pytest.mark.parametrize("name", TRAINED)
def test_a_new_vocabulary_is_the_one_transformers_trains(pairs: Any, name: str) -> None:
    theirs, ours = pairs[name]
    texts = [CORPUS[:9], ["zzz yyy zzz xxx"] * 9]
    renamed = {"</s>": "<end>", "[SEP]": "[END]"}
    size = {"bytes": 300}.get(name, 90)
    got = ours.train_new_from_iterator(texts, size, new_special_tokens=["<new>"],
                                       special_tokens_map=renamed)
    want = theirs.train_new_from_iterator(texts, size, new_special_tokens=["<new>"],
                                          special_tokens_map=renamed)
    assert sorted(got.all_special_tokens) == sorted(want.all_special_tokens)
    assert got.padding_side == ours.padding_side and got.model_max_length == ours.model_max_length
    assert got.decode(got.encode("zzz xxx"), skip_special_tokens=True) == "zzz xxx"
    assert got.num_special_tokens_to_add() == want.num_special_tokens_to_add()
    if name == "bytes":  # the other trainers break ties at random
        assert got.get_vocab() == want.get_vocab()
        assert got(TEXTS)["input_ids"] == want(TEXTS)["input_ids"]
    assert ours.get_vocab() == theirs.get_vocab()


def test_training_needs_its_special_tokens(ours: Any) -> None:
    tokenizer = ours("bytes")
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="fox $A", special_tokens=[("fox", 5)])
    with pytest.raises(TokenizerError, match="the special token 'fox', put around each text"):
        tokenizer.train_new_from_iterator(["a b"], 270)


def test_languages_are_codes_around_a_text(ours: Any) -> None:
    codes = ["eng_Latn", "fra_Latn"]
    tokenizer = NllbTokenizer(tokenizer_object=ours("unigram").backend_tokenizer, eos_token="</s>",
                              src_lang="eng_Latn", additional_special_tokens=codes)
    plain = tokenizer.encode("hello", add_special_tokens=False)
    english, french = tokenizer.convert_tokens_to_ids(codes)
    assert tokenizer.encode("hello") == [english, *plain, 2]
    tokenizer.tgt_lang = "fra_Latn"
    for one in (tokenizer, copy.deepcopy(tokenizer), pickle.loads(pickle.dumps(tokenizer))):
        out = one("hello", text_target="hello")
        assert (out["input_ids"], out["labels"]) == ([english, *plain, 2], [french, *plain, 2])
        assert (one.src_lang, one.tgt_lang) == ("eng_Latn", "fra_Latn")
    with pytest.raises(TokenizerError, match="'fra' is not in the vocabulary"):
        tokenizer.src_lang = "fra"
    with pytest.raises(TokenizerError, match="Tokenizer has no languages"):
        ours().src_lang = "fra_Latn"
