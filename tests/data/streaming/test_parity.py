"""The rows, and their order, are those of datasets 5.2."""

import numpy as np
import pyarrow as pa
import pytest

from enfold.data.features import Value
from enfold.data.streaming import IterableDataset
from enfold.data.streaming.combine import (
    concatenate_iterable,
    interleave_iterable,
    split_iterable_by_node,
)
from tests.data.streaming.streams import BASES, TABLE, tabled, theirs

CASES = {
    "shuffle": lambda ds: ds.shuffle(seed=3, buffer_size=20),
    "odd buffer": lambda ds: ds.shuffle(seed=3, buffer_size=25),
    "all in the buffer": lambda ds: ds.shuffle(seed=3, buffer_size=100_000),
    "buffer of one": lambda ds: ds.shuffle(seed=3, buffer_size=1),
    "a shard at a time": lambda ds: ds.shuffle(seed=3, buffer_size=30, max_buffer_input_shards=1),
    "generator": lambda ds: ds.shuffle(generator=np.random.default_rng(8), buffer_size=200),
    "after map": lambda ds: ds.map(lambda x: {"z": x["i"]}).shuffle(seed=3, buffer_size=30),
    "after filter": lambda ds: ds.filter(lambda x: x["i"] % 2 == 0).shuffle(seed=3, buffer_size=30),
    "after batched filter": lambda ds: ds.filter(
        lambda x: [v % 2 == 0 for v in x["i"]], batched=True).shuffle(seed=3, buffer_size=30),
    "after rename": lambda ds: ds.rename_column("i", "j").shuffle(seed=3, buffer_size=30),
    "after remove": lambda ds: ds.remove_columns("i").shuffle(seed=3, buffer_size=30),
    "after select": lambda ds: ds.select_columns(["i"]).shuffle(seed=3, buffer_size=30),
    "after batch": lambda ds: ds.batch(4).shuffle(seed=3, buffer_size=6),
    "after take": lambda ds: ds.take(50).shuffle(seed=3, buffer_size=30),
    "and take": lambda ds: ds.shuffle(seed=3, buffer_size=30).take(40),
    "and skip": lambda ds: ds.shuffle(seed=3, buffer_size=30).skip(40),
    "twice": lambda ds: ds.shuffle(seed=3, buffer_size=30).shuffle(seed=5, buffer_size=40),
    "repeated": lambda ds: ds.shuffle(seed=3, buffer_size=30).repeat(2),
    "numbers": lambda ds: ds.map(lambda x, k: {"k": k}, with_indices=True),
    "batched numbers": lambda ds: ds.map(lambda x, k: {"k": k}, with_indices=True, batched=True,
                                         batch_size=7),
    "drop the last": lambda ds: ds.map(lambda x: x, batched=True, batch_size=7,
                                       drop_last_batch=True),
    "columns as arguments": lambda ds: ds.map(lambda i: {"q": i}, input_columns="i",
                                              remove_columns="i"),
    "keywords": lambda ds: ds.map(lambda x, v: {"q": v}, fn_kwargs={"v": 3}),
    "removed and returned": lambda ds: ds.map(lambda x: x, remove_columns=["i"]),
    "added": lambda ds: ds.add_column("z", list(range(3000))),
    "batches, whole ones": lambda ds: ds.batch(7, drop_last_batch=True),
    "nothing": lambda ds: ds.take(0),
    "a shard": lambda ds: ds.shard(3, 1),
    "every third shard": lambda ds: ds.shard(3, 1, contiguous=False),
}


@pytest.mark.parametrize("base", ["rows", "many"])
@pytest.mark.parametrize("name", CASES)
def test_rows_in_the_same_order(name, base):
    ours, other = CASES[name](BASES[base]()), CASES[name](theirs(base))
    assert ours.num_shards == other.num_shards
    for epoch in (0, 2):
        ours.set_epoch(epoch)
        other.set_epoch(epoch)
        assert list(ours) == list(other)


@pytest.mark.parametrize("kind", ["rows", "tables", "mapped", "mixed"])
@pytest.mark.parametrize("probabilities", [None, [0.5, 0.2, 0.3]])
@pytest.mark.parametrize("strategy", ["first_exhausted", "all_exhausted",
                                      "all_exhausted_without_replacement"])
