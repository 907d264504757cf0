"""`View`: which columns are shown, what is decoded when, custom transforms, errors."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from enfold.data.features import Features, Image, List, Value
from enfold.data.formatting import LazyBatch, LazyRow, View
from enfold.data.formatting.formatter import FormatError
from tests.data.formatting.cases import picture

FEATURES = Features({"a": Value("int64"), "b": Value("string"), "c": List(Value("float32"))})
TABLE = pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"],
                  "c": pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32()))})
PICTURES = Features({"image": Image(), "n": Value("int64")})
PICTURE_TABLE = pa.table({"image": pa.array([picture(4, 2), None], Image().pa_type),
                          "n": [1, 2]})


def test_only_the_columns_of_the_format() -> None:
    view = View(FEATURES, "numpy", columns=["c", "a"])
    assert list(view.row(TABLE.slice(0, 1))) == ["a", "c"]  # the order of the table
    assert [list(row) for row in view.rows(TABLE)] == [["a", "c"]] * 3
    assert list(view.batch(TABLE)) == ["a", "c"]
    assert view.column(TABLE, "b") == ["x", "y", "z"]
    assert isinstance(view.column(TABLE, "a"), np.ndarray)


def test_other_columns_in_python_types() -> None:
    view = View(FEATURES, "torch", columns=["a"], output_all_columns=True)
    batch, row, rows = view.batch(TABLE), view.row(TABLE.slice(1, 1)), view.rows(TABLE)
    for shown in (batch, row, rows[0], view.split(TABLE)[0]):
        assert list(shown) == ["a", "b", "c"]
    assert isinstance(batch["a"], torch.Tensor) and batch["c"] == TABLE["c"].to_pylist()
    assert rows[1] == row == {"a": torch.tensor(2), "b": "y", "c": [3.0, 4.0]}


def test_columns_without_output_all_of_a_frame() -> None:
    with pytest.raises(FormatError, match=r"output_all_columns=True adds columns to a dict.*Table"):
        View(FEATURES, "arrow", columns=["a"], output_all_columns=True).batch(TABLE)


def test_rows_own_their_memory() -> None:
    """A row that is kept or pickled does not carry the others with it, and may be changed."""
    for row in View(FEATURES, "torch").rows(TABLE):
        assert row["c"].untyped_storage().nbytes() == 2 * 4
        row["c"] += 1
    view = View(FEATURES, "numpy")
    for row in [view.row(TABLE.slice(0, 1)), *view.rows(TABLE)]:
        row["c"] += 1
        assert row["c"].base is None or row["c"].base.nbytes <= 2 * 4
    batch = view.batch(TABLE)
    batch["a"] += 1
    batch["c"] += 1
    assert TABLE["a"].to_pylist() == [1, 2, 3] and TABLE["c"][0].as_py() == [1.0, 2.0]


def test_transform_sees_batches_of_python_values() -> None:
    seen: list[Any] = []

    def double(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        seen.append(batch)
        return {"d": [2 * value for value in batch["a"]]}

    view = View(FEATURES, "custom", format_kwargs={"transform": double})
    assert view.row(TABLE.slice(2, 1)) == {"d": 6} and view.is_custom
    assert view.rows(TABLE) == [{"d": 2}, {"d": 4}, {"d": 6}]
    assert [len(batch["a"]) for batch in seen] == [1, 1, 1, 1]
    assert view.batch(TABLE) == {"d": [2, 4, 6]}
    assert view.split(TABLE) == [{"d": 2}, {"d": 4}, {"d": 6}]


def test_transform_errors() -> None:
    number = View(FEATURES, "custom", format_kwargs={"transform": lambda batch: 3})
    with pytest.raises(FormatError, match="a row can't be picked from .* 3. Expected a dict"):
        number.row(TABLE.slice(0, 1))
    renamed = View(FEATURES, "custom", format_kwargs={"transform": lambda batch: {"z": [1]}})
    with pytest.raises(FormatError, match="the column 'a' can't be picked .*{'z': .*}"):
        renamed.column(TABLE, "a")


def test_map_rows_decode_images_when_read() -> None:
    first, second = View(PICTURES).map_rows(PICTURE_TABLE)
    assert isinstance(first, LazyRow) and first.keys_to_format == {"image"}
    assert first["n"] == 1 and first.keys_to_format == {"image"}
    assert first["image"].size == (4, 2) and not first.keys_to_format
    assert second["image"] is None
    assert all(type(row) is dict for row in View(FEATURES).map_rows(TABLE))


def test_map_batch_decodes_columns_when_read() -> None:
    batch = View(PICTURES).map_batch(PICTURE_TABLE)
    assert isinstance(batch, LazyBatch) and batch.keys_to_format == {"image", "n"}
    assert batch["n"] == [1, 2] and batch.keys_to_format == {"image"}
    assert type(View(FEATURES, "torch").map_batch(TABLE)) is dict
    assert isinstance(View(FEATURES, "pandas").map_batch(TABLE), pd.DataFrame)


def test_tensors_of_dates_say_what_to_do() -> None:
    table = pa.table({"t": pa.array([0], pa.timestamp("s"))})
    with pytest.raises(FormatError, match="TorchFormatter has no tensor for .*datetime64"):
        View(None, "torch").batch(table)


def test_a_large_table_is_iterated_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"x": np.arange(5000)})
    view, sizes = View(None, "numpy"), []
    rows = view.rows
    monkeypatch.setattr(view, "rows", lambda part: sizes.append(part.num_rows) or rows(part))
    assert [int(row["x"]) for row in view.iterate(table)] == list(range(5000))
    assert sizes == [1000] * 5
    sizes.clear()
    numbers = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(6 << 19)), 1 << 19)
    wide = pa.table({"x": numbers})  # 4 MB in each row
    assert len(list(view.iterate(wide))) == 6 and sizes == [1] * 6


@pytest.mark.parametrize("batch", [True, False])
def test_lazy_dicts_behave_as_dicts(batch: bool) -> None:
    def fresh() -> Any:
        view = View(PICTURES)
        table = PICTURE_TABLE.slice(0, 1)
        return view.map_batch(table) if batch else view.map_rows(table)[0]

    lazy, one = fresh(), [1] if batch else 1
    assert list(lazy) == ["image", "n"] and len(lazy) == 2 and "n" in lazy
    copy = lazy.copy()
    copy["new"], copy["image"] = 5, None
    assert "new" not in lazy and type(copy) is type(lazy) and dict(copy)["image"] is None
    assert dict(lazy | {"n": 7})["n"] == 7 and lazy["n"] == one
    assert dict({"n": 7} | fresh())["n"] == one
    lazy |= {"image": None}
    del lazy["n"]
    assert dict(lazy) == {"image": None} and repr(lazy) == "{'image': None}"
    assert {**fresh()}["n"] == one
    assert dict(pickle.loads(pickle.dumps(fresh())))["n"] == one


def test_record_batches_are_taken_too() -> None:
    batch = TABLE.to_batches()[0]
    for name in (None, "numpy", "torch", "pandas"):
        assert repr(View(FEATURES, name).batch(batch)) == repr(View(FEATURES, name).batch(TABLE))
    assert View(FEATURES).rows(batch) == TABLE.to_pylist()
    assert View(FEATURES).row(batch.slice(1, 1)) == TABLE.to_pylist()[1]


def test_a_batch_knows_which_lists_were_touched() -> None:
    batch = View(FEATURES).map_batch(TABLE)
    assert batch["a"] == [1, 2, 3] and batch["b"] == ["x", "y", "z"] and not batch.untouched("c")
    assert batch.untouched("a") and batch.untouched("b")
    batch["a"][1] = 5
    batch["b"] = ["x", "y"]
    assert not batch.untouched("a") and not batch.untouched("b")
