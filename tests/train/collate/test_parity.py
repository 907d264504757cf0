"""Every collator beside that of transformers: equal batches, values and kinds."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from enfold.train import collate
from tests.train.collate.conftest import Tokenizers

KINDS = pytest.mark.parametrize("kind", ["pt", "np"])


def assert_same(ours: Any, theirs: Any) -> None:
    """Equal names, values, dtypes and shapes."""
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        if not hasattr(value, "shape"):
            assert ours[name] == value, name
            continue
        assert type(ours[name]) is type(value) and ours[name].dtype == value.dtype, name
        np.testing.assert_array_equal(np.asarray(ours[name]), np.asarray(value), err_msg=name)


def seeded(call: Callable[[], Any]) -> Any:
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)
    return call()


def pair(name: str, tokenizers: Tokenizers, **options: Any) -> tuple[Any, Any]:
    """The collator of that name, ours and theirs."""
    return (getattr(collate, name)(tokenizers.ours, **options),
            getattr(transformers, name)(tokenizers.theirs, **options))


@KINDS
@pytest.mark.parametrize("rows", [
    [{"label": 1, "x": [1, 2]}, {"label": 0, "x": [3, 4]}],
    [{"label": 1.5, "x": [1.5, 2]}, {"label": 0.0, "x": [3, 4]}],
    [{"label_ids": [1, 2], "name": "a", "none": None}, {"label_ids": [3, 4], "name": "b",
                                                        "none": None}],
    [{"label_ids": [0.5, 2.0]}, {"label_ids": [3, 4]}],
    [{"label": torch.tensor(1), "x": torch.ones(2, 3)}, {"label": torch.tensor(0),
                                                         "x": torch.zeros(2, 3)}],
    [{"label": np.int64(1), "x": np.ones(3, np.float32)},
     {"label": np.int64(2), "x": np.ones(3, np.float32)}],
    [{"label_ids": np.array([1, 2])}, {"label_ids": np.array([3, 4])}],
    [{"label": None, "x": 1}, {"label": None, "x": 2}],
    [{"label": True, "x": 1}, {"label": False, "x": 2}],
])
def test_default(rows: list[dict[str, Any]], kind: str) -> None:
    if kind == "np" and any(torch.is_tensor(value) for value in rows[0].values()):
        pytest.skip("theirs makes no arrays of tensors")
    if kind == "pt" and isinstance(rows[0].get("label_ids"), np.ndarray):
        theirs = {"labels": torch.tensor([[1, 2], [3, 4]])}  # theirs: the same, by a slow path
    else:
        theirs = transformers.default_data_collator(rows, kind)
    assert_same(collate.default_data_collator(rows, kind), theirs)
    assert_same(collate.DefaultDataCollator(kind)(rows), theirs)


def test_default_of_objects() -> None:
    class Row:
        def __init__(self) -> None:
            self.label, self.x = 1, [1, 2]

    assert_same(collate.default_data_collator([Row(), Row()]),
                transformers.default_data_collator([Row(), Row()]))


PADDINGS = [{}, {"pad_to_multiple_of": 8}, {"padding": "max_length", "max_length": 16},
            {"padding": "longest", "pad_to_multiple_of": 3},
            {"padding": "max_length", "max_length": 13, "pad_to_multiple_of": 5}]


@KINDS
@pytest.mark.parametrize("label", ["label", "label_ids", None])
@pytest.mark.parametrize("options", PADDINGS)
def test_padding(tokenizers: Tokenizers, options: dict[str, Any], label: str | None,
                 kind: str) -> None:
    rows = [row | ({label: number} if label else {})
            for number, row in enumerate(tokenizers.rows())]
    ours, theirs = pair("DataCollatorWithPadding", tokenizers, return_tensors=kind, **options)
    assert_same(ours(rows), theirs(rows))


@KINDS
@pytest.mark.parametrize("label", ["label", "labels", None])
@pytest.mark.parametrize("options", [*PADDINGS, {"label_pad_token_id": -1}])
def test_token_classification(tokenizers: Tokenizers, options: dict[str, Any], label: str | None,
                              kind: str) -> None:
    rows = [row | ({label: list(range(len(row["input_ids"])))} if label else {})
            for row in tokenizers.rows()]
    ours, theirs = pair("DataCollatorForTokenClassification", tokenizers, return_tensors=kind,
                        **options)
    assert_same(ours(rows), theirs(rows))


@pytest.mark.parametrize("options", PADDINGS)
def test_multiple_choice(tokenizers: Tokenizers, options: dict[str, Any]) -> None:
    each = tokenizers.rows()
    rows = [{name: [each[first][name], each[first + 1][name]] for name in each[0]}
            | {"label": first} for first in range(3)]
    ours, theirs = pair("DataCollatorForMultipleChoice", tokenizers, **options)
    assert_same(ours(rows), theirs(rows))


class Shifts:
    """A model that shifts labels to the right."""

    def prepare_decoder_input_ids_from_labels(self, labels: torch.Tensor) -> torch.Tensor:
        return labels.roll(1, dims=1).masked_fill(labels == -100, 0)


@KINDS
@pytest.mark.parametrize("held", ["list", "array", "none", "absent"])
@pytest.mark.parametrize("options", [*PADDINGS, {"label_pad_token_id": 0}])
def test_seq2seq(tokenizers: Tokenizers, options: dict[str, Any], held: str, kind: str) -> None:
    labels = [[5, 6, 7], [8], [9, 10, 11, 12], [3], [4, 4]]
    made: list[Any] = {"list": labels, "array": [np.array(label) for label in labels],
                       "none": [None] * 5}.get(held, [])
    rows = [row | ({"labels": made[number]} if made else {})
            for number, row in enumerate(tokenizers.rows())]
    model = Shifts() if kind == "pt" else None
    ours, theirs = pair("DataCollatorForSeq2Seq", tokenizers, model=model, return_tensors=kind,
                        **options)
    assert_same(ours(rows), theirs(rows))


def test_seq2seq_without_padding(tokenizers: Tokenizers) -> None:
    rows = [tokenizers.rows()[0] | {"labels": [1, 2]} for _ in range(2)]
    ours, theirs = pair("DataCollatorForSeq2Seq", tokenizers, padding=False)
    assert_same(ours(rows), theirs(rows))


MASKING = [{}, {"mlm_probability": 0.5}, {"mlm_probability": 0.0}, {"mlm_probability": 1.0},
           {"mlm_probability": 0.6, "mask_replace_prob": 0.3, "random_replace_prob": 0.5},
           {"mlm_probability": 0.6, "mask_replace_prob": 1.0, "random_replace_prob": 0.0},
           {"mlm_probability": 0.6, "mask_replace_prob": 0.0, "random_replace_prob": 1.0},
           {"mlm_probability": 0.6, "random_replace_prob": 0.0},
           {"mlm_probability": 0.4, "pad_to_multiple_of": 8}]


@KINDS
@pytest.mark.parametrize("seed", [None, 0, 11])
@pytest.mark.parametrize("given", ["ids", "rows", "special"])
@pytest.mark.parametrize("options", MASKING)
def test_masked(tokenizers: Tokenizers, options: dict[str, Any], given: str, seed: int | None,
                kind: str) -> None:
    rows: list[Any] = tokenizers.rows(return_special_tokens_mask=given == "special")
    if given == "ids":
        rows = [row["input_ids"] for row in rows]
    ours, theirs = pair("DataCollatorForLanguageModeling", tokenizers, return_tensors=kind,
                        seed=seed, **options)

    def twice(collator: Any) -> list[Any]:
        return [collator(rows), collator(rows)]

    for mine, other in zip(seeded(lambda: twice(ours)), seeded(lambda: twice(theirs)),
                           strict=True):
        assert_same(mine, other)


@KINDS
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("seed", [None, 5])
def test_whole_words(tokenizers: Tokenizers, seed: int | None, special: bool, kind: str) -> None:
    row = tokenizers.rows(return_offsets_mapping=True, return_special_tokens_mask=special)[3]
    rows = [row] * 4  # of one length: theirs can't pad offsets
    ours, theirs = pair("DataCollatorForLanguageModeling", tokenizers, whole_word_mask=True,
                        mlm_probability=0.4, return_tensors=kind, seed=seed)
    mine = seeded(lambda: ours(rows))
    assert_same(mine, seeded(lambda: theirs(rows)))
    assert (np.asarray(mine["labels"]) != -100).any()


@KINDS
@pytest.mark.parametrize("given", ["ids", "rows", "special"])
@pytest.mark.parametrize("options", [{}, {"pad_to_multiple_of": 8}])
def test_causal(tokenizers: Tokenizers, options: dict[str, Any], given: str, kind: str) -> None:
    rows: list[Any] = tokenizers.rows(return_special_tokens_mask=given == "special")
    if given == "ids":
        rows = [row["input_ids"] for row in rows]
    ours, theirs = pair("DataCollatorForLanguageModeling", tokenizers, mlm=False,
                        return_tensors=kind, **options)
    assert_same(ours(rows), theirs(rows))


@KINDS
@pytest.mark.parametrize("labels", [False, True])
@pytest.mark.parametrize("options", [
    {}, {"return_position_ids": False}, {"separator_id": -1}, {"position_ids_start": 2},
    {"return_flash_attn_kwargs": True, "return_seq_idx": True}])
def test_flattening(tokenizers: Tokenizers, options: dict[str, Any], labels: bool,
                    kind: str) -> None:
    rows = [{"input_ids": row["input_ids"]} | ({"labels": row["input_ids"][::-1]} if labels else {})
            for row in tokenizers.rows()]
    ours = collate.DataCollatorWithFlattening(return_tensors=kind, **options)
    theirs = transformers.DataCollatorWithFlattening(return_tensors=kind, **options)
    assert_same(ours(rows), theirs(rows))
    assert_same(ours(rows, separator_id=7), theirs(rows, separator_id=7))
