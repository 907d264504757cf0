"""Arrays of fixed and ragged shape: zero-copy, nulls, slices, and pyarrow's registry."""

from __future__ import annotations

import pickle
import subprocess
import sys
from types import ModuleType

import numpy as np
import pyarrow as pa
import pytest

from enfold.data.features import (
    Array2D,
    Array3D,
    CastError,
    FeatureError,
    Features,
    List,
    cast_array,
    to_array,
)
from enfold.data.features.arraytypes import Array2DExtensionType, Array3DExtensionType

IMAGES = np.arange(5 * 3 * 4 * 2, dtype=np.uint8).reshape(5, 3, 4, 2)


def test_fixed_shapes_are_views() -> None:
    array = to_array(list(IMAGES), Array3D((3, 4, 2), "uint8"))
    rows = array.to_numpy()
    assert np.array_equal(rows, IMAGES) and rows.dtype == np.uint8
    assert np.shares_memory(rows, array[1:3].to_numpy())
    assert np.array_equal(array[1:3].to_numpy(), IMAGES[1:3])
    assert np.array_equal(np.asarray(array), IMAGES)
    assert np.asarray(array, dtype=np.float32).dtype == np.float32
    assert not rows.flags.writeable and array.to_numpy(writable=True).flags.writeable
    assert array.to_pylist() == IMAGES.tolist() and array[2:].to_pylist() == IMAGES[2:].tolist()


@pytest.mark.parametrize("shape", ["(2, 2)", "(None, 2)"])
@pytest.mark.parametrize("dtype", ["int32", "bool", "float16", "timestamp[s]", "string"])
def test_numpy_as_the_real_library(oracle: ModuleType, shape: str, dtype: str) -> None:
    value = {"timestamp[s]": 0, "string": "x", "bool": True}.get(dtype, 3)
    rows = [[[value] * 2] * 2, [[value] * 2] * 2]
    arrow = to_array(rows, Array2D(eval(shape), dtype))
    theirs = oracle.Array2D(eval(shape), dtype)().wrap_array(arrow.storage)
    assert str(arrow.type) == str(theirs.type)
    expected = theirs.to_numpy(zero_copy_only=False)
    assert np.array_equal(arrow.to_numpy(), expected)
    assert arrow.to_numpy().dtype == expected.dtype
    assert arrow.to_pylist() == arrow.storage.to_pylist()


def test_null_rows() -> None:
    array = to_array([[[1, 2]], None], Array2D((1, 2), "int32"))
    assert np.array_equal(array.to_numpy(), [[[1.0, 2.0]], [[np.nan, np.nan]]], equal_nan=True)
    assert array.to_pylist() == [[[1, 2]], None]
    words = to_array([[["a"]], None], Array2D((1, 1), "string")).to_numpy()
    assert words.tolist() == [[["a"]], [[None]]]
    inner = cast_array(pa.array([[[1, None]]]), Array2D((1, 2), "int64"))
    assert inner.to_pylist() == [[[1, None]]] and np.isnan(inner.to_numpy()[0, 0, 1])


def test_ragged_rows() -> None:
    array = to_array([[[1, 2]], [], None, [[3, 4], [5, 6]]], Array2D((None, 2), "int8"))
    rows = array.to_numpy()
    assert rows.dtype == object and [getattr(row, "shape", None) for row in rows] == [
        (1, 2), (0, 2), None, (2, 2)]
    assert np.isnan(rows[2]) and array[3:].to_numpy().tolist() == [[[3, 4], [5, 6]]]
    assert array[:2].to_pylist() == [[[1, 2]], []]
    assert array[:0].to_numpy().shape == (0, 0, 2)


def test_a_type_by_its_own_name() -> None:
    arrow = Array2DExtensionType((None, 2), "int8")
    assert arrow.extension_name == "datasets.features.features.Array2DExtensionType"
    assert pickle.loads(pickle.dumps(arrow)) == arrow == Array2D((None, 2), "int8")()
    assert hash(arrow) == hash(Array2D((None, 2), "int8")())
    assert arrow != Array2DExtensionType((1, 2), "int8")
    assert pa.list_(arrow) != pa.list_(Array2DExtensionType((1, 2), "int8"))
    with pytest.raises(CastError, match="row 0 has not the shape"):
        cast_array(to_array([[[1, 2]]], Array2D((None, 2), "int8")), Array2D((2, 2), "int8"))
    with pytest.raises(FeatureError, match=r"got shape=\(1, 2\). Expected 3 dimensions"):
        Array3DExtensionType((1, 2), "int8")


@pytest.mark.parametrize(("rows", "row"), [
    ([[[1, 2]], [[1, 2], [3, 4]]], 1), ([None, [[1, 2]], [[1, 2, 3]]], 2), ([[None]], 0),
    ([[[1, 2]], []], 1)])
def test_another_shape_raises(rows: list[list[list[int]]], row: int) -> None:
    with pytest.raises(CastError, match=rf"column 'm': row {row} has not the shape \(1, 2\): "):
        to_array(rows, Array2D((1, 2), "int32"), column="m")


def test_another_shape_of_ragged_rows_raises() -> None:
    with pytest.raises(CastError, match=r"row 2 has not the shape \(None, 2\): \[\[1, 2\], \[3\]"):
        to_array([[[1, 2], [1, 2]], None, [[1, 2], [3]]], Array2D((None, 2), "int32"))


def test_nested_arrays_survive_files_that_pyarrow_reads_alone() -> None:
    features = Features({"a": List(Array2D((1, 2), "int32")), "s": {"m": Array2D((1, 1), "bool")}})
    table = pa.Table.from_arrays(
        [to_array([[[[1, 2]], None]], features["a"]), to_array([{"m": [[True]]}], features["s"])],
        schema=features.arrow_schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    read = pa.ipc.open_file(sink.getvalue()).read_all()
    assert Features.from_arrow_schema(read.schema.remove_metadata()) == features
    cast = cast_array(read["a"], features["a"])
    assert cast.type == features.arrow_schema.field("a").type
    assert cast.to_pylist() == [[[[1, 2]], None]]


def test_the_real_library_can_be_imported_after_ours() -> None:
    program = ("import enfold.data.features as f, datasets, pyarrow as pa\n"
               "a = f.to_array([[[1, 2]]], f.Array2D((1, 2), 'int8'))\n"
               "t = pa.table({'a': a})\n"
               "assert f.Features.from_arrow_schema(t.schema) == "
               "{'a': f.Array2D((1, 2), 'int8')}\n"
               "theirs = datasets.Array2D((1, 2), 'int8')\n"
               "s = pa.schema({'a': theirs()})\n"
               "assert f.Features.from_arrow_schema(s) == {'a': f.Array2D((1, 2), 'int8')}\n"
               "foreign = theirs().wrap_array(a.storage)\n"
               "assert f.cast_array(foreign, f.Array2D((1, 2), 'int8')) == a")
    pytest.importorskip("datasets")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
