"""`tokenizer.pad`: dicts, lists of dicts, tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from enfold.errors import TokenizerError

ROWS = [{"input_ids": [5, 6, 7], "attention_mask": [1, 1, 1], "token_type_ids": [0, 0, 1],
         "label": 1}, {"input_ids": [8], "attention_mask": [1], "token_type_ids": [0], "label": 0}]
CASES: list[tuple[Any, dict[str, Any]]] = [
    (ROWS, {}), (ROWS, {"return_tensors": "np"}), (ROWS, {"padding_side": "left"}),
    (ROWS, {"padding": "max_length", "max_length": 6}), (ROWS, {"pad_to_multiple_of": 8}),
    ({"input_ids": [[1, 2], [3]]}, {}), ({"input_ids": [1, 2, 3]}, {"pad_to_multiple_of": 4}),
    ({"input_ids": [[1, 2], [3]], "special_tokens_mask": [[1, 0], [1]]}, {}),
    ({"input_ids": [[1], [3]]}, {"return_attention_mask": False}),
    ([{"input_ids": np.array([1, 2])}, {"input_ids": np.array([1])}], {}),
    ({"input_ids": [1, 2]}, {"padding": False}),
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_padding_is_transformers(pairs: Any, case: int) -> None:
    inputs, options = CASES[case]
    for name in ("wordpiece", "bytes"):
        want, got = (one.pad(inputs, **options) for one in pairs[name])
        assert list(got) == list(want)
        assert all(np.array_equal(got[key], want[key]) for key in want)
        assert all(type(got[key]) is type(want[key]) for key in want)


def test_tensors_stay_tensors(ours: Any) -> None:
    rows = [{"input_ids": torch.tensor([4, 5]), "labels": torch.tensor(1)},
            {"input_ids": torch.tensor([4]), "labels": torch.tensor(0)}]
    out = ours().pad(rows)
    assert out["input_ids"].tolist() == [[4, 5], [4, 0]]
    assert out["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert torch.equal(out["labels"], torch.tensor([1, 0]))


@pytest.mark.parametrize(("inputs", "message"), [
    ({"ids": [[1]]}, "got ids, expected encodings with 'input_ids'"),
    ([], "got list"),
    ([{"input_ids": [1]}, {"label": 2}], "row 1 has label, row 0 has input_ids"),
    ({"input_ids": [[1], [2]], "label": [1]}, "'label' has 1 rows, 'input_ids' has 2")])
def test_wrong_rows(ours: Any, inputs: Any, message: str) -> None:
    with pytest.raises(TokenizerError, match=message):
        ours().pad(inputs)
