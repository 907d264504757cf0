"""DataLoader workers, epochs that workers see, and torch only where it is."""

import pickle
import subprocess
import sys
from itertools import islice

import pytest
import torch
from torch.utils.data import DataLoader

from enfold.data.distributed import split_dataset_by_node
from enfold.data.streaming import IterableDataset
from enfold.errors import DataError
from tests.data.streaming.streams import generated, tabled


def of(rows):
    return sorted(map(str, rows))


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
@pytest.mark.parametrize("make", [generated, tabled])
def test_workers_share_the_shards(make, workers):
    loaded = list(DataLoader(make(), batch_size=None, num_workers=workers))
    assert of(loaded) == of(make())


def test_tensors_of_batches():
    loader = DataLoader(tabled(2).select_columns("i").with_format("torch"), batch_size=64,
                        num_workers=2)
    assert torch.cat([batch["i"] for batch in loader]).sort().values.tolist() == list(range(2300))


def test_more_workers_than_shards_are_told(caplog, monkeypatch):
    class Info:
        id, num_workers = 0, 9

    monkeypatch.setattr("enfold.data.streaming.workers.worker_info", lambda: Info)
    assert len(list(generated())) == 23
    assert "Too many dataloader workers: 9 (max is dataset.num_shards=4)" in caplog.text
    Info.id = 7
    assert list(generated()) == []


def test_workers_that_stay_see_the_epoch():
    ds = generated().shuffle(seed=1, buffer_size=9)
    loader = DataLoader(ds, batch_size=None, num_workers=1, persistent_workers=True)
    first = list(map(str, loader))
    assert list(map(str, loader)) == first
    ds.set_epoch(1)
    assert list(map(str, loader)) != first
    ds.set_epoch(0)
    assert list(map(str, loader)) == first


def test_spawned_workers_see_the_epoch():
    ds = generated().shuffle(seed=1, buffer_size=9)
    loader = DataLoader(ds, batch_size=None, num_workers=1, persistent_workers=True,
                        multiprocessing_context="spawn")
    first = list(map(str, loader))
    ds.set_epoch(1)
    assert list(map(str, loader)) != first


def test_a_pickled_copy_has_its_own_epoch_and_goes_on_where_it_was_told():
    ds = generated().map(dict)
    ds.set_epoch(2)
    list(islice(ds, 5))
    ds.load_state_dict(ds.state_dict())
    copy = pickle.loads(pickle.dumps(ds))
    assert copy.epoch == 2
    assert list(copy) == list(ds)
    copy.set_epoch(1)
    assert ds.epoch == 2


def test_workers_draw_different_numbers():
    ds = IterableDataset.from_generator(many, gen_kwargs={"shard": list(range(8))})
    ds = ds.shuffle(seed=4, buffer_size=100)
    rows = list(DataLoader(ds, batch_size=None, num_workers=8))
    order = {worker: [row["i"] for row in rows if row["shard"] == worker] for worker in range(8)}
    assert len({tuple(numbers) for numbers in order.values()}) == 8


def many(shard):
    for number in shard:
        yield from ({"shard": number, "i": i} for i in range(60))


def test_the_class_joins_torch_when_it_is_loaded():
    code = """
import sys
from enfold.data.streaming import IterableDataset
ds = IterableDataset.from_generator(lambda: iter([{"a": 1}]))
list(ds)
assert "torch" not in sys.modules
import torch.utils.data
assert isinstance(ds, torch.utils.data.IterableDataset)
assert isinstance(ds, IterableDataset)
assert [row["a"].item() for row in torch.utils.data.DataLoader(ds)] == [1]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(("call", "message"), [
    (lambda ds: split_dataset_by_node(ds, 0, 2, strategy="rows"), "Invalid strategy 'rows'"),
    (lambda ds: split_dataset_by_node(ds, 0, 9, strategy="shards"), "num_shards=4"),
    (lambda ds: split_dataset_by_node(split_dataset_by_node(ds, 0, 2, "examples"), 0, 2, "shards"),
     "Cannot change the strategy"),
    (lambda ds: list(split_dataset_by_node(ds, 3, 4, "shards").shard(2, 0)), "num_shards=2 now"),
])
def test_parts_that_can_not_be_had(call, message):
    with pytest.raises(DataError, match=message):
        call(generated())


def test_rows_of_each_machine():
    parts = [list(split_dataset_by_node(generated(), rank, 3)) for rank in range(3)]
    assert of(row for part in parts for row in part) == of(generated())
