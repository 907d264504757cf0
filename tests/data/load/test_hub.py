"""Repositories on the Hub: their card, splits, token, conversion to Parquet, and offline."""

from __future__ import annotations

import io
from typing import Any

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from enfold.data.load import (
    DatasetNotFoundError,
    get_dataset_config_names,
    get_dataset_default_config_name,
    get_dataset_split_names,
    load_dataset,
    load_dataset_builder,
)
from tests.data.load.conftest import COMMIT, CONVERTED, FakeHub

CSV = {"data/train-00000-of-00001.csv": "x,y\n1,a\n2,b\n",
       "data/test-00000-of-00001.csv": "x,y\n3,c\n"}


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def test_splits_by_file_names(fake_hub: FakeHub) -> None:
    fake_hub.add("me/Plain", CSV)
    found = load_dataset("me/Plain")
    assert list(found) == ["train", "test"]
    assert found["train"][:] == {"x": [1, 2], "y": ["a", "b"]}
    assert load_dataset("me/Plain", split="train[1:]+test")["x"] == [2, 3]
    builder = load_dataset_builder("me/Plain")
    assert builder.hash == COMMIT and builder.repo_id == "me/Plain"
    assert "me___plain" in builder.cache_dir


def test_configurations_of_the_card(fake_hub: FakeHub) -> None:
    card = """---
configs:
- config_name: one
  data_files:
  - {split: train, path: "data/train-*"}
  default: true
- config_name: two
  data_files: data/test*
---
"""
    fake_hub.add("me/carded", CSV | {"README.md": card})
    assert get_dataset_config_names("me/carded") == ["one", "two"]
    assert get_dataset_default_config_name("me/carded") == "one"
    assert get_dataset_split_names("me/carded", "one") == ["train"]
    assert load_dataset("me/carded")["train"]["x"] == [1, 2]
    assert load_dataset("me/carded", "two", split="train")["x"] == [3]
    with pytest.raises(ValueError, match=r"'three' not found.*one.*two"):
        load_dataset("me/carded", "three")


def test_private_ones_need_the_token(fake_hub: FakeHub) -> None:
    fake_hub.add("me/mine", CSV)
    fake_hub.private.add("me/mine")
    with pytest.raises(DatasetNotFoundError, match=r"me/mine.*cannot be accessed.*token"):
        load_dataset("me/mine")
    assert load_dataset("me/mine", split="train", token="secret")["x"] == [1, 2]
    stream = load_dataset("me/mine", split="train", token="secret", streaming=True)
    assert [row["x"] for row in stream] == [1, 2]


def test_what_is_not_there(fake_hub: FakeHub) -> None:
    fake_hub.add("me/there", CSV)
    with pytest.raises(DatasetNotFoundError, match=r"Revision 'v9' doesn't exist.*me/there"):
        load_dataset("me/there", revision="v9")
    with pytest.raises(DatasetNotFoundError, match=r"'cvs' doesn't exist.*nearest: 'csv'"):
        load_dataset("cvs", data_files="a.csv")
    with pytest.raises(FileNotFoundError):
        load_dataset("me/there", data_files="nothing.csv")


def test_scripts_are_read_from_the_conversion(fake_hub: FakeHub,
                                              caplog: pytest.LogCaptureFixture) -> None:
    fake_hub.add("me/old", {"old.py": "import this", "README.md": "# Old"})
    fake_hub.add("me/old", {"plain/train/0000.parquet": parquet(x=[1, 2]),
                            "plain/train/0001.parquet": parquet(x=[3]),
                            "raw/partial-test/0000.parquet": parquet(z=["q"])}, CONVERTED)
    found = load_dataset("me/old", "plain", trust_remote_code=True)
    assert found["train"]["x"] == [1, 2, 3]
    assert "trust_remote_code has no effect" in caplog.text and "old.py" in caplog.text
    assert load_dataset("me/old", "raw", split="test")["z"] == ["q"]
    assert "converted only the first part" in caplog.text and "raw/partial-test" in caplog.text


def test_scripts_without_a_conversion(fake_hub: FakeHub) -> None:
    fake_hub.add("me/older", {"older.py": "import this"})
    with pytest.raises(RuntimeError, match=r"no longer supported.*older.py.*no conversion"):
        load_dataset("me/older")


@pytest.mark.parametrize("how", ["variable", "sockets"])
def test_offline_from_the_cache(fake_hub: FakeHub, how: str, monkeypatch: pytest.MonkeyPatch,
                                request: pytest.FixtureRequest,
                                caplog: pytest.LogCaptureFixture) -> None:
    fake_hub.add("me/Kept", CSV)
    load_dataset("me/Kept")
    if how == "variable":
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    else:
        request.getfixturevalue("no_sockets")
    found = load_dataset("me/Kept", split="test")
    assert found["x"] == [3]
    assert "Using the latest cached version" in caplog.text
    with pytest.raises(ConnectionError, match="me/never"):
        load_dataset("me/never")


def test_requests(fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch,
                  caplog: pytest.LogCaptureFixture) -> None:
    fake_hub.add("me/asked", CSV | {"README.md": "---\nconfigs:\n- config_name: default\n---\n"})
    first = load_dataset("me/asked")

    def asked(**options: Any) -> list[str]:
        huggingface_hub.HfFileSystem.clear_instance_cache()
        fake_hub.requests.clear()
        assert load_dataset("me/asked", **options)["test"].to_list() == first["test"].to_list()
        return [one for one in fake_hub.requests if "/api/agent" not in one]

    assert asked() == ["GET /api/datasets/me/asked"]
    assert asked(revision=COMMIT) == []
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert asked(revision=COMMIT) == []
    assert "Using the latest cached version" not in caplog.text
