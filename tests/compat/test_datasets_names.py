"""The inner names of datasets that `enfold.compat.datasets` gives."""

from __future__ import annotations

import io
import random
from importlib import import_module

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets.utils import py_utils as real

from enfold.compat.datasets.arrow_writer import ArrowWriter, ParquetWriter
from enfold.compat.datasets.filesystems import COMPRESSION_FILESYSTEMS, is_remote_filesystem
from enfold.compat.datasets.utils import experimental, py_utils
from enfold.data import logging
from enfold.data.features import Features, Value


@pytest.mark.parametrize("name", [
    "config", "filesystems", "streaming", "exceptions", "utils", "utils.file_utils",
    "utils.logging", "utils.metadata", "utils.version", "download.streaming_download_manager"])
def test_modules_have_names_of_the_real_ones(name):
    ours, theirs = (import_module(f"{package}.{name}")
                    for package in ("enfold.compat.datasets", "datasets"))
    for one in getattr(ours, "__all__", []):
        assert hasattr(theirs, one) or one in ("archive_files", "files_below")


def test_seeds_are_set_back():
    random.seed(1)
    np.random.seed(1)
    with py_utils.temp_seed(3):
        inside = random.random(), np.random.rand()
    after = random.random(), np.random.rand()
    with py_utils.temp_seed(3, set_pytorch=True):
        assert (random.random(), np.random.rand()) == inside
    random.seed(1)
    np.random.seed(1)
    assert (random.random(), np.random.rand()) == after
    with pytest.raises(NotImplementedError, match="TensorFlow"), \
            py_utils.temp_seed(3, set_tensorflow=True):
        pass


def test_small_functions():
    for text in ("cache-00001_of_00002.arrow", "cache.arrow"):
        pattern = "cache-{rank:05d}_of_{num_proc:05d}.arrow"
        assert py_utils.string_to_dict(text, pattern) == real.string_to_dict(text, pattern)
    assert py_utils.NestedDataStructure({"a": [1, {"b": 2}]}).flatten() == [1, 2]
    assert list(py_utils.unique_values([2, 1, 2])) == [2, 1]
    assert dict(py_utils.zip_dict({"a": 1}, {"a": 2})) == {"a": (1, 2)}
    holder = type("Holder", (), {"x": 1})
    with py_utils.temporary_assignment(holder, "x", 2):
        assert holder.x == 2
    assert holder.x == 1
    with pytest.warns(UserWarning, match="'f' is experimental"):
        assert f(3) == 3


@experimental
def f(x):
    return x


def test_verbosity():
    before = logging.get_verbosity()
    try:
        for name in ("debug", "info", "warning", "error"):
            getattr(logging, f"set_verbosity_{name}")()
            assert logging.get_verbosity() == getattr(logging, name.upper())
        logging.disable_propagation()
        assert not logging.get_logger().propagate
    finally:
        logging.enable_propagation()
        logging.set_verbosity(before)
    assert logging.get_logger("x").name == "x"


def test_filesystems():
    import fsspec

    assert {one.protocol for one in COMPRESSION_FILESYSTEMS} == {"bz2", "gzip", "lz4", "xz", "zstd"}
    assert not is_remote_filesystem(fsspec.filesystem("file"))
    assert is_remote_filesystem(fsspec.filesystem("memory"))


FEATURES = Features({"a": Value("int32"), "b": Value("string")})


@pytest.mark.parametrize("features", [None, FEATURES])
def test_arrow_writer(tmp_path, features):
    path = str(tmp_path / "a.arrow")
    with ArrowWriter(path=path, features=features, writer_batch_size=2) as writer:
        assert (writer.schema is None) is (features is None)
        writer.write({"a": 1, "b": "x"})
        writer.write_batch({"a": [2, 3], "b": ["y", "z"]})
        writer.write_table(pa.table({"a": pa.array([4], writer.schema.field("a").type),
                                     "b": ["w"]}))
        rows, size = writer.finalize()
    assert rows == 4 and size > 0
    table = datasets.Dataset.from_file(path)
    assert table.to_dict() == {"a": [1, 2, 3, 4], "b": ["x", "y", "z", "w"]}
    assert str(table.features["a"].dtype) == ("int64" if features is None else "int32")


def test_writers_to_streams(tmp_path):
    stream = io.BytesIO()
    with ArrowWriter(stream=stream, schema=FEATURES.arrow_schema) as writer:
        writer.write({"a": 1, "b": "x"})
        assert writer.finalize(close_stream=False)[0] == 1
    assert pa.ipc.open_stream(stream.getvalue()).read_all().to_pylist() == [{"a": 1, "b": "x"}]
    with ParquetWriter(path=str(tmp_path / "a.parquet"), features=FEATURES) as writer:
        writer.write_batch({"a": [1], "b": ["x"]})
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [{"a": 1, "b": "x"}]


def test_writers_that_are_none():
    with pytest.raises(ValueError, match="At least one of path and stream"):
        ArrowWriter()
    with pytest.raises(NotImplementedError, match="ArrowWriter: files are embedded in Parquet"):
        ArrowWriter(path="x", embed_local_files=True)
