"""Saved datasets go both ways between the real library and ours, for tables of every feature."""

from __future__ import annotations

import tempfile
from types import ModuleType
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from enfold.data import Dataset, DatasetDict, load_from_disk
from tests.data.features.conftest import Both
from tests.data.features.strategies import SCALARS, tables
from tests.data.features.test_roundtrip import rows


def saved(dataset: Any, folder: str, num_shards: int) -> bool:
    """Whether the real library can save it: not the nulls of lists of lists of arrays."""
    try:
        dataset.save_to_disk(folder, num_shards=num_shards)
    except pa.ArrowNotImplementedError:
        return False
    return True


def check(oracle: ModuleType, both: Both, text: str, columns: dict[str, list[Any]],
          num_shards: int) -> None:
    assume("mode='RGB'" not in text)  # names a file that is not there, and files are put in
    theirs, ours = both(f"Features({text})")
    mine = Dataset.from_dict(columns, features=ours)
    expected = rows(mine.data)
    with tempfile.TemporaryDirectory() as folder:
        mine.save_to_disk(f"{folder}/mine", num_shards=num_shards)
        read = oracle.load_from_disk(f"{folder}/mine")
        assert read.features == theirs
        assert rows(read.data.table) == expected
        again = Dataset.load_from_disk(f"{folder}/mine")
        assert again.features == ours and rows(again.data) == expected
        if len(mine) and saved(read, f"{folder}/theirs", min(num_shards, len(mine))):
            back = Dataset.load_from_disk(f"{folder}/theirs")
            assert back.features == ours and rows(back.data) == expected
            assert back._fingerprint == read._fingerprint


@settings(max_examples=30, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(drawn=tables(), num_shards=st.integers(1, 2))
def test_tables(oracle: ModuleType, both: Both, drawn: tuple[str, dict[str, list[Any]]],
                num_shards: int) -> None:
    check(oracle, both, *drawn, num_shards)


@settings(max_examples=1, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
@pytest.mark.parametrize("text", sorted(text for text in SCALARS if "mode='RGB'" not in text))
def test_each_feature(oracle: ModuleType, both: Both, text: str, data: st.DataObject) -> None:
    value = data.draw(SCALARS[text])
    columns = {"c": [value, None], "l": [[value], None], "s": [{"x": value, "y": 1}, None]}
    check(oracle, both, f"{{'c': {text}, 'l': List({text}), "
                        f"'s': {{'x': {text}, 'y': Value('int8')}}}}", columns, 2)


def test_the_same_files(oracle: ModuleType, tmp_path: Any) -> None:
    columns = {"n": [1, 2, 3], "t": ["a", "b", None]}
    mine, theirs = Dataset.from_dict(columns), oracle.Dataset.from_dict(columns)
    for dataset, name in ((mine, "mine"), (theirs, "theirs")):
        dataset = dataset.with_format("numpy", columns=["n"], output_all_columns=True)
        dataset._fingerprint = "same"
        dataset.save_to_disk(tmp_path / name, num_shards=3)
    names = sorted(path.name for path in (tmp_path / "theirs").iterdir())
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == names
    for name in names:
        assert (tmp_path / "mine" / name).read_bytes() == (tmp_path / "theirs" / name).read_bytes()


def test_dicts(oracle: ModuleType, tmp_path: Any) -> None:
    columns = {"n": [1, 2, 3]}
    mine = DatasetDict({"train": Dataset.from_dict(columns), "test": Dataset.from_dict(columns)})
    mine.save_to_disk(tmp_path / "mine", num_shards={"train": 2, "test": 1})
    read = oracle.load_from_disk(str(tmp_path / "mine"))
    assert {split: part[:] for split, part in read.items()} == {"train": columns, "test": columns}
    read.save_to_disk(tmp_path / "theirs")
    back = load_from_disk(tmp_path / "theirs")
    assert isinstance(back, DatasetDict)
    assert {split: part[:] for split, part in back.items()} == {"train": columns, "test": columns}
