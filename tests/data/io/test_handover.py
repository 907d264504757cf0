"""Datasets handed to TensorFlow, dask and Ray, where they are installed."""

from __future__ import annotations

import numpy as np
import pytest

from enfold.data import Array2D, Dataset, Features, Value


def _data():
    return Dataset.from_dict({"x": [[n, n + 1] for n in range(10)], "label": list(range(10)),
                              "t": [f"text {n}" for n in range(10)]})


@pytest.fixture
def tf(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return pytest.importorskip("tensorflow", reason="TensorFlow is not installed")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_for_tensorflow(tf, num_workers):
    stream = _data().to_tf_dataset(batch_size=4, columns="x", label_cols="label",
                                   num_workers=num_workers)
    batches = list(stream)
    assert [inputs.shape for inputs, _ in batches] == [(4, 2), (4, 2), (2, 2)]
    assert np.concatenate([labels.numpy() for _, labels in batches]).tolist() == list(range(10))
    assert stream.element_spec[0].dtype == tf.int64


def test_columns_rows_and_orders_for_tensorflow(tf):
    data = _data()
    (batch,) = data.to_tf_dataset(batch_size=10)
    assert set(batch) == {"x", "label", "t"} and batch["t"].numpy()[3] == b"text 3"
    rows = list(data.to_tf_dataset(columns=["x", "label"]))
    assert rows[2]["x"].numpy().tolist() == [2, 3] and rows[2]["label"].numpy() == 2
    stream = data.to_tf_dataset(batch_size=3, columns="label", shuffle=True, drop_remainder=True)
    seen = [batch.numpy().tolist() for batch in stream]
    assert [len(batch) for batch in seen] == [3, 3, 3]
    assert stream.element_spec.shape == (3,)


def test_collators_for_tensorflow(tf):
    def collate(rows, scale):
        return {"x": np.array([row["x"][0] * scale for row in rows], dtype=np.float64),
                "labels": np.array([row["label"] for row in rows])}

    stream = _data().to_tf_dataset(batch_size=5, columns="x", label_cols="label",
                                   collate_fn=collate, collate_fn_args={"scale": 2})
    inputs, labels = next(iter(stream))
    assert inputs.numpy().tolist() == [0, 2, 4, 6, 8] and inputs.dtype == tf.float32
    assert labels.numpy().tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("options", "message"), [
    ({"label_cols": "label"}, "Cannot specify label_cols without specifying columns"),
    ({"columns": ["x", "x"]}, "List of columns contains duplicates"),
    ({"columns": "y"}, "Column y not found in dataset! .*give \\['label'\\]"),
    ({"columns": "x", "num_workers": -1}, "num_workers must be >= 0")])
def test_refused_for_tensorflow(tf, options, message):
    with pytest.raises(ValueError, match=message):
        _data().to_tf_dataset(batch_size=2, **options)


def test_dask():
    pytest.importorskip("dask.dataframe", reason="dask is not installed")
    data = _data().shuffle(seed=1)
    frame = data.to_dask(npartitions=3)
    assert frame.npartitions == 3
    assert frame.compute(scheduler="sync")["label"].tolist() == data["label"][:]
    assert list(data.select([]).to_dask().columns) == ["x", "label", "t"]


def test_ray():
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    data = Dataset.from_dict({"n": list(range(10)), "a": [[[1, 2]]] * 10},
                             features=Features({"n": Value("int8"), "a": Array2D((1, 2), "int8")}))
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    try:
        assert sorted(row["n"] for row in data.to_ray().take_all()) == list(range(10))
    finally:
        ray.shutdown()
