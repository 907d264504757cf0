"""What is known of a dataset, written and read by us and by the real library."""

from __future__ import annotations

import json

import datasets
import pytest
from datasets.utils.py_utils import asdict as real_asdict

from enfold.data.card import card_text, read_card, write_card
from enfold.data.dicts import asdict
from enfold.data.features import ClassLabel, Features, List, Value
from enfold.data.info import DatasetInfo, DatasetInfosDict, MetadataConfigs, SupervisedKeysData
from enfold.data.splits import SplitDict
from enfold.data.version import Version
from enfold.errors import DataError, DataFileError, FileMissing

FEATURES = Features({"text": Value("string"), "label": ClassLabel(names=["a", "b"]),
                     "words": List(Value("int32")), "s": {"x": Value("float64")}})
TOLD = {"description": "words", "citation": "c", "homepage": "h", "license": "mit",
        "features": FEATURES.to_dict(), "supervised_keys": {"input": "text", "output": "label"},
        "builder_name": "csv", "dataset_name": "d", "config_name": "small", "version": "1.2.3",
        "splits": {"train": {"name": "train", "num_bytes": 5, "num_examples": 2,
                             "shard_lengths": [1, 1], "dataset_name": "d"}},
        "download_checksums": {"u": {"num_bytes": 1, "checksum": None}}, "download_size": 1,
        "dataset_size": 5, "size_in_bytes": 6}


def test_dicts_as_the_real_library():
    assert asdict(DatasetInfo.from_dict(TOLD)) == real_asdict(datasets.DatasetInfo.from_dict(TOLD))
    assert asdict(DatasetInfo()) == real_asdict(datasets.DatasetInfo())
    with pytest.raises(TypeError, match="asdict: got a list"):
        asdict([1])


def test_fields_become_what_they_are():
    info = DatasetInfo.from_dict({**TOLD, "future": 1})
    assert info.features == FEATURES and info.version == Version("1.2.3")
    assert isinstance(info.splits, SplitDict) and info.splits["train"].shard_lengths == [1, 1]
    assert info.supervised_keys == SupervisedKeysData("text", "label")
    assert DatasetInfo(supervised_keys=("a", "b")).supervised_keys.output == "b"
    assert info.copy() == info and info.copy().splits is not info.splits
    assert repr(DatasetInfo(version="1.0.0")) == repr(datasets.DatasetInfo(version="1.0.0"))


@pytest.mark.parametrize("pretty", [False, True])
def test_files_are_read_by_both(tmp_path, pretty):
    info = DatasetInfo.from_dict(TOLD)
    info.write_to_directory(tmp_path, pretty_print=pretty)
    assert (tmp_path / "LICENSE").read_text() == "mit"
    real = datasets.DatasetInfo.from_directory(str(tmp_path))
    assert real_asdict(real) == asdict(info)
    real.write_to_directory(str(tmp_path))
    assert DatasetInfo.from_directory(str(tmp_path)) == info
    assert DatasetInfo.from_directory(f"file://{tmp_path}") == info


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileMissing, match="no dataset_info.json"):
        DatasetInfo.from_directory(tmp_path)
    with pytest.raises(DataError, match="undefined dataset_info_dir"):
        DatasetInfo.from_directory("")
    (tmp_path / "dataset_info.json").write_text("{")
    with pytest.raises(DataFileError, match="is not JSON"):
        DatasetInfo.from_directory(tmp_path)
    (tmp_path / "dataset_info.json").write_text("[]")
    with pytest.raises(DataFileError, match="holds a list"):
        DatasetInfo.from_directory(tmp_path)


def test_update_and_merge():
    info = DatasetInfo(description="a", download_size=1)
    info.update(DatasetInfo(description="b"))
    assert info.description == "b" and info.download_size == 1
    info.update(DatasetInfo(), ignore_none=False)
    assert info.download_size is None
    both = DatasetInfo.from_merge([DatasetInfo(description="a", license="x"), None,
                                   DatasetInfo(description="b", license="x")])
    assert both.description == "a\n\nb" and both.license == "x" and both.features is None
    assert DatasetInfo.from_merge([None]) == DatasetInfo()


