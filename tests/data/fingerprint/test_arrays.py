"""Arrays, tensors and tables: by content, whatever their layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch

from enfold.data.fingerprint import digest

GRID = np.arange(24, dtype="i4").reshape(4, 6)
FRAME = pd.DataFrame({"a": [1, 2, 3], "b": ["x", None, "z"], "c": [1.5, None, 2.0]})
TABLE = pa.table({
    "i": [1, None, 3, 4], "s": ["a", None, "", "déf"], "b": [True, None, False, True],
    "l": [[1, 2], None, [], [3]], "d": pa.array(["u", "v", None, "u"]).dictionary_encode(),
    "t": [{"x": 1, "y": ["p"]}, None, {"x": None, "y": []}, {"x": 2, "y": None}],
    "f": pa.array([[1.0, 2.0], None, [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32(), 2)),
    "v": pa.array(["a", None, "b", "a string too long to be inlined"], pa.string_view()),
    "m": pa.array([[("k", 1)], None, [], [("z", 2)]], pa.map_(pa.string(), pa.int8())),
    "x": pa.array([b"ab", None, b"cd", b"ef"], pa.binary(2)), "n": pa.nulls(4),
    "w": pa.array([1, None, 2, 3], pa.decimal128(9, 2)),
})
STRIDED = np.asfortranarray(GRID)
EQUAL = [
    (GRID, STRIDED), (GRID, np.repeat(GRID, 2, axis=1)[:, ::2]),
    (GRID[1:3, 2:], GRID[1:3, 2:].copy()), (GRID[::-1], GRID[::-1].copy()),
    (np.broadcast_to(np.float32(1), (3, 4)), np.ones((3, 4), "f4")),
    (np.array(["a", None], object), np.array(["a", None], object)),
    (np.array(["2020", "2021"], "M8[D]")[::-1], np.array(["2021", "2020"], "M8[D]")),
    (np.zeros(4, [("a", "i4"), ("b", "f8")])[::2], np.zeros(2, [("a", "i4"), ("b", "f8")])),
    (np.arange(100_000)[::2], np.arange(0, 100_000, 2)),
    (torch.arange(6).reshape(2, 3).T, torch.tensor([[0, 3], [1, 4], [2, 5]])),
    (torch.ones(1, dtype=torch.bfloat16).expand(4), torch.ones(4, dtype=torch.bfloat16)),
    (torch.tensor([1 + 2j]).conj(), torch.tensor([1 - 2j])),
    (FRAME, FRAME.copy()), (FRAME.iloc[1:], FRAME.iloc[1:].copy()),
    (FRAME.assign(z=1)[["a", "b", "c"]], FRAME), (FRAME["b"], FRAME.copy()["b"]),
    (pl.DataFrame({"a": [1, 2], "b": ["x", None]}),
     pl.concat([pl.DataFrame({"a": [1], "b": ["x"]}), pl.DataFrame({"a": [2], "b": [None]},
                                                                  schema_overrides={"b": pl.Utf8})],
               rechunk=False)),
    (TABLE, pa.concat_tables([TABLE[:1], TABLE[1:3], TABLE[3:]])),
    (TABLE.drop(["v"])[1:3], TABLE.drop(["v"]).take([1, 2])),
    (pa.concat_tables([TABLE, TABLE])[4:], TABLE), (TABLE.to_batches()[0], TABLE.to_batches()[0]),
    (pa.array([1, 2]).cast("int32"), pa.array([1, 2], "int32")),
    (pa.array(range(200_000)), pa.chunked_array([range(5), range(5, 200_000)])),
]


@pytest.mark.parametrize(("one", "two"), EQUAL)
def test_layout_does_not_count(one: Any, two: Any) -> None:
    assert digest(one) == digest(two)


def test_bytes_under_nulls_do_not_count() -> None:
    valid = pa.py_buffer(b"\x05")
    one, two = (pa.Array.from_buffers(pa.int8(), 3, [valid, pa.py_buffer(bytes(data))])
                for data in ([1, 7, 3], [1, 9, 3]))
    assert digest(one) == digest(two) == digest(pa.array([1, None, 3], pa.int8()))


DIFFERENT = [
    GRID, GRID.T, GRID.astype("i8"), GRID.reshape(6, 4), GRID + 1, GRID.astype(">i4"),
    GRID.tolist(), np.zeros(0), np.zeros((0, 3)), np.zeros((3, 0)),
    np.float32(0), np.float64(0), np.zeros(()),
    np.array([1, "a"], object), np.array(["1", "a"]), np.ma.masked_array([1, 2], [0, 1]),
    np.ma.masked_array([1, 2], [1, 0]), np.array([[1]]), np.bool_(0),
    np.dtype("i4"), np.dtype("i8"), np.int32,
    torch.zeros(2), torch.zeros(2, dtype=torch.float16), torch.zeros(2, dtype=torch.bfloat16),
    torch.nn.Parameter(torch.zeros(2)), torch.zeros(2, device="meta"), torch.zeros(1, 2),
    torch.eye(2).to_sparse(), torch.ones(2, 2).to_sparse(), torch.float32, torch.device("cpu"),
    torch.nn.Linear(2, 2), torch.nn.Linear(2, 2), torch.nn.Dropout(0.1), torch.nn.Dropout(0.2),
    torch.nn.Dropout(0.2).eval(), torch.zeros(0), torch.tensor(0), torch.tensor(False),
    FRAME, FRAME.assign(a=[1, 2, 4]), FRAME.rename(columns={"a": "d"}), FRAME[["b", "a", "c"]],
    FRAME.set_index("a"), FRAME.assign(a=FRAME["a"].astype("Int64")), FRAME["a"], FRAME["c"],
    FRAME.assign(b=FRAME["b"].astype("category")), FRAME.assign(b=FRAME["b"].astype(object)),
    FRAME.index, pd.Index(["a"]), pd.NA, pd.NaT, pd.Timestamp("2020"),
    pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2]}), pl.DataFrame({"b": [1]}), pl.Series([1]),
    pl.Series("a", [1]), pl.col("a") + 1, pl.col("a") + 2, pl.Int64,
    TABLE, TABLE[:3], TABLE.drop(["i"]), TABLE.rename_columns([*"ABCDEFGHIJKL"]),
    TABLE.replace_schema_metadata({"a": "b"}), TABLE.schema, TABLE["i"], TABLE["l"], TABLE["s"],
    pa.array([[1], [2, 3]]), pa.array([[1, 2], [3]]), pa.array(["a", "bc"]), pa.array(["ab", "c"]),
    pa.array(["ab", "c"], "large_string"), pa.array([b"ab", b"c"]), pa.array([None, 1]),
    pa.array([1, None]), pa.array([0, 1]), pa.scalar(1), pa.scalar(2), pa.int64(), pa.int32(),
    pa.field("a", "int8"), pa.field("a", "int8", False), pa.field("a", "int8", metadata={"k": "v"}),
    *[TABLE.set_column(i, TABLE.column_names[i], TABLE[i].take([1, 0, 2, 3]))
      for i, name in enumerate(TABLE.column_names) if name not in "vn"],
    pa.UnionArray.from_sparse(pa.array([0, 1], "int8"), [pa.array([1, 2]), pa.array(["a", "b"])]),
]


def test_content_counts() -> None:
    digests = [digest(thing) for thing in DIFFERENT]
    same = [(i, j) for i, one in enumerate(digests) for j in range(i) if one == digests[j]]
    assert same == []


def test_what_is_left_by_training_counts_and_gradients_do_not() -> None:
    model = torch.nn.Linear(2, 1)
    before = digest(model)
    model(torch.ones(1, 2)).sum().backward()
    assert digest(model) == before
    with torch.no_grad():
        model.bias += 1
    assert digest(model) != before


def test_an_extension_type_counts_by_its_parameters() -> None:
    one, two = (pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.int8(), shape),
                                               pa.array([[1, 2, 3, 4]], pa.list_(pa.int8(), 4)))
                for shape in ((2, 2), (4, 1)))
    assert len({digest(one), digest(two), digest(one.type), digest(one.storage)}) == 4
