"""push_to_hub, to a Hub in memory; cards compared with those of datasets."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest
import yaml

from enfold.data import ClassLabel, Dataset, DatasetDict, Features, Image, Value
from enfold.data.info import DatasetInfosDict
from enfold.errors import DataError, FileMissing


def _small(rows=10, split=None):
    return Dataset.from_dict({"n": list(range(rows)), "t": [f"text {n}" for n in range(rows)]},
                             split=split)


def _head(hub, **where):
    return yaml.safe_load(hub.files(**where)["README.md"].decode().split("---")[1])


def _rows(hub, prefix="data/", **where):
    files = hub.files(**where)
    tables = [pq.read_table(io.BytesIO(files[path])) for path in sorted(files)
              if path.startswith(prefix)]
    return [row for table in tables for row in table.to_pylist()]


def test_a_dataset_is_pushed_to_a_new_repository(hub):
    info = _small().push_to_hub("data", private=True, commit_description="why")
    assert set(hub.files()) == {"README.md", "data/train-00000-of-00001.parquet"}
    assert hub.private == {"user/data": True}
    assert info.commit_message == "Upload dataset" and info.commit_description == "why"
    head = _head(hub)
    assert head["configs"] == [{"config_name": "default", "data_files": [
        {"split": "train", "path": "data/train-*"}]}]
    assert head["dataset_info"]["splits"][0]["num_examples"] == 10
    assert head["dataset_info"]["download_size"] == len(
        hub.files()["data/train-00000-of-00001.parquet"])
    assert _rows(hub) == list(_small())


def test_card_and_shards_are_those_of_datasets(hub, monkeypatch):
    datasets = pytest.importorskip("datasets")
    from datasets import arrow_dataset
    from fsspec.implementations.dirfs import DirFileSystem
    from fsspec.implementations.memory import MemoryFileSystem

    mine = Dataset.from_dict({"n": [1, 2], "c": [0, 1]},
                             features=Features({"n": Value("int32"),
                                                "c": ClassLabel(names=["no", "yes"])}))
    mine.push_to_hub("user/data", config_name="small", set_default=True, split="test")
    theirs = datasets.Dataset.from_dict(
        {"n": [1, 2], "c": [0, 1]}, features=datasets.Features(
            {"n": datasets.Value("int32"), "c": datasets.ClassLabel(names=["no", "yes"])}))
    shard = io.BytesIO()
    theirs.to_parquet(shard, batch_size=max(1, 2 * 10 ** 8 // theirs._estimate_nbytes() // 2))
    assert hub.files()["small/test-00000-of-00001.parquet"] == shard.getvalue()
    card, _ = arrow_dataset._get_updated_dataset_card(
        fs=DirFileSystem("/new", fs=MemoryFileSystem(skip_instance_cache=True)),
        config_name="small", splits_info=[datasets.SplitInfo(
            "test", num_bytes=theirs._estimate_nbytes(), num_examples=2)],
        features=theirs.features, data_dir="small", set_default=True,
        uploaded_sizes=[len(shard.getvalue())], deleted_sizes=[0], remove_other_splits=False)
    assert hub.files()["README.md"].decode() == str(card)


def test_splits_are_added_and_replaced(hub):
    _small(split=None).push_to_hub("user/data", num_shards=2)
    _small(4).push_to_hub("user/data", split="test")
    assert [entry["split"] for entry in _head(hub)["configs"][0]["data_files"]] == ["train", "test"]
    _small(6).push_to_hub("user/data", split="train")
    files = hub.files()
    assert sorted(files) == ["README.md", "data/test-00000-of-00001.parquet",
                             "data/train-00000-of-00001.parquet"]
    info = DatasetInfosDict.from_dataset_card_data(_head(hub))["default"]
    assert {name: split.num_examples for name, split in info.splits.items()} == \
        {"test": 4, "train": 6}
    assert info.download_size == sum(len(text) for path, text in files.items()
                                     if path != "README.md")
    with pytest.raises(DataError, match="Features of the new split don't match"):
        Dataset.from_dict({"x": [1]}).push_to_hub("user/data", split="more")


def test_the_text_of_a_card_stays(hub):
    hub.repositories["user/data"] = {"main": {"README.md": (
        b"---\nlicense: mit\nlanguage:\n- en\n---\n# Words\n\nAbout --- them.\n")}}
    _small().push_to_hub("user/data")
    text = hub.files()["README.md"].decode()
    assert text.endswith("---\n# Words\n\nAbout --- them.\n")
    assert yaml.safe_load(text.split("---")[1])["license"] == "mit"


def test_a_dict_replaces_all_splits(hub):
    DatasetDict({"train": _small(), "test": _small(2)}).push_to_hub(
        "user/data", num_shards={"train": 3})
    assert len(hub.files()) == 5
    DatasetDict({"valid": _small(3)}).push_to_hub("user/data")
    assert sorted(hub.files()) == ["README.md", "data/valid-00000-of-00001.parquet"]
    assert [split["name"] for split in _head(hub)["dataset_info"]["splits"]] == ["valid"]


def test_configurations_side_by_side(hub):
    for name in ("en", "fr"):
        _small().push_to_hub("user/data", name, set_default=name == "fr", data_dir=f"lang/{name}")
    entries = {entry["config_name"]: entry for entry in _head(hub)["configs"]}
    assert entries["fr"]["default"] is True and "default" not in entries["en"]
    _small().push_to_hub("user/data", "en", set_default=True)
    entries = {entry["config_name"]: entry for entry in _head(hub)["configs"]}
    assert entries["en"]["default"] is True and "default" not in entries["fr"]
    with pytest.raises(DataError, match="'default' would be a second default configuration"):
        _small().push_to_hub("user/data")
    _small().push_to_hub("user/other")
    with pytest.raises(DataError, match="configuration named 'default'"):
        _small().push_to_hub("user/other", "de", set_default=True)


def test_what_is_there_is_not_uploaded_again(hub):
    data = _small()
    hub.break_after = 2
    with pytest.raises(ConnectionError):
        data.push_to_hub("user/data", num_shards=4)
    assert len(hub.uploads) == 2 and "README.md" not in hub.files()
    hub.break_after = None
    data.push_to_hub("user/data", num_shards=4)
    assert len(hub.uploads) == 4  # the first two were found by their content
    sent = list(hub.uploads)
    changed = data.map(lambda row: {"t": "new" if row["n"] == 9 else row["t"]})
    changed.push_to_hub("user/data", num_shards=4)
    assert hub.uploads[len(sent):] == ["data/train-00003-of-00004.parquet"]
    assert _rows(hub) == list(changed)


def test_many_shards_take_several_commits_of_one_pull_request(hub, monkeypatch):
    from enfold.data import config

    monkeypatch.setattr(config, "UPLOADS_MAX_NUMBER_PER_COMMIT", 2)
    hub.repositories["user/data"] = {"main": {}}
    _small().push_to_hub("user/data", num_shards=5, create_pr=True)
    assert [commit.create_pr for commit in hub.commits] == [True, False, False, False]
    (pull,) = [name for name in hub.repositories["user/data"] if name != "main"]
    assert len(hub.files(branch=pull)) == 6 and not hub.files()


def test_a_branch_and_commits_that_come_between(hub, monkeypatch):
    waits = []
    monkeypatch.setattr("time.sleep", waits.append)
    hub.conflicts = [412, 409]
    _small().push_to_hub("user/data", revision="dev")
    assert not hub.files() and len(hub.files(branch="dev")) == 2 and len(waits) == 2


def test_files_that_the_hub_takes_with_the_commit(hub):
    hub.regular = True
    _small().push_to_hub("user/data")
    assert _rows(hub) == list(_small())


def test_shards_are_written_by_another_process(hub):
    from enfold.data.fingerprint import dumps, loads
    from enfold.data.push.places import Repository
    from enfold.data.push.shards import RowParts, _Job

    parts = RowParts(_small(), None, 2, None)
    job = _Job(parts, Repository("user/data", None, False, "token"), "data", "train", True)
    shard = loads(dumps(job)).run(1, lambda rows: None)
    assert (shard.path, shard.rows) == ("data/train-00001-of-00002.parquet", 5)
    assert loads(dumps(shard)).addition.path_in_repo == shard.path


@pytest.mark.parametrize(("num_shards", "files"), [(None, 3), (2, 2), (5, 5)])
def test_streams(hub, num_shards, files):
    stream = _small().to_iterable_dataset(num_shards=3)
    stream.push_to_hub("user/data", num_shards=num_shards)
    assert len(hub.files()) == files + 1
    assert sorted(row["n"] for row in _rows(hub)) == list(range(10))
    assert _head(hub)["dataset_info"]["splits"][0]["num_examples"] == 10


def test_a_stream_by_size(hub):
    _small(1000).to_iterable_dataset().push_to_hub("user/data", max_shard_size=5000)
    assert len(hub.files()) > 4
    assert _rows(hub) == list(_small(1000))


@pytest.mark.parametrize("embed", [True, False])
def test_files_are_embedded(hub, tmp_path, embed):
    from PIL import Image as Pillow

    path = tmp_path / "red.png"
    Pillow.new("RGB", (2, 2), "red").save(path)
    data = Dataset.from_dict({"image": [str(path), None]}, features=Features({"image": Image()}))
    data.push_to_hub("user/data", embed_external_files=embed)
    value = _rows(hub)[0]["image"]
    assert value == ({"bytes": path.read_bytes(), "path": "red.png"} if embed else
                     {"bytes": None, "path": str(path)})


@pytest.mark.parametrize(("options", "message"), [
    ({"config_name": "data"}, "`config_name` cannot be 'data'"),
    ({"split": "not a name"}, "Split name should match"),
    ({"max_shard_size": "1MB", "num_shards": 2}, "either max_shard_size or num_shards"),
])
def test_refused(hub, options, message):
    with pytest.raises(DataError, match=message):
        _small().push_to_hub("user/data", **options)
    assert not hub.repositories


def test_refused_of_dicts(hub):
    two = DatasetDict({"train": _small(), "test": Dataset.from_dict({"x": [1]})})
    with pytest.raises(DataError, match="should have the same features"):
        two.push_to_hub("user/data")
    with pytest.raises(DataError, match="one `num_shards` per dataset"):
        two.push_to_hub("user/data", num_shards=3)


def test_offline(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileMissing, match="HF_HUB_OFFLINE.* forbids the network"):
        _small().push_to_hub("user/data")
