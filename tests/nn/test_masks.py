"""Masks, position by position, against their definition."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from enfold.nn.masks import attention_mask

PADDINGS = {"none": None, "all seen": [[1] * 7, [1] * 7],
            "left": [[0, 0, 1, 1, 1, 1, 1], [1] * 7], "right": [[1] * 7, [1, 1, 1, 1, 1, 0, 0]]}


@pytest.mark.parametrize(("causal", "window", "padding", "offset"), [
    *product((True, False), (None, 1, 3, 7, 20), PADDINGS, (0, 3, 6))])
def test_every_position(causal: bool, window: int | None, padding: str, offset: int) -> None:
    keys, rows = 7, PADDINGS[padding]
    queries = keys - offset
    given = None if rows is None else torch.tensor(rows)
    mask = attention_mask(given, queries, keys, offset, causal=causal, window=window)
    added = mask.additive(queries, keys, torch.float32, torch.device("cpu"))
    shown = torch.zeros(2, 1, queries, keys) if added is None else added.expand(2, 1, queries, keys)
    lowest = torch.finfo(torch.float32).min
    for row, query, key in product(range(2), range(queries), range(keys)):
        distance = offset + query - key
        seen = (distance >= 0 or not causal) and (window is None or abs(distance) < window)
        seen = seen and (rows is None or rows[row][key] == 1)
        assert shown[row, 0, query, key] == (0.0 if seen else lowest), (row, query, key)


def test_cheap_forms() -> None:
    plain = attention_mask(torch.ones(2, 5), 5, 5, 0, causal=True, window=9)
    assert plain.tensor is None and plain.causal  # the kernel draws the triangle itself
    step = attention_mask(None, 1, 9, 8, causal=True, window=None)
    assert step.tensor is None and not step.causal


def test_four_dimensions_are_taken_as_given() -> None:
    seen = torch.ones(1, 1, 2, 2).tril()
    assert attention_mask(seen, 2, 2, 0, causal=True, window=None).tensor is seen
    integer = attention_mask(seen.long(), 2, 2, 0, causal=True, window=None).tensor
    assert integer is not None and integer.dtype == torch.bool
