"""Calls equal transformers', for every option; wrong calls say what to do."""

from __future__ import annotations

import sys
import threading
from itertools import product
from typing import Any

import numpy as np
import pytest

from enfold.errors import ArgumentError, TokenizerError
from tests.text.conftest import TEXTS, TRAINED

INPUTS = {"batch": (TEXTS, None), "pairs": (TEXTS, TEXTS[::-1]), "one": (TEXTS[1], None),
          "pair": (TEXTS[1], TEXTS[6]), "empty pair": ("hello", "")}
GRID = list(product([False, True, "max_length"], [False, True, "only_first"], [None, 16], [0, 2],
                    ["right", "left"], [False, True], [None, 8]))


def same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    return bool(a == b)


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("inputs", INPUTS)
def test_every_option_gives_what_transformers_gives(pairs: Any, name: str, inputs: str) -> None:
    theirs, ours = pairs[name]
    text, other = INPUTS[inputs]
    for case in GRID[hash_of(name + inputs)::3]:
        padding, truncation, limit, stride, side, overflow, multiple = case
        options = {"padding": padding, "truncation": truncation, "max_length": limit,
                   "stride": stride, "padding_side": side, "return_length": True,
                   "return_overflowing_tokens": overflow, "pad_to_multiple_of": multiple,
                   "return_special_tokens_mask": True, "return_offsets_mapping": stride == 0}
        options["verbose"] = False
        try:
            want = theirs(text, other, **options)
        except Exception:  # the engine's: nothing is left to cut
            with pytest.raises(TokenizerError):
                ours(text, other, **options)
            continue
        got = ours(text, other, **options)
        assert list(got) == list(want), case
        assert {key: got[key] for key in got} == dict(want), case
        for mine, their in zip(got.encodings, want.encodings, strict=True):
            assert (mine.tokens, mine.offsets, mine.word_ids, mine.attention_mask) == \
                (their.tokens, their.offsets, their.word_ids, their.attention_mask), case


def hash_of(text: str) -> int:
    return sum(map(ord, text)) % 3


