from itertools import islice

import numpy as np
import pytest

from enfold.data.streaming import IterableDataset
from enfold.data.streaming.combine import concatenate_iterable, interleave_iterable
from tests.data.streaming.streams import BASES, TABLE, generated, resumes, tabled, through_json


async def shifted(row):
    return {"q": row["i"] + 1}


async def even(row):
    return row["i"] % 2 == 0


PIPELINES = {
    "as it is": lambda ds: ds,
    "map": lambda ds: ds.map(lambda row: {"n": row["i"] + 1}),
    "map with numbers": lambda ds: ds.map(lambda row, k: {"k": k}, with_indices=True),
    "batched map": lambda ds: ds.map(lambda x: {"n": x["i"]}, batched=True, batch_size=9),
    "batch grows": lambda ds: ds.map(lambda x: {"i": x["i"] * 2}, batched=True, batch_size=6,
                                     remove_columns=["b", "shard"]),
    "all in a batch": lambda ds: ds.map(lambda x: {"n": x["i"]}, batched=True, batch_size=None),
    "filter": lambda ds: ds.filter(lambda row: row["i"] % 3 == 0),
    "batched filter": lambda ds: ds.filter(lambda x: [i % 3 == 0 for i in x["i"]], batched=True,
                                           batch_size=8),
    "read ahead": lambda ds: ds.map(lambda row: {"n": row["i"]}).prefetch(5),
    "read ahead, shuffled": lambda ds: ds.prefetch(5).shuffle(seed=1, buffer_size=10),
    "coroutines": lambda ds: ds.map(shifted),
    "coroutine filter": lambda ds: ds.filter(even),
    "skip": lambda ds: ds.skip(31),
    "take": lambda ds: ds.take(45),
    "skip and take": lambda ds: ds.skip(31).take(29),
    "step": lambda ds: ds._step(3, 1),
    "repeat": lambda ds: ds.repeat(2),
    "batch": lambda ds: ds.batch(4),
    "columns": lambda ds: ds.rename_column("i", "z").select_columns(["z"]),
    "numpy": lambda ds: ds.with_format("numpy").map(lambda row: {"n": row["i"] + 1}),
    "arrow": lambda ds: ds.with_format("arrow").map(lambda t: t.append_column("n", t["i"]),
                                                    batched=True, batch_size=7),
    "arrow filter": lambda ds: ds.with_format("arrow").filter(
        lambda t: [i % 3 == 0 for i in t["i"].to_pylist()], batched=True, batch_size=7),
    "shuffle": lambda ds: ds.shuffle(seed=1, buffer_size=10),
    "odd shuffle": lambda ds: ds.shuffle(seed=1, buffer_size=37),
    "shuffle of one": lambda ds: ds.shuffle(seed=1, buffer_size=1),
    "shuffle of all": lambda ds: ds.shuffle(seed=1, buffer_size=10_000),
    "shuffled shard": lambda ds: ds.shuffle(seed=1, buffer_size=20, max_buffer_input_shards=1),
    "map and shuffle": lambda ds: ds.map(lambda row: {"n": 1}).shuffle(seed=2, buffer_size=16),
    "shuffled twice": lambda ds: ds.shuffle(seed=1, buffer_size=12).shuffle(seed=2, buffer_size=8),
    "shuffle, take, repeat": lambda ds: ds.shuffle(seed=1, buffer_size=12).take(30).repeat(2),
    "filter and shuffle": lambda ds: ds.filter(lambda row: row["i"] % 2).shuffle(seed=1,
                                                                                 buffer_size=9),
    "interleaved": lambda ds: interleave_iterable([ds, ds.skip(9)], [0.3, 0.7], seed=5),
    "in turn, all": lambda ds: interleave_iterable([ds.take(20), ds.skip(9).take(33)],
                                                   stopping_strategy="all_exhausted"),
    "in turn, once": lambda ds: interleave_iterable(
        [ds.take(20), ds.skip(9).take(33)], [0.5, 0.5], seed=1,
        stopping_strategy="all_exhausted_without_replacement"),
    "concatenated": lambda ds: concatenate_iterable([ds.take(20), ds.skip(40)]),
    "side by side": lambda ds: concatenate_iterable([ds.select_columns("i"),
                                                     ds.rename_column("i", "z").take(40)
                                                     .select_columns("z")], axis=1),
}


