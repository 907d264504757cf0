"""Indexes of vectors, by themselves and of a dataset."""

from __future__ import annotations

import numpy as np
import pytest

from enfold.data import Dataset
from enfold.data.search import BaseIndex, FaissIndex, MissingIndex
from enfold.errors import DataError, DependencyError


@pytest.fixture
def rows(faiss) -> Dataset:
    vectors = (np.eye(4) * np.arange(1, 5)[:, None]).astype("f4")
    return Dataset.from_dict({"name": list("abcd"), "v": vectors.tolist()})


def test_nearest_rows_of_a_column(rows) -> None:
    assert rows.add_faiss_index("v") is rows
    scores, found = rows.get_nearest_examples("v", np.float32([0, 0, 3, 0]), k=2)
    assert found["name"][0] == "c"
    assert scores[0] == 0
    assert list(found) == ["name", "v"]
    assert rows.format["type"] is None  # the format of the index is not the caller's


def test_fewer_rows_than_asked_for(rows) -> None:
    rows.add_faiss_index("v")
    scores, found = rows.get_nearest_examples("v", np.zeros(4, "f4"), k=9)
    assert len(scores) == len(found["name"]) == 4
    scores, found = rows.get_nearest_examples_batch("v", np.zeros((2, 4), "f4"), k=9)
    assert [len(one["name"]) for one in found] == [len(one) for one in scores] == [4, 4]


def test_inner_product_and_batches_of_queries(rows, faiss) -> None:
    rows.add_faiss_index("v", "by product", metric_type=faiss.METRIC_INNER_PRODUCT, batch_size=3)
    assert rows.list_indexes() == ["by product"]
    assert rows.search("by product", np.float32([1, 1, 1, 1]), k=1).indices.tolist() == [3]
    queries = np.asfortranarray(np.eye(4, dtype="f4")[::-1])
    found = rows.search_batch("by product", queries, k=1)
    assert found.total_indices[:, 0].tolist() == [3, 2, 1, 0]


def test_external_arrays_are_cast(rows) -> None:
    assert rows.add_faiss_index_from_external_arrays(np.arange(8.0).reshape(4, 2), "ext") is None
    assert rows.search("ext", np.float64([6, 7]), k=1).indices.tolist() == [3]


def test_index_factory_training_and_verbosity(rows) -> None:
    rows.add_faiss_index("v", string_factory="Flat", train_size=2, faiss_verbose=True)
    index = rows.get_index("v").faiss_index
    assert index.verbose
    assert index.ntotal == 4


def test_saved_and_loaded(rows, tmp_path) -> None:
    rows.add_faiss_index("v")
    rows.save_faiss_index("v", tmp_path / "index")
    rows.load_faiss_index("again", tmp_path / "index")
    query = np.float32([0, 2, 0, 0])
    assert rows.search("again", query, k=1).indices == rows.search("v", query, k=1).indices
    with pytest.raises(DataError, match="of 4 vectors, and the dataset has 2 rows"):
        Dataset.from_dict({"a": [1, 2]}).load_faiss_index("v", tmp_path / "index")
    assert FaissIndex.load(f"file://{tmp_path}/index").faiss_index.ntotal == 4


def test_dropped(rows) -> None:
    rows.add_faiss_index("v")
    assert rows.is_index_initialized("v")
    rows.drop_index("v")
    assert not rows.is_index_initialized("v")
    for call in (rows.drop_index, rows.get_index, lambda name: rows.search(name, np.zeros(4))):
        with pytest.raises(MissingIndex, match="'v' not initialized yet"):
            call("v")


@pytest.mark.parametrize("change", [
    lambda ds: ds.select([0, 2]), lambda ds: ds.shuffle(seed=1), lambda ds: ds.sort("name"),
    lambda ds: ds.filter(lambda row: row["name"] > "a"), lambda ds: ds.train_test_split(0.5),
    lambda ds: ds.map(lambda batch: {"n": [1]}, batched=True, remove_columns=["name", "v"]),
    lambda ds: ds.shard(2, 0),
])
def test_rows_may_not_change_below_an_index(rows, change) -> None:
    rows.add_faiss_index("v")
    with pytest.raises(DataError, match="drop_index"):
        change(rows)
    rows.drop_index("v")
    change(rows)


def test_columns_may_change_below_an_index(rows) -> None:
    rows.add_faiss_index("v")
    other = rows.map(lambda row: {"n": row["name"] * 2}).rename_column("name", "letter")
    assert other.get_nearest_examples("v", np.float32([0, 0, 0, 4]), k=1)[1]["n"] == ["dd"]


@pytest.mark.parametrize(("column", "message"), [
    ("name", "Wrong feature type for column 'name'. Expected 1d array"),
    ("nam", "there is no column 'nam'.*nearest: 'name'"),
    ("ragged", "column 'ragged'.*as many in each row"),
])
def test_columns_that_are_no_vectors(faiss, column, message) -> None:
    rows = Dataset.from_dict({"name": ["a", "b"], "ragged": [[1.0], [1.0, 2.0]]})
    with pytest.raises(DataError, match=message):
        rows.add_faiss_index(column)
    assert rows.list_indexes() == []


def test_queries_of_other_shapes(rows, faiss) -> None:
    rows.add_faiss_index("v")
    index = rows.get_index("v")
    with pytest.raises(DataError, match="either a 1D array or 2D"):
        index.search(np.zeros((2, 4)))
    with pytest.raises(DataError, match="must be 2D"):
        index.search_batch(np.zeros(4))
    with pytest.raises(DataError, match="3 dimensions, and the vectors have 4"):
        index.search(np.zeros(3))
    with pytest.raises(DataError, match="the index is empty"):
        FaissIndex().search(np.zeros(3))
    with pytest.raises(DataError, match="there are no vectors"):
        FaissIndex().add_vectors(np.zeros((0, 3)))


def test_options_that_exclude_each_other(faiss) -> None:
    with pytest.raises(DataError, match="string_factory and custom_index"):
        FaissIndex(string_factory="Flat", custom_index=faiss.IndexFlat(5))
    with pytest.raises(DataError, match="device and custom_index"):
        FaissIndex(device=0, custom_index=faiss.IndexFlat(5))
    with pytest.raises(TypeError, match="device='gpu'"):
        FaissIndex(device="gpu").add_vectors(np.zeros((2, 3)))


def test_without_faiss_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "faiss", None)
    with pytest.raises(DependencyError, match=r"enfold\[faiss\]"):
        Dataset.from_dict({"v": [[1.0]]}).add_faiss_index("v")


def test_an_index_of_ones_own() -> None:
    with pytest.raises(NotImplementedError, match="has no search"):
        BaseIndex().search("x")
    with pytest.raises(NotImplementedError, match="can't be saved"):
        BaseIndex().save("x")
    with pytest.raises(NotImplementedError, match="can't be loaded"):
        BaseIndex.load("x")
