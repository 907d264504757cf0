import asyncio
import pickle
import time
from itertools import islice

import numpy as np
import pyarrow as pa
import pytest

from enfold.data.features import ClassLabel, Features, Image, List, Value
from enfold.data.info import DatasetInfo
from enfold.data.streaming import IterableDataset
from enfold.data.streaming.combine import concatenate_iterable, interleave_iterable
from enfold.errors import DataError
from tests.data.streaming.streams import generated, tabled


def of(*rows):
    return IterableDataset.from_generator(rows_of, gen_kwargs={"rows": rows})


def rows_of(rows):
    yield from rows


def test_nothing_runs_before_it_is_asked_for():
    seen = []
    ds = of(*({"i": i} for i in range(9))).map(lambda row: {"n": seen.append(row["i"])})
    ds = ds.filter(lambda row: row["i"] % 2 == 0).map(lambda row: {"m": 1}).take(2)
    assert seen == []
    rows = iter(ds)
    assert next(rows) == {"i": 0, "n": None, "m": 1}
    assert seen == [0]
    assert len(list(rows)) == 1
    assert seen == [0, 1, 2]


def test_an_error_comes_at_its_row():
    rows = iter(tabled(1).map(lambda row: {"n": 1 // (3 - row["i"])}))
    assert [row["i"] for row in islice(rows, 3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        next(rows)


def test_rows_of_a_generator_stay_as_they_are():
    row = {"i": 0}
    ds = of(row).map(lambda x: x.update(j=1) or {"k": 2})
    assert list(ds) == [{"i": 0, "k": 2}]
    assert row == {"i": 0}


def test_values_are_not_converted_without_features():
    ds = of({"i": 0}).map(lambda row: {"array": np.arange(3)})
    assert isinstance(next(iter(ds))["array"], np.ndarray)


FEATURES = Features({"i": Value("int64"), "label": ClassLabel(names=["no", "yes"])})


def test_features_encode_and_fill():
    ds = of({"i": 1, "label": "yes"}, {"i": 2}).cast(FEATURES)
    assert list(ds) == [{"i": 1, "label": 1}, {"i": 2, "label": None}]
    assert (ds.column_names, ds.num_columns) == (["i", "label"], 2)


def test_features_of_tables_are_cast():
    ds = tabled(1, 3).cast(Features({"b": Value("int8"), "i": Value("string")}))
    assert list(ds) == [{"b": i, "i": str(i)} for i in range(3)]


def test_features_are_known_or_not():
    ds = generated()
    assert (ds.features, ds.column_names, ds.num_columns) == (None, None, None)
    assert ds._resolve_features().features == {"shard": Value("int64"), "i": Value("int64")}
    assert tabled().map(lambda x: x).features is None
    assert tabled().map(lambda x: x, features=FEATURES).features == FEATURES
    assert tabled().rename_column("i", "z").column_names == ["z", "b"]
    assert tabled().remove_columns(["i", "not there"]).column_names == ["b"]
    assert tabled().select_columns("b").column_names == ["b"]
    assert tabled().filter(bool).column_names == ["i", "b"]
    assert tabled().batch(2).features["i"] == List(Value("int64"))


@pytest.mark.parametrize("ds", [of({"i": 0, "b": 1}, {"i": 0, "b": 2}, {"i": 1, "b": 3}),
                                IterableDataset.from_frame(pa.table({"i": [0, 0, 1],
                                                                     "b": [1, 2, 3]}))])
def test_batches_by_column(ds):
    assert list(ds.batch(by_column="i")) == [{"i": [0, 0], "b": [1, 2]}, {"i": [1], "b": [3]}]
    assert list(ds.batch(2)) == [{"i": [0, 0], "b": [1, 2]}, {"i": [1], "b": [3]}]
    assert list(ds.batch(2, drop_last_batch=True)) == [{"i": [0, 0], "b": [1, 2]}]


def test_groups_go_over_tables_and_unequal_values_end_them():
    nan, table = float("nan"), pa.table({"k": [None, None, 1.0, float("nan"), float("nan")]})
    parts = [table.slice(0, 1), table.slice(1, 2), table.slice(3)]
    ds = concatenate_iterable([IterableDataset.from_frame(part) for part in parts])
    found = [row["k"] for row in ds.batch(by_column=["k"])]
    assert repr(found) == repr([[None, None], [1.0], [nan], [nan]])


def test_coroutines_run_together():
    running, most = set(), []

    async def slow(row):
        running.add(row["i"])
        await asyncio.sleep(0.01)
        most.append(len(running))
        running.remove(row["i"])
        return {"n": row["i"]}

    assert [row["n"] for row in tabled(1, 200).map(slow)] == list(range(200))
    assert max(most) > 10


def test_coroutines_inside_of_a_running_loop():
    async def more(row):
        return {"n": row["i"] + 1}

    async def main():
        return [row["n"] for row in tabled(1, 5).map(more)]

    assert asyncio.run(main()) == [1, 2, 3, 4, 5]


def test_reading_ahead_goes_so_far_and_tells_errors_in_their_place():
    read = []
    ds = tabled(1, 400).map(lambda row: {"n": read.append(row["i"]) or 1 // (300 - row["i"])})
    rows = iter(ds.prefetch(50))
    assert next(rows)["i"] == 0
    for _ in range(200):
        if len(read) >= 52:
            break
        time.sleep(0.01)
    assert len(read) == 52  # the first, 50 ahead, and one that waits for a place
    with pytest.raises(ZeroDivisionError):
        list(rows)
    assert read[-1] == 300


def test_an_error_in_a_coroutine_comes_at_its_row():
    async def wrong(row):
        return {"n": 1 // (3 - row["i"])}

    rows = iter(tabled(1, 9).map(wrong))
    assert [row["i"] for row in islice(rows, 3)] == [0, 1, 2]
    with pytest.raises(ZeroDivisionError):
        next(rows)


def test_images_are_decoded_in_threads_or_not(tmp_path):
    from PIL import Image as Pillow
    Pillow.new("RGB", (4, 3)).save(tmp_path / "a.png")
    ds = of(*({"image": str(tmp_path / "a.png")} for _ in range(5)))
    ds = ds.cast(Features({"image": Image()}))
    for way in (ds, ds.decode(), ds.decode(num_threads=2), ds.decode(num_threads=0),
                ds.decode(False).decode(), ds.decode().decode(num_threads=3)):
        assert [row["image"].size for row in way] == [(4, 3)] * 5
    for way in (ds.decode(False), ds.decode().decode(False)):
        assert next(iter(way))["image"]["path"] == str(tmp_path / "a.png")
        assert way.features["image"].decode is False
    assert ds.features["image"].decode is True


def test_tables_in_and_out_of_functions():
    ds = tabled(1, 5).with_format("arrow").map(lambda t: t.append_column("n", t["i"]))
    assert list(ds.with_format(None))[4] == {"i": 4, "b": "4", "n": 4}
    ds = tabled(1, 5).with_format("pandas").filter(lambda df: df["i"] > 2, batched=True)
    assert [row["i"] for row in ds.with_format(None)] == [3, 4]
    ds = tabled(1, 5).with_format("arrow").map(lambda t: t, remove_columns="b", batched=True)
    assert next(iter(ds.iter(5))).column_names == ["i"]


def test_columns():
    ds = of({"a": {"b": 1}}, {"a": {"b": 2}})
    assert list(ds["a"]["b"]) == [1, 2]
    assert list(ds["a"]["b"]) == [1, 2]


def test_what_the_info_says():
    info = DatasetInfo(description="words", citation="@", size_in_bytes=3)
    ds = IterableDataset(generated()._ex_iterable, info=info, split="train")
    assert (ds.info, ds.description, ds.citation) == (info, "words", "@")
    assert (ds.size_in_bytes, str(ds.split), ds.n_shards) == (3, "train", 4)
    assert repr(tabled(2)) == ("IterableDataset({\n    features: ['i', 'b'],\n"
                               "    num_shards: 2\n})")
    with pytest.raises(AttributeError, match="'IterableDataset' object has no attribute 'rows'"):
        ds.rows  # noqa: B018


def test_pickled_after_everything():
    ds = tabled(2).remove_columns("b").take(50).map(dict).shuffle(seed=0).skip(1)
    ds = ds.filter(bool).add_column("z", list(range(50))).rename_column("i", "j").batch(3)
    assert list(pickle.loads(pickle.dumps(ds))) == list(ds)


def test_empty_streams():
    empty = tabled(1, 0)
    assert list(empty) == []
    assert list(empty.shuffle(seed=0).map(dict).batch(2).repeat(None)) == []
    assert list(of().repeat(None)) == []


def doubled(batch):
    return {"i": batch["i"] * 2}


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda ds: list(ds.map(doubled, batched=True)), DataError, "Column lengths mismatch: 'i' has"),
    (lambda ds: list(ds.map(lambda x: None)), TypeError, "the function returned NoneType"),
    (lambda ds: list(ds.map(lambda x: [1], batched=True)), TypeError, "returned list. Expected a"),
    (lambda ds: list(ds.with_format("arrow").map(lambda t: 3)), TypeError,
     "returned int. Expected a pyarrow Table"),
    (lambda ds: list(ds.filter(lambda x: [True], batched=True)), DataError,
     "returned 1 values for 1000 rows"),
    (lambda ds: ds.filter(None), DataError, "function=None"),
    (lambda ds: ds.select_columns(["z"]), DataError, r"no columns \['z'\]. The dataset has"),
    (lambda ds: ds.rename_column("z", "y"), DataError, r"no columns \['z'\]"),
    (lambda ds: ds.rename_column("i", "b"), DataError, r"columns \['b'\] are there already"),
    (lambda ds: list(ds.add_column("i", [1])), DataError, "i is already in the dataset"),
    (lambda ds: ds.batch(), DataError, "misses `batch_size` or `by_column`"),
    (lambda ds: ds.map(dict).cast_column("i", Value("int8")), DataError, "features are not known"),
    (lambda ds: ds.map(dict).decode(), DataError, "features are Unknown"),
    (lambda ds: concatenate_iterable([ds, ds], axis=1), DataError, "are duplicated"),
    (lambda ds: concatenate_iterable([ds, ds.cast_column("i", Value("string"))]), ValueError, "i"),
    (lambda ds: concatenate_iterable([ds, of()]), DataError, "there is no row to see them from"),
    (lambda ds: interleave_iterable([ds], stopping_strategy="never"), DataError,
     "never is not supported"),
    (lambda ds: IterableDataset.from_generator([{"a": 1}]), DataError, "got a list"),
    (lambda ds: IterableDataset.from_generator(rows_of, gen_kwargs={"a": [1], "b": [1, 2]}),
     DataError, "'a' has 1, 'b' has 2"),
    (lambda ds: IterableDataset.from_frame(pa.table({"a": [1]}), Features({"b": Value("int8")}),
                                           info=DatasetInfo(features=FEATURES)),
     DataError, "can't be different"),
])
def test_what_can_not_be_done_is_told(call, error, message):
    with pytest.raises(error, match=message):
        call(tabled())


def test_a_coroutine_gets_no_tables():
    async def same(table):
        return table

    with pytest.raises(NotImplementedError, match="does not get tables"):
        list(tabled().with_format("arrow").map(same))