@pytest.mark.parametrize("base", ["rows", "many"])
@pytest.mark.parametrize("name", PIPELINES)
def test_every_stream_resumes_after_any_row(base, name):
    assert resumes(lambda: PIPELINES[name](BASES[base]()))


@pytest.mark.parametrize("name", ["as it is", "batched map", "shuffle", "interleaved"])
def test_batches_resume_too(name):
    resumes(lambda: PIPELINES[name](tabled()), read=lambda ds: ds.iter(7))


def test_an_epoch_resumes_and_the_next_starts_anew():
    ds = generated().shuffle(seed=0, buffer_size=5)
    ds.set_epoch(3)
    whole = list(ds)
    list(islice(ds, 20))
    state = through_json(ds.state_dict())
    assert state["epoch"] == 3
    again = generated().shuffle(seed=0, buffer_size=5)
    again.load_state_dict(state)
    assert len(list(again)) == len(whole)  # of epoch 0, to which the state does not belong
    again.set_epoch(3)
    assert list(again) == whole[20:]
    again.set_epoch(4)
    assert len(list(again)) == len(whole)


def test_a_state_that_was_loaded_is_told_until_a_pass_begins():
    ds = generated()
    list(islice(ds, 4))
    state = ds.state_dict()
    other = generated()
    other.load_state_dict(state)
    assert other.state_dict() == state
    assert next(iter(other)) == {"shard": 0, "i": 4}


def test_a_resumed_map_does_not_call_its_function_for_earlier_rows():
    calls = []
    ds = tabled(1).map(lambda row: {"n": calls.append(row["i"])})
    list(islice(ds, 1500))
    state = ds.state_dict()
    calls.clear()
    ds.load_state_dict(state)
    assert next(iter(ds))["i"] == 1500
    assert calls == [1500]


def test_a_resumed_shuffle_makes_its_buffer_and_no_more():
    calls = []
    ds = tabled(1).map(lambda row: {"n": calls.append(row["i"])}).shuffle(seed=0, buffer_size=100)
    whole = list(ds)
    stop = 2000
    list(islice(ds, stop))
    state = through_json(ds.state_dict())
    calls.clear()
    ds.load_state_dict(state)
    assert next(iter(ds))["i"] == whole[stop]["i"]
    assert len(calls) <= 100  # half a buffer kept, up to half waiting
    assert min(calls) > 500   # none of the rows that are long gone
    assert len(str(state)) < 1000


def test_a_skip_over_a_map_calls_nothing():
    calls = []
    ds = tabled(1).map(lambda row: {"n": calls.append(1)}).skip(2000)
    assert next(iter(ds))["i"] == 2000
    assert calls == [1]


def test_frames_are_opened_at_the_row():
    class Counting:
        num_rows, read = TABLE.num_rows, []

        def slice(self, start, stop):
            self.read.append((start, stop))
            return TABLE.slice(start, stop - start)

    from enfold.data.streaming.origins import Frames
    frame = Counting()
    ds = IterableDataset(Frames.of(frame, 1))
    list(islice(ds, 2100))
    state = ds.state_dict()
    frame.read.clear()
    ds.load_state_dict(state)
    assert next(iter(ds))["i"] == 2100
    assert frame.read == [(2100, 2300)]


def test_random_numbers_of_the_user_are_left_alone():
    generator = np.random.default_rng(3)
    before = generator.bit_generator.state
    ds = generated().shuffle(generator=generator, buffer_size=7)
    assert list(ds) == list(ds)
    assert generator.bit_generator.state == before
