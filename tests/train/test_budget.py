"""Batches by tokens: what they hold, their order, and a run on them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.data import IterableDataset
from enfold.errors import DataError, InputError
from enfold.train.arguments import TrainingArguments
from enfold.train.budget import BudgetOrder
from tests.families.pairs import fresh
from tests.train.trainer.runs import QUIET, ours, rows

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=120)


@settings(max_examples=100, deadline=None)
@given(LENGTHS, st.integers(40, 200), st.integers(1, 3), st.booleans())
def test_every_row_once_within_the_budget(lengths: list[int], budget: int, world: int,
                                          shuffle: bool) -> None:
    seen: Counter[int] = Counter()
    for rank in range(world):
        order = BudgetOrder(lengths, budget, shuffle=shuffle, rank=rank, world_size=world)
        tickets = list(order)
        assert len(tickets) == len(order)
        for number, ticket in enumerate(tickets):
            assert max(lengths[row] for row in ticket) * len(ticket) <= budget
            assert ticket.ghost == order.is_ghost(number)
            seen.update([] if ticket.ghost else ticket)
    assert seen == Counter(range(len(lengths)))


def test_epochs_draw_the_order_of_the_same_batches() -> None:
    order = BudgetOrder([length % 30 + 1 for length in range(200)], 90, seed=7)
    first = list(order)
    assert list(order) == first
    order.set_epoch(1)
    assert list(order) != first and sorted(order) == sorted(first)
    order.begin(3)
    assert list(order) == list(order)[3:]


def test_less_padding() -> None:
    lengths = [row * 7919 % 60 + 1 for row in range(3000)]
    order = BudgetOrder(lengths, 1024)
    padded = sum(max(lengths[row] for row in batch) * len(batch) for batch in order)
    assert padded < 1.1 * sum(lengths)


def test_a_run(tmp_path: Path) -> None:
    """Resumed in the middle it ends with the same weights."""
    data = rows("causal", 60)
    whole = ours(fresh("llama", "ForCausalLM").ours, tmp_path / "a", data, num_train_epochs=2,
                 max_tokens_per_batch=52)
    result = whole.train()
    assert whole.state.max_steps == 2 * len(whole.get_train_dataloader()) > 20
    assert result.metrics["train_samples_per_second"] > 0
    halt = ours(fresh("llama", "ForCausalLM").ours, tmp_path / "b", data, num_train_epochs=2,
                max_tokens_per_batch=52, save_strategy="steps", save_steps=7)
    halt.train()
    again = ours(fresh("llama", "ForCausalLM").ours, tmp_path / "b", data, num_train_epochs=2,
                 max_tokens_per_batch=52)
    again.train(resume_from_checkpoint=str(tmp_path / "b" / "checkpoint-7"))
    for (name, one), (_, other) in zip(whole.model.named_parameters(),
                                       again.model.named_parameters(), strict=True):
        assert one.equal(other), name


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="max_tokens_per_batch=9, and row 2 .* has 11 tokens"):
        BudgetOrder([3, 4, 11], 9)
    with pytest.raises(InputError, match="max_tokens_per_batch with auto_find_batch_size"):
        TrainingArguments(str(tmp_path), **QUIET, max_tokens_per_batch=10,
                          auto_find_batch_size=True)
    with pytest.raises(InputError, match="max_tokens_per_batch"):
        TrainingArguments(str(tmp_path), **QUIET, max_tokens_per_batch=0)
    stream = IterableDataset.from_generator(lambda: iter(rows("causal", 4)))
    trainer = ours(fresh("llama", "ForCausalLM").ours, tmp_path, [], max_steps=2,
                   max_tokens_per_batch=40, options={"train_dataset": stream})
    with pytest.raises(DataError, match="the training data is a stream"):
        trainer.train()
