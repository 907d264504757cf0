"""Names, sums and slices of splits, their infos and files, as datasets has them."""

from __future__ import annotations

import copy
import inspect
import pickle

import datasets
import pytest

from enfold.data.splits import (
    NamedSplit,
    NamedSplitAll,
    ReadInstruction,
    Split,
    SplitDict,
    SplitGenerator,
    SplitInfo,
    SubSplitInfo,
    filenames_for_dataset_split,
    make_file_instructions,
    percent,
    snakecase_to_camelcase,
)
from enfold.data.splits.files import camelcase_to_snakecase
from enfold.errors import DataError

SIZES = {"train": [100], "test": [30, 41], "val.a": [7, 3]}


def infos(make, name="data"):
    return [make(split, num_examples=sum(rows), dataset_name=name,
                 shard_lengths=rows if len(rows) > 1 else None) for split, rows in SIZES.items()]


def test_named_splits_are_strings():
    assert Split.TRAIN == "train" and Split.TEST == "test" and Split("dev") == NamedSplit("dev")
    assert {Split.TRAIN: 1}["train"] == 1
    assert repr(Split.TRAIN) == repr(datasets.Split.TRAIN) == "NamedSplit('train')"
    assert isinstance(Split("all"), NamedSplitAll) and repr(Split.ALL) == "NamedSplitAll()"
    assert inspect.Parameter.empty != Split.TRAIN
    assert Split.TRAIN + "-00000" == "train-00000"


@pytest.mark.parametrize("name", ["a-b", "", "a b", "train[:10%]+-", "."])
def test_names_that_are_none(name):
    with pytest.raises(ValueError, match="Split name should match"):
        datasets.NamedSplit(name)
    with pytest.raises(DataError, match="Split name should match"):
        NamedSplit(name)


@pytest.mark.parametrize("value", [Split.TRAIN, Split.ALL, Split.TRAIN + Split.TEST])
def test_they_are_pickled_and_copied(value):
    for again in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value)):
        assert type(again) is type(value) and str(again) == str(value)


@pytest.mark.parametrize(("split", "spec"), [
    (Split.TRAIN + Split.TEST, "train+test"),
    (Split.TRAIN.subsplit(percent[:25]), "train[:25%]"),
    (Split.TRAIN.subsplit(percent[-20:]) + Split.TEST, "train[-20%:]+test"),
    ((Split.TRAIN + Split.TEST).subsplit(percent[10:50]), "train[10%:50%]+test[10%:50%]"),
])
def test_sums_and_slices(split, spec):
    assert split.spec() == str(split) == spec
    assert split.get_read_instruction({}).to_spec() == spec


def test_equal_and_weighted_parts():
    assert [part.spec() for part in Split.TRAIN.subsplit(3)] == [
        "train[0%:33%]", "train[33%:66%]", "train[66%:100%]"]
    assert [part.spec() for part in Split.TRAIN.subsplit(weighted=[2, 1, 1])] == [
        "train[0%:50%]", "train[50%:75%]", "train[75%:100%]"]
    assert Split.ALL.get_read_instruction({"a": 1, "b": 2}).to_spec() == "a+b"


@pytest.mark.parametrize(("make", "message"), [
    (lambda: Split.TRAIN + Split.TRAIN, "Overlap between splits"),
    (lambda: Split.TRAIN + Split.ALL, "Overlap between splits"),
    (lambda: Split.TRAIN.subsplit(percent[:2]).subsplit(percent[:2]), "already been sliced"),
    (lambda: Split.TRAIN.subsplit(), "several or none of k="),
    (lambda: Split.TRAIN.subsplit(k=101), "got k=101"),
    (lambda: Split.TRAIN.subsplit("a"), "subsplit: got 'a'"),
    (lambda: percent[3], r"percent\[3\]"),
])
def test_splits_that_are_none(make, message):
    with pytest.raises(DataError, match=message):
        make()


@pytest.mark.parametrize("instruction", [
    "train", "train[:10]", "test", "test[:30]", "test[29:32]", "test[31:]", "test[-1:]",
    "val.a[6:8]", "train[10%:20%]+test[:50%]", "test[71:]", "train[5:5]"])
@pytest.mark.parametrize("suffix", [None, "arrow"])
def test_file_instructions(instruction, suffix):
    from datasets.arrow_reader import make_file_instructions as theirs

    ours = make_file_instructions("myData", infos(SplitInfo), instruction, suffix, "/x")
    real = theirs("myData", infos(datasets.SplitInfo), instruction, suffix, "/x")
    assert ours.num_examples == real.num_examples
    assert ours.file_instructions == real.file_instructions


def test_file_instructions_need_a_name():
    with pytest.raises(TypeError, match="Expected str 'name', but got: NoneType"):
        make_file_instructions(None, [], "train")
    with pytest.raises(DataError, match="non-empty"):
        make_file_instructions("", [], "train")
    with pytest.raises(DataError, match="not a path: a/b"):
        filenames_for_dataset_split("", "a/b", "train")


@pytest.mark.parametrize("name", ["MyCSVData", "squad", "GPT2Data", "aBC", "a_b", "HTML"])
def test_cases_of_names(name):
    from datasets import naming

    assert camelcase_to_snakecase(name) == naming.camelcase_to_snakecase(name)
    assert snakecase_to_camelcase(name) == naming.snakecase_to_camelcase(name)


def test_split_dict():
    splits = SplitDict.from_split_dict([vars(info) for info in infos(SplitInfo)])
    assert splits.dataset_name == "data" and splits.total_num_examples == 181
    assert splits[Split.TRAIN].num_examples == 100
    part = splits["train[75%:]+test"]
    assert isinstance(part, SubSplitInfo) and part.num_examples == 96
    assert part.file_instructions[0] == {"filename": "data-train", "skip": 75, "take": 25}
    assert splits[ReadInstruction("train", to=3, unit="abs")].num_examples == 3
    assert pickle.loads(pickle.dumps(splits)).dataset_name == "data"
    assert splits.copy() == splits and splits.copy()["train"] is not splits["train"]


def test_split_dict_refuses():
    splits = SplitDict({"train": SplitInfo("train")})
    with pytest.raises(DataError, match="already present"):
        splits.add(SplitInfo("train"))
    with pytest.raises(DataError, match="key mismatch"):
        splits["test"] = SplitInfo("train")
    with pytest.raises(DataError, match='Unknown split "tset"'):
        splits["tset"]
    with pytest.raises(DataError, match="malformed or missing the name/num_examples/num_bytes"):
        SplitDict._from_yaml_list([{"name": "train"}])


def test_yaml_as_the_real_library():
    ours = SplitDict.from_split_dict(infos(SplitInfo))
    real = datasets.SplitDict.from_split_dict(infos(datasets.SplitInfo), "data")
    assert ours._to_yaml_list() == real._to_yaml_list()
    assert str(SplitDict._from_yaml_list(real._to_yaml_list())) == str(
        datasets.SplitDict._from_yaml_list(real._to_yaml_list()))


def test_split_generator():
    generator = SplitGenerator(Split.TRAIN, {"files": ["a"]})
    assert generator.name == "train" and type(generator.name) is str
    assert generator.split_info == SplitInfo("train")
    with pytest.raises(DataError, match="Split name should match"):
        SplitGenerator("my-split")
