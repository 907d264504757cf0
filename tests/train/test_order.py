"""The order of the data is a function of seed, epoch and number."""

from __future__ import annotations

import pytest
import torch
from torch.utils.data import RandomSampler

from enfold.train.order import Order, by_length, seed_of
from enfold.train.trainer.loaders import TableLoader


def batches(order: Order) -> list[list[int]]:
    return [list(batch) for batch in order]


def test_epochs_are_the_references() -> None:
    order = Order(23, 4, seed=5)
    for epoch in range(3):
        order.set_epoch(epoch)
        generator = torch.Generator().manual_seed(5 + epoch)
        rows = [row for batch in batches(order) for row in batch]
        assert rows == list(RandomSampler(range(23), generator=generator))
        assert len(batches(order)) == len(order) == 6


@pytest.mark.parametrize("options", [{}, {"drop_last": True}, {"shuffle": False},
                                     {"lengths": list(range(23)), "group": 8}])
def test_beginning_anywhere_is_the_rest(options: dict[str, object]) -> None:
    order = Order(23, 4, seed=1, **options)  # type: ignore[arg-type]
    whole = batches(order)
    for first in range(len(whole) + 1):
        order.begin(first)
        assert batches(order) == whole[first:]
        assert batches(order) == whole
    rows = [row for batch in whole for row in batch]
    assert len(rows) == len(set(rows)) == (20 if order.drop_last else 23)


@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_ranks_share_the_rows_of_one(ranks: int) -> None:
    one = batches(Order(23, 2 * ranks, seed=1))
    every = [Order(23, 2, seed=1, rank=rank, world_size=ranks) for rank in range(ranks)]
    shares = [batches(order) for order in every]
    assert {len(share) for share in shares} == {len(one)}
    for number, rows in enumerate(one):
        together = [row for order, share in zip(every, shares, strict=True)
                    if not order.is_ghost(number) for row in share[number]]
        assert together == rows
    assert all(share[-1] for share in shares)


def test_ten_million_rows_begin_where_asked() -> None:
    order = Order(10**7 + 3, 8, seed=2)
    order.begin(len(order) - 1)
    assert len(batches(order)[0]) == 3


def test_similar_lengths_come_together() -> None:
    lengths = torch.randint(1, 100, (400,), generator=torch.Generator().manual_seed(0))
    rows = by_length(torch.randperm(400), lengths, 8)
    assert sorted(rows.tolist()) == list(range(400))
    assert lengths[rows[0]] == lengths.max()
    spread = [float(part.float().std()) for part in lengths[rows].split(8)[1:]]
    assert sum(spread) / len(spread) < 10 < float(lengths.float().std())


def test_a_sampler_of_ones_own() -> None:
    assert batches(Order(5, 2, sampler=[4, 2, 0, 1, 3])) == [[4, 2], [0, 1], [3]]


def test_seeds_differ() -> None:
    seeds = {seed_of(seed, epoch, number) for seed in range(4) for epoch in range(4)
             for number in range(40)}
    assert len(seeds) == 640


def test_a_loader_knows_its_place() -> None:
    loader = TableLoader(list(range(100, 120)), Order(20, 3, seed=0), list)
    whole = list(loader)
    for _ in range(2):
        loader.load_state_dict({"batches": 4})
        assert list(loader) == whole[4:] and loader.state_dict() == {"batches": 7}
    some = iter(loader)
    next(some)
    assert loader.state_dict() == {"batches": 1}