def test_cards_are_read_by_both(tmp_path):
    (tmp_path / "README.md").write_text("---\nlanguage: [en]\n---\n# Title\n\ntext\n")
    for name in ("one", "two"):
        told = DatasetInfosDict({name: DatasetInfo.from_dict({**TOLD, "config_name": name})})
        told.write_to_directory(tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert text.endswith("---\n# Title\n\ntext\n") and text.startswith("---\nlanguage:")
    ours = DatasetInfosDict.from_directory(tmp_path)
    real = datasets.info.DatasetInfosDict.from_directory(str(tmp_path))
    assert list(ours) == list(real) == ["one", "two"]
    assert all(asdict(ours[name]) == real_asdict(real[name]) for name in ours)


@pytest.mark.parametrize("names", [["default"], ["other"], ["a", "b"]])
def test_card_data_as_the_real_library(names):
    card, theirs = {"pretty_name": "x"}, {"pretty_name": "x"}
    DatasetInfosDict({name: DatasetInfo.from_dict(TOLD) for name in names}
                     ).to_dataset_card_data(card)
    datasets.info.DatasetInfosDict({name: datasets.DatasetInfo.from_dict(TOLD) for name in names}
                                   ).to_dataset_card_data(theirs)
    assert json.dumps(card) == json.dumps(theirs)


def test_splits_of_a_card_that_are_broken_are_left_out(caplog):
    found = DatasetInfosDict.from_dataset_card_data(
        {"dataset_info": {"dataset_size": 3, "splits": [{"name": "train"}]}})
    assert found["default"].dataset_size == 3 and found["default"].splits is None
    assert "Ignoring part of dataset_info" in caplog.text


def test_old_dataset_infos_are_kept_up(tmp_path):
    (tmp_path / "dataset_infos.json").write_text(json.dumps({"a": TOLD}))
    assert DatasetInfosDict.from_directory(tmp_path)["a"].version == "1.2.3"
    DatasetInfosDict({"b": DatasetInfo(dataset_size=4)}).write_to_directory(tmp_path)
    assert json.loads((tmp_path / "dataset_infos.json").read_text())["b"]["dataset_size"] == 4
    assert set(DatasetInfosDict.from_directory(tmp_path)) == {"a", "b"}
    DatasetInfosDict({"b": DatasetInfo()}).write_to_directory(tmp_path, overwrite=True)
    assert DatasetInfosDict().from_directory(tmp_path / "none") == {}


CONFIGS = [{"config_name": "b", "data_files": [{"split": "train", "path": ["x/*", "y"]}]},
           {"config_name": "a", "data_dir": "d", "default": True, "sep": ";",
            "features": FEATURES.to_yaml_list()}]


def test_configurations_as_the_real_library():
    from datasets.utils.metadata import MetadataConfigs as Real

    ours = MetadataConfigs.from_dataset_card_data({"configs": CONFIGS})
    real = Real.from_dataset_card_data({"configs": CONFIGS})
    assert ours["a"].pop("features") == FEATURES
    real["a"].pop("features")
    assert dict(ours) == dict(real)
    assert ours.get_default_config_name() == real.get_default_config_name() == "a"
    card, theirs = {"configs": [{"config_name": "z"}]}, {"configs": [{"config_name": "z"}]}
    ours.to_dataset_card_data(card)
    real.to_dataset_card_data(theirs)
    assert card == theirs


@pytest.mark.parametrize("files", [{"train": "x"}, [{"split": "a-b", "path": "x"}], [3]])
def test_configurations_that_are_none(files):
    with pytest.raises(DataFileError, match="`data_files` is"):
        MetadataConfigs.from_dataset_card_data(
            {"configs": [{"config_name": "a", "data_files": files}]})
    with pytest.raises(DataError, match="several default configs"):
        MetadataConfigs({"default": {}, "b": {"default": True}}).get_default_config_name()


def test_a_card_keeps_its_text(tmp_path):
    assert read_card(tmp_path) is None
    write_card(tmp_path, {"a": "ü"})
    assert read_card(tmp_path) == {"a": "ü"}
    assert card_text({"b": 1}, "---\na: 2\n---\nhello\n") == "---\nb: 1\n---\nhello\n"
    assert card_text({"b": 1}, "no head\n") == "---\nb: 1\n---\nno head\n"


def test_versions():
    version = Version("1.10.2", description="new")
    assert version == "1.10.2" and version > Version("1.9.0") and version < "2.0.0"
    assert version.tuple == (1, 10, 2) and repr(version) == "1.10.2"
    assert hash(version) == hash("1.10.2") and version != "a" and version != 3
    assert asdict(version) == real_asdict(datasets.Version("1.10.2", description="new"))
    assert Version.from_dict(asdict(version)) == version
    with pytest.raises(DataError, match="Invalid version '1.0'"):
        Version("1.0")
    with pytest.raises(TypeError, match="cannot be compared"):
        assert version < 3
