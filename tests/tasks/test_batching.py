"""The scheduler: what shares a batch, padding, order, and running out of memory."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from enfold.tasks.batching import Batch, Row, Scheduler

LENGTHS = [3, 50, 7, 7, 49, 1, 20, 21, 22, 3]


def scheduler(**changes: Any) -> Scheduler:
    return Scheduler({"input_ids": 9}, torch.device("cpu"), **changes)


def rows(lengths: list[int]) -> list[Row]:
    return [
        Row(n, {"input_ids": [n] * length, "attention_mask": [1] * length})
        for n, length in enumerate(lengths)
    ]


def first_ids(batch: Batch) -> list[int]:
    """What a model would give: something of each row, for the batch at once."""
    ids = batch.inputs["input_ids"] * batch.inputs["attention_mask"]
    return (ids.sum(1) / batch.inputs["attention_mask"].sum(1)).int().tolist()


@pytest.mark.parametrize("options", [{}, {"size": 1}, {"size": 4}, {"ragged": False}])
@pytest.mark.parametrize("left", [False, True])
def test_results_come_in_the_order_of_the_rows(options: dict[str, Any], left: bool) -> None:
    assert scheduler(left=left).run(rows(LENGTHS), first_ids, **options) == list(range(10))


@pytest.mark.parametrize(("changes", "options", "expected"), [
    ({"budget": 100, "overhead": 1000}, {}, [[50, 49], [22, 21, 20, 7], [7, 3, 3, 1]]),
    ({"budget": 140, "overhead": 5}, {}, [[50, 49], [22, 21, 20], [7, 7, 3], [3, 1]]),
    ({"budget": 10}, {"size": 4}, [[50, 49, 22, 21], [20, 7, 7, 3], [3, 1]]),
    ({"budget": 1000}, {"ragged": False}, [[50], [49], [22], [21], [20], [7, 7], [3, 3], [1]]),
    ({"budget": 1000, "overhead": 1000, "rows": 5}, {}, [[50, 49, 22, 21, 20], [7, 7, 3, 3, 1]]),
    ({"budget": 1}, {}, [[n] for n in sorted(LENGTHS, reverse=True)]),
])  # fmt: skip
def test_where_batches_are_cut(changes: Any, options: Any, expected: list[list[int]]) -> None:
    full = {"size": None, "ragged": True, **options}
    cut = [[LENGTHS[i] for i in batch] for batch in scheduler(**changes).plan(LENGTHS, **full)]
    assert cut == expected


def test_padding_is_told_apart() -> None:
    made = Row(0, {"input_ids": [1, 2], "attention_mask": [1, 1], "token_type_ids": [1, 1]})
    short = Row(1, {"input_ids": [3], "attention_mask": [1], "token_type_ids": [1]})
    right = scheduler().collate([made, short]).inputs
    assert right["input_ids"].tolist() == [[1, 2], [3, 9]]
    assert right["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert right["token_type_ids"].tolist() == [[1, 1], [1, 0]]
    left = scheduler(left=True).collate([made, short]).inputs
    assert left["input_ids"].tolist() == [[1, 2], [9, 3]]
    assert left["attention_mask"].tolist() == [[1, 1], [0, 1]]


def test_rows_without_a_mask_get_one_where_they_are_padded() -> None:
    made = [Row(0, {"input_ids": [1, 2]}), Row(1, {"input_ids": [3]})]
    assert "attention_mask" not in scheduler().collate(made[:1]).inputs
    assert scheduler().collate(made).inputs["attention_mask"].tolist() == [[1, 1], [1, 0]]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("not enough memory: you tried to allocate 8 GB"),
    ],
)
def test_a_batch_that_runs_out_of_memory_is_halved(error: Exception) -> None:
    seen: list[int] = []

    def tight(batch: Batch) -> list[int]:
        seen.append(len(batch.rows))
        if len(batch.rows) > 2:
            raise error
        return first_ids(batch)

    made = scheduler(budget=64)
    assert made.run(rows([8] * 8), tight) == list(range(8))
    assert seen == [8, 4, 2, 2, 4, 2, 2]
    seen.clear()
    assert made.run(rows([8] * 8), tight) == list(range(8))  # the budget has been learnt
    assert seen == [2, 2, 2, 2]


def test_a_single_row_too_large_and_other_errors_are_raised() -> None:
    def never(batch: Batch) -> list[int]:
        raise MemoryError("one row")

    with pytest.raises(MemoryError, match="one row"):
        scheduler().run(rows([4, 4]), never)

    def wrong(batch: Batch) -> list[int]:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        scheduler().run(rows([4, 4]), wrong)
