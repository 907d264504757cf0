"""BatchEncoding is a dict, and maps between words, characters and tokens."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest
import torch

from enfold.errors import TokenizerError
from enfold.text import BatchEncoding
from tests.text.conftest import TEXTS


def test_it_is_a_dict(ours: Any) -> None:
    out = ours()("hello")
    assert isinstance(out, dict)
    assert list(out) == ["input_ids", "token_type_ids", "attention_mask"]
    assert json.loads(json.dumps(out)) == out == {**out} == dict(out.items())
    assert out.input_ids is out["input_ids"] is out.data["input_ids"]
    assert not hasattr(out, "labels")
    with pytest.raises(AttributeError, match="has no 'labels'; it has input_ids"):
        _ = out.labels
    with pytest.raises(KeyError, match="index it with a name"):
        _ = BatchEncoding({"a": 1})[0]
    assert BatchEncoding({"a": [1, 2, 3]})[1:] == {"a": [2, 3]}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("name", ["wordpiece", "bytes", "unigram"])
def test_maps_are_transformers(pairs: Any, name: str, side: str) -> None:
    options = {"padding": True, "padding_side": side, "return_tensors": "np"}
    want, got = (one(TEXTS, TEXTS[::-1], **options) for one in pairs[name])
    for row, text in enumerate(TEXTS):
        assert got.tokens(row) == want.tokens(row)
        assert got.word_ids(row) == want.word_ids(row) == got.words(row)
        assert got.sequence_ids(row) == want.sequence_ids(row)
        for char in range(len(text)):
            assert got.char_to_token(row, char) == want.char_to_token(row, char)
            assert got.char_to_word(row, char) == want.char_to_word(row, char)
        for token, word in enumerate(got.word_ids(row)):
            assert got.token_to_chars(row, token) == want.token_to_chars(row, token)
            assert got.token_to_word(row, token) == want.token_to_word(row, token)
            assert got.token_to_sequence(row, token) == want.token_to_sequence(row, token)
            if word is not None and got.sequence_ids(row)[token] == 0:
                assert got.word_to_tokens(row, word) == want.word_to_tokens(row, word)
                assert got.word_to_chars(row, word) == want.word_to_chars(row, word)
    assert got[1].ids == want[1].ids
    assert got.n_sequences == 2
    assert len(got.encodings) == len(TEXTS)


def test_one_index_means_the_only_row_and_negative_ones_count_from_its_end(ours: Any) -> None:
    out = ours()("hello world")
    assert out.token_to_chars(1).end == 5
    assert out.token_to_word(-2) == out.token_to_word(len(out["input_ids"]) - 2) == 1
    assert tuple(out.word_to_chars(1)) == (6, 11)


def test_copies_keep_the_maps(ours: Any) -> None:
    out = ours()("hello", return_tensors="np")
    for twin in (copy.copy(out), copy.deepcopy(out), pickle.loads(pickle.dumps(out)), out.copy()):
        assert isinstance(twin, BatchEncoding)
        assert twin.tokens() == out.tokens()
        assert np.array_equal(twin["input_ids"], out["input_ids"])


def test_tensors_and_devices(ours: Any) -> None:
    out = ours()("hello", return_tensors="pt")
    assert out.to("cpu") is out
    assert out.to(torch.device("cpu"))["input_ids"].shape == (1, 3)
    with pytest.raises(TokenizerError, match="expected a device"):
        out.to(torch.float16)
    made = BatchEncoding({"a": [1, 2], "b": [0.5]}, tensor_type="pt", prepend_batch_axis=True)
    assert made["a"].dtype == torch.int64 and made["a"].shape == (1, 2)
    assert made["b"].dtype == torch.float32
    assert BatchEncoding({"a": []}, tensor_type="pt")["a"].dtype == torch.int64


def test_without_text_there_are_no_maps() -> None:
    out = BatchEncoding({"input_ids": [1]})
    assert out.encodings is None and not out.is_fast and out.n_sequences is None
    with pytest.raises(TokenizerError, match="not made from text"):
        out.tokens()


def test_text_is_no_tensor() -> None:
    with pytest.raises(TokenizerError, match="got text such as 'POSITIVE', expected numbers. "
                       r"Do: .*dataset.class_encode_column\('label'\)"):
        BatchEncoding({"label": ["POSITIVE", "NEGATIVE"]}, tensor_type="pt")


def test_labels_that_are_missing_or_uneven() -> None:
    with pytest.raises(TokenizerError, match=r"row 1 is None.*row\['labels'\] is not None"):
        BatchEncoding({"labels": [1, None]}, tensor_type="pt")
    with pytest.raises(TokenizerError, match="a collator that pads them too: DataCollatorForSeq2S"):
        BatchEncoding({"labels": [[1], [1, 2]]}, tensor_type="pt")