@pytest.mark.parametrize("name", TRAINED)
@pytest.mark.parametrize("kind", ["np", "pt"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_tensors(pairs: Any, name: str, kind: str, side: str) -> None:
    for text, options in ((TEXTS, {}), (TEXTS[1], {}), (TEXTS, {"max_length": 8, "truncation": True,
                                                                "return_offsets_mapping": True})):
        options = {"padding": True, "padding_side": side, "return_tensors": kind, **options}
        want, got = pairs[name].theirs(text, **options), pairs[name].ours(text, **options)
        assert list(got) == list(want)
        assert all(same(np.asarray(want[key]), np.asarray(got[key])) for key in want)
        assert all(type(got[key]) is type(want[key]) for key in want)


def test_words_targets_and_older_spellings(pairs: Any) -> None:
    theirs, ours = pairs["wordpiece"]
    words = [["hello", "quick", "fox"], ["naïve"]]
    for options in ({}, {"padding": True, "return_tensors": "np"}):
        got, want = (one(words, is_split_into_words=True, **options) for one in (ours, theirs))
        assert all(same(got[key], want[key]) for key in want)
    got, want = (one(words[0], is_split_into_words=True) for one in (ours, theirs))
    assert got.word_ids() == want.word_ids()
    got = ours("hello", text_target="quick fox", max_length=9, max_target_length=3, truncation=True)
    assert dict(got) == dict(theirs("hello", text_target="quick fox", max_length=9,
                                    max_target_length=3, truncation=True))
    assert dict(ours(text_target=["fox"])) == dict(theirs(text_target=["fox"]))
    assert ours.encode("hello", "fox") == ours.encode_plus("hello", "fox")["input_ids"] == \
        ours.batch_encode_plus([("hello", "fox")])["input_ids"][0]
    assert ours.tokenize("quick fox") == theirs.tokenize("quick fox")
    assert ours("hello", tokenizer_kwargs={"max_length": 2, "truncation": True})["input_ids"] == \
        ours("hello", max_length=2)["input_ids"]


def test_split_special_tokens_for_one_call_only(pairs: Any) -> None:
    theirs, ours = pairs["bytes"]
    want = theirs("a</s>b", split_special_tokens=True)["input_ids"]
    assert ours("a</s>b", split_special_tokens=True)["input_ids"] == want
    theirs("", split_special_tokens=False)
    assert ours("a</s>b")["input_ids"] == theirs("a</s>b", split_special_tokens=False)["input_ids"]


def test_an_empty_batch_is_an_empty_result(ours: Any) -> None:
    assert dict(ours()([])) == {"input_ids": [], "token_type_ids": [], "attention_mask": []}


def test_calls_leave_no_trace_and_threads_do_not_meet(ours: Any) -> None:
    tokenizer = ours("bytes")
    before = tokenizer.backend_tokenizer.to_str()
    cases = [{"truncation": True, "max_length": n} for n in (3, 5, 8)] + [{}]
    want = [tokenizer(TEXTS, **case)["input_ids"] for case in cases]
    wrong: list[Any] = []

    def work(number: int) -> None:
        for _ in range(30):
            if tokenizer(TEXTS, **cases[number])["input_ids"] != want[number]:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1, 2, 3, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert tokenizer.backend_tokenizer.to_str() == before


def test_a_tokenizer_works_without_torch(python: Any, engines: Any) -> None:
    code = ("import sys; from enfold.text import Tokenizer; "
            f"t = Tokenizer(tokenizer_file={str(engines['bytes'])!r}, pad_token='<pad>'); "
            "t(['a', 'bc'], padding=True, return_tensors='np'); print('torch' in sys.modules)")
    assert python("-c", code).stdout.strip() == "False", sys.executable


def test_too_long_a_text_is_said_once(ours: Any, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = ours()
    for _ in range(2):
        tokenizer("hello " * 40)
    assert [record.getMessage() for record in caplog.records] == [
        "a text has 42 tokens, more than the 32 this model takes; it will fail there. "
        "Do: truncation=True"]


@pytest.mark.parametrize(("args", "options", "message"), [
    ((None,), {}, "got neither text nor text_target"),
    ((3,), {}, "text is a int, expected a str"),
    ((["a", None],), {}, "text number 1 is None .NoneType., expected a str"),
    ((np.array(["a"]),), {}, "Do: list.values."),
    ((["a", "b"], "c"), {}, "text_pair is one str: expected a list"),
    ((["a", "b"], ["c"]), {}, "text_pair is 1 texts: expected a list of the same length"),
    (([["a", "b"], 1],), {"is_split_into_words": True}, "text number 1 is 1"),
    (("a",), {"padding": "long"}, "padding='long' is not known: expected True, False, 'longest'"),
    (("a",), {"truncation": "first"}, "truncation='first' is not known"),
    (("a",), {"padding": True, "padding_side": "up"}, "padding_side='up': expected 'left'"),
    (("a",), {"padding": True, "pad_to_multiple_of": 0}, "expected a positive number"),
    (("a",), {"padding": True, "truncation": True, "max_length": 10, "pad_to_multiple_of": 8},
     "Do: max_length=16"),
    (("a b c d",), {"truncation": "only_second", "max_length": 3}, "can't truncate as asked"),
    ((["a", "b c d e"],), {"return_tensors": "np"}, "can't make a tensor of 'input_ids'"),
    (("a",), {"return_tensors": "tf"}, "return_tensors='tf' is not known"),
])
def test_wrong_calls_say_what_to_do(ours: Any, args: Any, options: Any, message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        ours()(*args, **options)


def test_a_stride_that_does_not_fit(ours: Any) -> None:
    with pytest.raises(TokenizerError, match="a smaller stride"):
        ours()("hello world " * 9, truncation=True, max_length=6, stride=5,
               return_overflowing_tokens=True)


def test_unknown_arguments_are_named(ours: Any) -> None:
    with pytest.raises(ArgumentError, match="'max_lenght' .nearest: 'max_length'"):
        ours()("a", max_lenght=3)


@pytest.mark.parametrize(("token", "message"), [
    (None, "has no padding token. Do: tokenizer.pad_token = tokenizer.eos_token"),
    ("<nope>", "'<nope>', which is not in its vocabulary")])
def test_padding_without_a_token(ours: Any, token: str | None, message: str) -> None:
    tokenizer = ours("bytes")
    tokenizer.pad_token = token
    with pytest.raises(TokenizerError, match=message):
        tokenizer(["a", "b c"], padding=True)


def test_max_length_that_has_no_effect_is_said(ours: Any) -> None:
    with pytest.warns(UserWarning, match="max_length has no effect"):
        ours()(["a"], padding=True, max_length=4, truncation=False)
