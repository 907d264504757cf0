"""HDF5: the features and rows of `datasets`, and files that refer to others refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enfold.data.features import Array2D, Features, List, Value
from enfold.data.sources import read
from enfold.errors import DataFileError

from .conftest import loaded, rows_of

h5py = pytest.importorskip("h5py", reason="h5py is not installed (pip install 'enfold[hdf5]')")

N = 5
POINT = np.dtype([("x", "i4"), ("y", [("re", "f8"), ("z", "c8", (2, 3))])])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with a dataset of every kind."""
    path, draw = tmp_path / "a.h5", np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for kind in ["int8", "uint64", "float16", "float64", "bool", "complex64", "complex128"]:
            file.create_dataset(kind, data=draw.integers(0, 2, N).astype(kind))
        for ndim in range(1, 6):
            shape = (N, 2, 3, 1, 2, 2)[:ndim + 1]
            file.create_dataset(f"array{ndim}", data=draw.normal(size=shape).astype("float32"))
        file.create_dataset("bytes", data=np.array([b"row_%d" % i for i in range(N)], "S10"))
        file.create_dataset("text", data=["a", "é", "", "x" * 50, "z"], dtype=h5py.string_dtype())
        lists = file.create_dataset("lists", (N,), h5py.vlen_dtype("int16"))
        for row in range(N):
            lists[row] = range(row)
        file.create_dataset("points", data=np.ones(N, POINT))
        file.create_dataset("nothing", data=np.zeros((N, 0, 2), "int32"))
        group = file.create_group("group/inner")
        group.create_dataset("a", data=np.arange(N))
        file.create_group("empty")
        group["loop"] = h5py.SoftLink("/group")
    return path


def test_reads_what_datasets_reads(path: Path, oracle: Any) -> None:
    with h5py.File(path, "a") as file:
        del file["group/inner/loop"]  # which it follows for ever
    schema, rows = loaded("hdf5", path)
    expected, wanted = oracle("hdf5", path)
    assert str(schema) == str(expected)  # the types of arrays are each library's own
    assert rows == wanted


def test_batches_resume_anywhere(path: Path) -> None:
    rows = rows_of(read("hdf5", path))
    assert [row["int8"] for row in rows_of(read("hdf5", path, batch_size=2))] == [
        row["int8"] for row in rows]
    source = read("hdf5", path, batch_size=2)
    assert [batch.num_rows for batch in source.batches()] == [2, 2, 1]
    assert [row for batch in source.batches(0, 3) for row in batch.to_pylist()] == rows[3:]
    assert rows_of(read("hdf5", path, columns=["text", "int8"]))[1] == {
        "text": "é", "int8": rows[1]["int8"]}


def test_features_choose_columns_inside_of_groups_too(path: Path) -> None:
    features = Features({"array2": Array2D((2, 3), "float64"), "lists": List(Value("int64")),
                         "points": {"x": Value("string")}})
    rows = rows_of(read("hdf5", path, features=features))
    assert [row["points"] for row in rows] == [{"x": "1"}] * N
    assert [row["lists"] for row in rows] == [list(range(i)) for i in range(N)]
    with pytest.raises(DataFileError, match=r"lacks the columns \['d'\] of features="):
        rows_of(read("hdf5", path, features=Features({"int8": Value("int8"), "d": Value("int8")})))
    with pytest.raises(DataFileError, match=r"a.h5: can't be read: has none of the columns "
                                            r"\['d'\]. It has \['array1', "):
        rows_of(read("hdf5", path, features=Features({"d": Value("int8")})))


def test_archives(path: Path) -> None:
    import zipfile
    with zipfile.ZipFile(path.with_suffix(".zip"), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(path, "inner.h5")
    assert rows_of(read("hdf5", path.with_suffix(".zip"))) == rows_of(read("hdf5", path))


def test_warnings(path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with h5py.File(tmp_path / "empty.h5", "w") as file:
        file.create_group("a/b")
    assert len(rows_of(read("hdf5", [tmp_path / "empty.h5", path]))) == N
    assert f"{tmp_path / 'empty.h5'} contains no data, skipping it" in caplog.messages
    assert (f"{path}: the dataset 'nothing' of shape (5, 0, 2) has a dimension with size 0, so its "
            "rows become empty lists") in caplog.messages


def _longer(file: Any) -> None:
    file["b"] = np.arange(3)


def _scalar(file: Any) -> None:
    file["b"] = 3


def _deep(file: Any) -> None:
    file["b"] = np.zeros((N, 1, 1, 1, 1, 1, 1))


def _opaque(file: Any) -> None:
    file["b"] = np.zeros(N, "V4")


def _linked(file: Any) -> None:
    file["b"] = h5py.ExternalLink("/etc/passwd", "/x")


def _external(file: Any) -> None:
    file.create_dataset("b", (N,), "u1", external=[("/etc/passwd", 0, N)])


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((N,), "u1")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", (N,))
    file.create_virtual_dataset("b", layout)


@pytest.mark.parametrize(("spoil", "message"), [
    (_longer, "the dataset 'b' has length 3 but expected 5, that of 'a'. Do: pass features= with "
     "datasets of one length"),
    (_scalar, "the dataset 'b' is one value and no column. Do: pass features= without it"),
    (_deep, "a dataset has rows of shape (1, 1, 1, 1, 1, 1). Expected up to 5 dimensions. Do: pass "
     "features= without it"),
    (_opaque, "a dataset holds |V4, which is no type of a column. Expected numbers, strings, "
     "compounds, or h5py.vlen_dtype() of these. Do: pass features= without it"),
    (_linked, "/: 'b' is a link to '/x' in another file, '/etc/passwd', which is not followed. Do: "
     "copy the data into this file"),
    (_external, "the dataset '/b' lies in other files ([('/etc/passwd', 0, 5)]), which are not "
     "opened. Do: copy the data into this file"),
    (_virtual, "the dataset '/b' lies in other files (virtual), which are not opened. Do: copy the "
     "data into this file")])
def test_what_is_refused(spoil: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["a"] = np.arange(N)
        spoil(file)
    with pytest.raises(DataFileError) as raised:
        rows_of(read("hdf5", path))
    assert str(raised.value) == f"{path}: can't be read: {message}"
    (tmp_path / "b.h5").write_bytes(b"no hdf5")
    with pytest.raises(DataFileError, match="b.h5: can't be read: "):
        rows_of(read("hdf5", tmp_path / "b.h5"))