def test_interleaved(strategy, probabilities, kind):
    import datasets
    sizes = [(0, 300), (700, 40), (800, 150)]
    ours = [IterableDataset.from_frame(TABLE.slice(*size), num_shards=2) for size in sizes]
    other = [datasets.Dataset(TABLE.slice(*size)).to_iterable_dataset(num_shards=2)
             for size in sizes]
    mapped = {"rows": [0, 1, 2], "tables": [], "mapped": [0, 1, 2], "mixed": [1]}[kind]
    for number in mapped:
        ours[number] = ours[number].map(lambda x: {"q": x["i"] + 1})
        other[number] = other[number].map(lambda x: {"q": x["i"] + 1})
    options = {"probabilities": probabilities, "seed": 4, "stopping_strategy": strategy}
    left, right = interleave_iterable(ours, **options), datasets.interleave_datasets(
        other, **options)
    assert list(left) == list(right)
    left, right = left.shuffle(seed=1, buffer_size=50), right.shuffle(seed=1, buffer_size=50)
    for epoch in (0, 1):
        left.set_epoch(epoch)
        right.set_epoch(epoch)
        assert list(left) == list(right)


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("axis", [0, 1])
def test_concatenated(axis, shuffled):
    import datasets

    def parts(first, second):
        change = (lambda ds: ds.map(lambda x: {"c": x["i"]}, remove_columns=["b", "i"])) if axis \
            else (lambda ds: ds)
        return [first, change(second)]

    ours = concatenate_iterable(parts(tabled(12, 700), tabled(2, 700)), axis=axis)
    second = datasets.Dataset(TABLE.slice(0, 700)).to_iterable_dataset(num_shards=2)
    other = datasets.concatenate_datasets(parts(theirs("many"), second), axis=axis)
    if shuffled:
        ours, other = (ds.shuffle(seed=2, buffer_size=64) for ds in (ours, other))
    assert ours.features.to_dict() == other.features.to_dict() or axis
    for epoch in (0, 1):
        ours.set_epoch(epoch)
        other.set_epoch(epoch)
        assert list(ours) == list(other)


@pytest.mark.parametrize("strategy", ["auto", "examples", "shards"])
@pytest.mark.parametrize("change", ["as it is", "shuffle", "take", "filter"])
@pytest.mark.parametrize("base", ["rows", "many"])
def test_parts_of_machines(base, change, strategy):
    from datasets.distributed import split_dataset_by_node
    step = {"as it is": lambda ds: ds, "take": lambda ds: ds.take(40),
            "shuffle": lambda ds: ds.shuffle(seed=1, buffer_size=16),
            "filter": lambda ds: ds.filter(lambda x: x["i"] % 3 == 0)}[change]
    for rank in range(3):
        ours = split_iterable_by_node(step(BASES[base]()), rank, 3, strategy)
        other = split_dataset_by_node(step(theirs(base)), rank, 3, strategy=strategy)
        assert ours.num_shards == other.num_shards
        assert list(ours) == list(other)
        if base == "many" or strategy != "shards":
            ours, other = split_iterable_by_node(ours, 1, 2), split_dataset_by_node(other, 1, 2)
            assert list(ours) == list(other)


@pytest.mark.parametrize("kind", [None, "numpy", "torch", "arrow", "pandas", "polars"])
@pytest.mark.filterwarnings("ignore:To copy construct")
@pytest.mark.parametrize("base", ["rows", "many"])
def test_formats(base, kind):
    def plain(item):
        return (item.to_pylist(), item.schema.remove_metadata()) if isinstance(item, pa.Table) \
            else item

    ours, other = BASES[base]().with_format(kind), theirs(base).with_format(kind)
    for left, right in ((ours.take(30), other.take(30)),
                        (ours.take(30).iter(7), other.take(30).iter(7)),
                        (ours.take(30).map(lambda x: x), other.take(30).map(lambda x: x))):
        assert repr([plain(x) for x in left]) == repr([plain(x) for x in right])


def test_casts():
    import datasets
    ours = tabled(12, 700).cast_column("i", Value("string"))
    other = theirs("many").cast_column("i", datasets.Value("string"))
    assert list(ours) == list(other)
    assert ours.features.to_dict() == other.features.to_dict()
