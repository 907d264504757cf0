"""Rows handed over to Ray Data and Dask, where these are installed."""

from __future__ import annotations

import pytest

from enfold.data import ClassLabel, Dataset, Features, Value, load_from_disk


@pytest.fixture
def rows() -> Dataset:
    features = Features({"n": Value("int64"), "label": ClassLabel(names=["a", "b"])})
    return Dataset.from_dict({"n": list(range(10)), "label": [0, 1] * 5}, features=features)


def test_ray_dataset(rows, cluster) -> None:
    data = pytest.importorskip("ray.data")
    found = rows.shuffle(seed=2).to_ray()
    assert isinstance(found, data.Dataset)
    assert found.take_all() == rows.shuffle(seed=2).to_list()


def test_dask_frame(rows, tmp_path) -> None:
    pytest.importorskip("dask.dataframe")
    frame = rows.shuffle(seed=2).to_dask(npartitions=3)
    assert frame.npartitions == 3
    assert frame.compute()["n"].tolist() == rows.shuffle(seed=2)["n"][:]
    rows.save_to_disk(tmp_path / "rows")
    frame = load_from_disk(tmp_path / "rows").to_dask()
    assert frame["n"].sum().compute(scheduler="processes", num_workers=1) == 45
    assert rows.select([]).to_dask().compute().columns.tolist() == ["n", "label"]
