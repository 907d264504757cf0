"""What is not in the tables: rows added, values of mixed types, cached files removed, row numbers
written, fingerprints, and where more works than in `datasets`."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pyarrow as pa
import pytest

import enfold.data as ours
from enfold.data.features.mixed import infer_mixed
from enfold.data.frame import Frame
from enfold.errors import DataError
from tests.data.dataset.worlds import in_file, in_memory, same, theirs, told

ITEMS = {
    "all": {"a": 3, "b": "z"}, "some": {"a": 3}, "other": {"a": 3, "c": [1]}, "none": {"a": None},
    "float as text": {"a": 1, "b": 2.0}, "text as a number": {"a": "7", "b": "x"},
    "no number": {"a": "seven", "b": "x"},
}


@pytest.mark.parametrize("order", [None, [2, 0, 1]])
@pytest.mark.parametrize("item", ITEMS)
def test_items_are_added_as_in_datasets(item, order):
    found = []
    for lib in (ours, theirs):
        dataset = lib.Dataset.from_dict({"a": [1, 2, 3], "b": ["x", "y", None]})
        dataset = dataset if order is None else dataset.select(order)
        try:
            found.append(told(dataset.add_item(ITEMS[item])))
        except Exception as error:
            found.append(error)
    same(*found)


def test_a_column_of_nulls_becomes_what_the_item_shows():
    found = [told(lib.Dataset.from_dict({"a": [None, None]}).add_item({"a": [1, 2]}))
             for lib in (ours, theirs)]
    same(*found)


MIXED = {
    "scalars": [1, "a", None], "numbers": [1, 2.5], "structs": [{"a": 1}, {"b": 2}],
    "same structs": [{"a": 1}, {"a": 2}], "inside": [{"a": 1}, {"a": "x"}],
    "lists": [[1], ["a"], []], "lists of structs": [[{"a": 1}, {"b": 1}]],
    "struct and list": [{"a": 1}, [1]], "no keys": [{}, {}], "deep": [{"a": {"b": [1]}},
                                                                    {"a": {"b": ["x"]}}],
    "empty": [], "nulls": [None, None], "null field": [{"a": None}, {"a": [1]}],
    "arrays": [np.arange(3), np.arange(2)], "tuples": [(1, 2), (3,)], "booleans": [True, 1],
}


@pytest.mark.parametrize("values", MIXED)
def test_mixed_types_are_json_where_they_are_in_datasets(values):
    found = []
    for lib in (ours, theirs):
        try:
            found.append(told(lib.Dataset.from_dict({"x": MIXED[values]},
                                                    on_mixed_types="use_json")))
        except Exception as error:
            found.append(error)
    if values == "booleans":
        assert found[0].features["x"]["_type"] == "Json"
        return
    same(*found)


def test_mixed_types_are_named_by_their_option():
    with pytest.raises(DataError, match="on_mixed_types='json'. Expected 'use_json' or None"):
        ours.Dataset.from_dict({"x": [1]}, on_mixed_types="json")
    with pytest.raises(DataError, match="map: on_mixed_types='json'"):
        ours.Dataset.from_dict({"x": [1]}).map(lambda row: row, on_mixed_types="json")
    assert infer_mixed(pa.array([1, 2])) == ours.Value("int64")


def test_cached_results_of_a_dataset_are_removed(tmp_path, monkeypatch):
    monkeypatch.setenv("ENFOLD_CACHE", str(tmp_path / "cache"))
    dataset = in_file(ours, tmp_path)
    other = ours.Dataset.from_file(dataset.cache_files[0]["filename"]).select(range(5))
    kept = dataset.map(lambda row: {"k": row["n"] + 1}).cache()
    gone = dataset.map(lambda row: {"k": row["n"] + 2}).cache()
    beyond = gone.map(lambda row: {"j": row["k"]}).cache()
    del gone, beyond
    assert dataset.cleanup_cache_files() > 0
    assert kept[3]["k"] == 4
    assert in_memory(ours, tmp_path).cleanup_cache_files() == 0
    assert len(other) == 5


def test_row_numbers_are_written_as_datasets_reads_them(tmp_path):
    dataset = in_file(ours, tmp_path)
    data = dataset.cache_files[0]["filename"]
    for name, change in {
        "select": lambda path: dataset.select([5, 1], indices_cache_file_name=path),
        "stretch": lambda path: dataset.select(range(3), indices_cache_file_name=path),
        "shuffle": lambda path: dataset.shuffle(seed=2, indices_cache_file_name=path),
        "sort": lambda path: dataset.sort("text", indices_cache_file_name=path),
        "shard": lambda path: dataset.shard(3, 1, indices_cache_file_name=path),
        "strided": lambda path: dataset.shard(3, 1, False, indices_cache_file_name=path),
    }.items():
        path = str(tmp_path / f"{name}.arrow")
        expected = change(path)[:]
        read = theirs.Dataset.from_file(data, indices_filename=path)
        assert read[:] == expected
        assert ours.Dataset.from_file(data, indices_filename=path)[:] == expected


def test_fingerprints():
    dataset = ours.Dataset.from_dict({"a": [1, 2]})
    again = ours.Dataset.from_dict({"a": [1, 2]})
    assert dataset._fingerprint == again._fingerprint
    prints = [dataset._fingerprint] + [made._fingerprint for made in (
        dataset.with_format("numpy"), dataset.with_format("numpy", columns=["a"]),
        dataset.select([0]), dataset.rename_column("a", "b"), dataset.repeat(2),
        dataset.with_transform(lambda batch: batch), dataset.add_item({"a": 1}),
        dataset.add_item({"a": 2}), dataset.batch(1), dataset.batch(2))]
    assert len(set(prints)) == len(prints)
    assert dataset.select([0], new_fingerprint="mine")._fingerprint == "mine"
    with pytest.raises(DataError, match="Invalid fingerprint 'a/b'"):
        dataset.select([0], new_fingerprint="a/b")


def test_what_data_is():
    dataset = ours.Dataset.from_dict({"a": [1, 2]})
    assert dataset.data.table.to_pydict() == {"a": [1, 2]}
    assert dataset.data.num_rows == len(dataset.data) == 2
    assert dataset.data["a"].to_pylist() == [1, 2]
    assert pa.table(dataset.data).column_names == ["a"]
    assert dataset.data == pickle.loads(pickle.dumps(dataset)).data
    assert ours.Dataset(dataset.data)[:] == {"a": [1, 2]}
    assert "a: int64" in repr(dataset.data)


def test_features_may_be_changed_without_changing_the_dataset():
    dataset = ours.Dataset.from_dict({"a": [1, 2]})
    wanted = dataset.features
    wanted["a"] = ours.Value("float64")
    assert dataset.features["a"] == ours.Value("int64")
    assert dataset.cast(wanted)[0] == {"a": 1.0}


def test_negative_row_numbers_count_from_the_end():
    dataset = ours.Dataset.from_dict({"a": [1, 2, 3]}).shuffle(seed=0)
    assert dataset.select([-1, 0])["a"][:] == [dataset[-1]["a"], dataset[0]["a"]]
    assert dataset[[-1, 0]]["a"] == [dataset[2]["a"], dataset[0]["a"]]


WRONG = {
    "item": (lambda ds: ds.add_item([1]), "add_item: got a list"),
    "batch size": (lambda ds: ds.batch(0), "batch_size=0. Expected at least 1"),
    "suffix": (lambda ds: ds.map(lambda row: row, suffix_template="_{}"),
               "exactly the fields 'rank' and 'num_proc'"),
    "no extension": (lambda ds: ds.map(lambda row: row, cache_file_name="/tmp/x"),
                     "to have an extension"),
    "labels": (lambda ds: ds.align_labels_with_mapping({"a": 0}, "a"), "Expected ClassLabel"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_raises(case):
    change, message = WRONG[case]
    with pytest.raises(DataError, match=message):
        change(ours.Dataset.from_dict({"a": [1, 2]}))


def test_batches_by_column_of_several_processes_are_refused():
    with pytest.raises(NotImplementedError, match="leave num_proc= out"):
        ours.Dataset.from_dict({"a": [1, 2]}).batch(by_column="a", num_proc=2)


def test_runs_of_lists_and_nulls_are_batches():
    dataset = ours.Dataset.from_dict({"a": [[1], [1], [2], None, None], "b": [None, None, 1, 1, 1]})
    assert list(map(len, dataset.batch(by_column=["a", "b"])["b"])) == [2, 1, 2]


def test_methods_take_the_arguments_that_datasets_takes():
    dataset = ours.Dataset.from_dict({"a": [1]})
    for name in [name for name in dir(theirs.Dataset) if not name.startswith("_")]:
        method = getattr(theirs.Dataset, name)
        if not callable(method):
            assert hasattr(dataset, name)
            continue
        taken = inspect.signature(getattr(ours.Dataset, name)).parameters
        for parameter in inspect.signature(method).parameters.values():
            if parameter.kind is not parameter.VAR_KEYWORD:
                assert parameter.name in taken, f"{name}({parameter.name})"
                assert parameter.default == taken[parameter.name].default, f"{name}: {parameter}"


def test_flatten_indices_gathers_blocks_of_bytes_in_order(monkeypatch, tmp_path):
    monkeypatch.setattr("enfold.data.dataset.flattening._BYTES", 1000)
    sizes = []
    original = Frame.slice

    def slice_(frame, start, stop, *columns):
        sizes.append(stop - start)
        return original(frame, start, stop, *columns)

    ours.Dataset.from_dict({"n": range(200), "t": ["x" * 100] * 200}).save_to_disk(tmp_path)
    shuffled = ours.load_from_disk(tmp_path).shuffle(seed=1)
    order = shuffled["n"][:]
    monkeypatch.setattr(Frame, "slice", slice_)
    assert shuffled.flatten_indices(keep_in_memory=True)["n"][:] == order
    assert set(sizes[:-1]) == {8}  # of 100 and 8 bytes, and where a text begins
