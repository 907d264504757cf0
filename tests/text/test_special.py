"""Roles, added tokens, and what goes around a text."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from tokenizers import AddedToken

from enfold.errors import TokenizerError
from tests.text.conftest import TRAINED


@pytest.mark.parametrize("name", TRAINED)
def test_roles_and_frames_are_transformers(pairs: Any, name: str) -> None:
    theirs, ours = pairs[name]
    for attribute in ("special_tokens_map", "all_special_tokens", "all_special_ids", "vocab_size",
                      "pad_token", "pad_token_id", "eos_token_id", "mask_token", "cls_token_id",
                      "added_tokens_encoder", "is_fast", "padding_side", "model_max_length",
                      "extra_special_tokens", "max_len_single_sentence", "max_len_sentences_pair"):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    assert len(ours) == len(theirs) and ours.get_vocab() == theirs.get_vocab() and bool(ours)
    for pair in (False, True):
        assert ours.num_special_tokens_to_add(pair) == theirs.num_special_tokens_to_add(pair)
    ids = [ours.encode(text, add_special_tokens=False) for text in ("quick fox", "hello world")]
    for one, other in ((ids[0], None), tuple(ids)):
        text = ("quick fox", None) if other is None else ("quick fox", "hello world")
        want = theirs(*text, return_special_tokens_mask=True, return_token_type_ids=True)
        assert ours.build_inputs_with_special_tokens(one, other) == want["input_ids"]
        assert ours.create_token_type_ids_from_sequences(one, other) == want["token_type_ids"]
        assert ours.get_special_tokens_mask(one, other) == want["special_tokens_mask"]
    full = ours.encode("quick fox")
    assert ours.get_special_tokens_mask(full, already_has_special_tokens=True) == \
        theirs.get_special_tokens_mask(full, already_has_special_tokens=True)


def test_conversions(pairs: Any) -> None:
    theirs, ours = pairs["wordpiece"]
    ids = ours.encode("quick fox")
    tokens = ours.convert_ids_to_tokens(ids)
    assert tokens == theirs.convert_ids_to_tokens(ids)
    assert ours.convert_ids_to_tokens(ids, skip_special_tokens=True) == tokens[1:-1]
    assert ours.convert_tokens_to_ids(tokens) == ids
    assert ours.convert_tokens_to_ids("nope-nope") == ours.unk_token_id
    assert ours.convert_ids_to_tokens(2) == "[CLS]"
    assert ours.convert_tokens_to_string(tokens[1:-1]) == "quick fox"
    assert pairs["bytes"].ours.convert_tokens_to_ids("nope-nope") is None


def test_assigning_roles(ours: Any) -> None:
    tokenizer = ours("bytes")
    tokenizer.pad_token = tokenizer.eos_token
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 1
    tokenizer.pad_token_id = 2
    assert tokenizer.pad_token == "<pad>"
    tokenizer.mask_token = AddedToken("<s>", lstrip=True)
    assert tokenizer.mask_token == "<s>" and tokenizer.mask_token_id == 0
    tokenizer.mask_token = None
    assert tokenizer.mask_token_id is None
    with pytest.raises(TokenizerError, match="pad_token = 3 is a int, expected a str"):
        tokenizer.pad_token = 3
    with pytest.raises(TokenizerError, match="the vocabulary has no such id"):
        tokenizer.pad_token_id = 10**6
    with pytest.raises(AttributeError, match="nearest: 'pad_token'"):
        _ = tokenizer.pad_tokn


def test_adding_tokens(pairs: Any) -> None:
    theirs, ours = (copy.deepcopy(one) for one in pairs["wordpiece"])
    for one in (theirs, ours):
        size = len(one)
        assert one.add_tokens(["newword", AddedToken("[X]", normalized=False), "p"]) == 3
        assert one.add_special_tokens({"eos_token": "[EOS]", "additional_special_tokens":
                                       ["<a>", "<b>"]}) == 3
        assert one.add_special_tokens({"extra_special_tokens": ["<c>"]},
                                      replace_extra_special_tokens=False) == 1
        assert len(one) > size
    assert ours.get_vocab() == theirs.get_vocab()
    assert ours.all_special_tokens == theirs.all_special_tokens
    assert ours.extra_special_tokens == ours.additional_special_tokens == ["<a>", "<b>", "<c>"]
    assert ours.extra_special_tokens_ids == theirs.extra_special_tokens_ids
    text = "a newword [X] <b> [EOS]"
    assert ours(text)["input_ids"] == theirs(text)["input_ids"]
    assert ours.decode(ours.encode(text), skip_special_tokens=True) == \
        theirs.decode(ours.encode(text), skip_special_tokens=True)


@pytest.mark.parametrize(("roles", "message"), [
    ({"pad_tok": "x"}, "'pad_tok' is not a role .nearest: 'pad_token'"),
    ({"additional_special_tokens": "x"}, "is a str, expected a list of tokens"),
    ({"pad_token": 3}, "pad_token = 3 is a int")])
def test_wrong_roles(ours: Any, roles: Any, message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        ours().add_special_tokens(roles)


def test_wrong_tokens(ours: Any) -> None:
    with pytest.raises(TokenizerError, match="3 is a int, expected str or AddedToken"):
        ours().add_tokens([3])
    with pytest.raises(TokenizerError, match="drop token_ids_1"):
        ours().get_special_tokens_mask([1], [2], already_has_special_tokens=True)


def test_named_roles_of_a_model(ours: Any) -> None:
    tokenizer = ours("bytes", extra_special_tokens={"image_token": "<image>"})
    assert tokenizer.image_token == "<image>"
    assert tokenizer.image_token_id == len(tokenizer) - 1
    assert "<image>" in tokenizer.all_special_tokens


@pytest.mark.parametrize("name", TRAINED)
def test_copies_and_pickles_are_equal_and_stable(ours: Any, name: str) -> None:
    tokenizer = ours(name)
    tokenizer.add_tokens(["newword"])
    data = pickle.dumps(tokenizer)
    tokenizer(["newword here", "x"], truncation=True, max_length=4)
    assert pickle.dumps(tokenizer) == data
    for twin in (pickle.loads(data), copy.deepcopy(tokenizer), copy.copy(tokenizer)):
        assert dict(twin("a newword")) == dict(tokenizer("a newword"))
        assert twin.special_tokens_map == tokenizer.special_tokens_map


def test_repr_names_the_tokens(ours: Any) -> None:
    assert "model_max_length=32" in repr(ours())
    assert "'[CLS]'" in repr(ours())


def test_bos_and_eos(ours: Any) -> None:
    tokenizer = ours("bytes")
    assert (tokenizer.add_bos_token, tokenizer.add_eos_token) == (True, False)
    plain = tokenizer.encode("hi", add_special_tokens=False)
    tokenizer.add_eos_token = True
    assert tokenizer.encode("hi") == [0, *plain, 1]
    assert tokenizer("hi", "hi")["input_ids"] == [0, *plain, 1, 0, *plain, 1]
    tokenizer.add_bos_token = False
    assert tokenizer.encode("hi") == [*plain, 1]
    assert ours("bytes", add_bos_token=False).encode("hi") == plain
    with pytest.raises(TokenizerError, match="this tokenizer has no bos_token"):
        ours("wordpiece", add_bos_token=True)
