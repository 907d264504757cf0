"""CSV, JSON and Parquet files have the bytes that `datasets` writes, for tables of all features."""

from __future__ import annotations

import io
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from enfold.data import Dataset
from tests.data.features.conftest import Both
from tests.data.features.strategies import SCALARS, tables

_REFUSED = (TypeError, ValueError, NotImplementedError, OverflowError, UnicodeDecodeError,
            AttributeError)


def check(oracle: ModuleType, both: Both, method: str, text: str,
          columns: dict[str, list[Any]]) -> None:
    assume("mode='RGB'" not in text)  # names a file that is not there
    theirs, ours = both(f"Features({text})")
    try:
        their_data = oracle.Dataset.from_dict(columns, features=theirs)
        expected = io.BytesIO()
        getattr(their_data, method)(expected)
    except _REFUSED:  # some values it can't take, some its formats can't hold
        return
    mine = Dataset.from_dict(columns, features=ours)
    found = io.BytesIO()
    getattr(mine, method)(found)
    assert found.getvalue() == expected.getvalue()


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[
    HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(drawn=tables())
@pytest.mark.parametrize("method", ["to_csv", "to_json", "to_parquet"])
def test_tables(oracle: ModuleType, both: Both, method: str,
                drawn: tuple[str, dict[str, list[Any]]]) -> None:
    check(oracle, both, method, *drawn)


@settings(max_examples=1, deadline=None, derandomize=True, suppress_health_check=[
    HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(data=st.data())
@pytest.mark.parametrize("text", sorted(text for text in SCALARS if "mode='RGB'" not in text))
@pytest.mark.parametrize("method", ["to_csv", "to_json", "to_parquet"])
def test_each_feature(oracle: ModuleType, both: Both, method: str, text: str,
                      data: st.DataObject) -> None:
    columns = {"c": [data.draw(SCALARS[text]), None]}
    check(oracle, both, method, f"{{'c': {text}}}", columns)


@pytest.mark.parametrize(("method", "options"), [
    ("to_csv", {}), ("to_csv", {"sep": "\t", "index": True}), ("to_csv", {"header": False}),
    ("to_csv", {"batch_size": 3}), ("to_json", {"batch_size": 3}),
    ("to_json", {"lines": False, "orient": "split"}), ("to_json", {"orient": "table"}),
    ("to_json", {"force_ascii": False, "date_format": "iso"}),
    ("to_parquet", {"batch_size": 3}), ("to_parquet", {"use_content_defined_chunking": False}),
    ("to_parquet", {"write_page_index": False, "version": "1.0"}),
])
@pytest.mark.parametrize("change", ["none", "shuffled", "empty"])
def test_options(oracle: ModuleType, method: str, options: dict[str, Any], change: str) -> None:
    columns = {"n": [1, None, 3, 4, 5, 6, 7], "f": [0.1, None, 2.0, 3e-9, 4.0, 5.0, 6.0],
               "t": ['a"b', None, "ü,x", "\n", "", " ", "None"], "b": [True, None] * 3 + [False],
               "s": [{"x": [1, 2], "y": None}, None] * 3 + [{"x": [], "y": "z"}]}
    made = []
    for kind in (oracle.Dataset, Dataset):
        dataset = kind.from_dict(columns)
        if change == "shuffled":
            dataset = dataset.shuffle(seed=3).select([4, 2, 2, 0, 6])
        if change == "empty":
            dataset = dataset.select([])
        file = io.BytesIO()
        getattr(dataset, method)(file, **options)
        made.append(file.getvalue())
    assert made[1] == made[0]
