"""Every method of `Dataset` on datasets of several kinds gives what `datasets` gives."""

from __future__ import annotations

import numpy as np
import pytest

import enfold.data as ours
from tests.data.dataset.worlds import STARTS, outcome, same, theirs

METHODS = {
    # rows
    "select list": lambda ds, lib: ds.select([5, 1, 1, 30]),
    "select range": lambda ds, lib: ds.select(range(3, 12)),
    "select stepped": lambda ds, lib: ds.select(range(30, 3, -4)),
    "select array": lambda ds, lib: ds.select(np.array([4, 2, 7])),
    "select iterator": lambda ds, lib: ds.select(iter([1, 2, 3])),
    "select outside": lambda ds, lib: ds.select([1000]),
    "select of select": lambda ds, lib: ds.select([9, 8, 7, 6]).select([2, 0]),
    "skip": lambda ds, lib: ds.skip(5),
    "skip all": lambda ds, lib: ds.skip(1000),
    "take": lambda ds, lib: ds.take(4),
    "take too many": lambda ds, lib: ds.take(1000),
    "repeat": lambda ds, lib: ds.repeat(3),
    "repeat 0": lambda ds, lib: ds.repeat(0),
    "repeat none": lambda ds, lib: ds.repeat(None),
    "shard": lambda ds, lib: ds.shard(4, 1),
    "shard strided": lambda ds, lib: ds.shard(4, 1, contiguous=False),
    "shard outside": lambda ds, lib: ds.shard(2, 2),
    "shuffle": lambda ds, lib: ds.shuffle(seed=42),
    "shuffle generator": lambda ds, lib: ds.shuffle(generator=np.random.default_rng(5)),
    "shuffle numpy's state": lambda ds, lib: ds.shuffle(),
    "shuffle both": lambda ds, lib: ds.shuffle(seed=1, generator=np.random.default_rng(5)),
    "sort": lambda ds, lib: ds.sort("text"),
    "sort down": lambda ds, lib: ds.sort("n", reverse=True),
    "sort two": lambda ds, lib: ds.sort(["label", "n"], reverse=[True, False]),
    "sort nulls": lambda ds, lib: ds.sort("maybe", null_placement="at_start"),
    "sort unknown": lambda ds, lib: ds.sort("nothing"),
    "sort placement": lambda ds, lib: ds.sort("n", null_placement="middle"),
    "sort reverse count": lambda ds, lib: ds.sort(["n", "text"], reverse=[True]),
    "flatten_indices": lambda ds, lib: ds.shuffle(seed=0).flatten_indices(),
    "add_item": lambda ds, lib: ds.add_item(
        {"text": "new", "n": 1, "label": 2, "maybe": None, "tokens": [9],
         "point": {"x": 1, "y": {"z": "a"}}}),
    "batch": lambda ds, lib: ds.batch(8),
    "batch dropping": lambda ds, lib: ds.batch(8, drop_last_batch=True),
    "batch by column": lambda ds, lib: ds.sort("label").select_columns(
        ["label", "n"]).batch(by_column="label"),
    "batch of nothing": lambda ds, lib: ds.batch(),
    # columns
    "select_columns": lambda ds, lib: ds.select_columns(["n", "text"]),
    "select_columns one": lambda ds, lib: ds.select_columns("n"),
    "select_columns unknown": lambda ds, lib: ds.select_columns(["m"]),
    "remove_columns": lambda ds, lib: ds.remove_columns(["n", "tokens"]),
    "remove_columns unknown": lambda ds, lib: ds.remove_columns("m"),
    "rename_column": lambda ds, lib: ds.rename_column("n", "number"),
    "rename_column taken": lambda ds, lib: ds.rename_column("n", "text"),
    "rename_column empty": lambda ds, lib: ds.rename_column("n", ""),
    "rename_columns": lambda ds, lib: ds.rename_columns({"n": "number", "text": "words"}),
    "rename_columns swapped": lambda ds, lib: ds.rename_columns({"n": "text", "text": "n"}),
    "rename_columns unknown": lambda ds, lib: ds.rename_columns({"m": "number"}),
    "add_column": lambda ds, lib: ds.add_column("new", [str(i) for i in range(len(ds))]),
    "add_column array": lambda ds, lib: ds.add_column("new", np.arange(len(ds), dtype=np.int32)),
    "add_column feature": lambda ds, lib: ds.add_column("new", [1] * len(ds),
                                                        feature=lib.Value("int8")),
    "add_column short": lambda ds, lib: ds.add_column("new", [1] * (len(ds) + 1)),
    "add_column taken": lambda ds, lib: ds.add_column("n", [1] * len(ds)),
    "cast_column": lambda ds, lib: ds.cast_column("n", lib.Value("float32")),
    "cast_column text": lambda ds, lib: ds.cast_column("n", lib.Value("string")),
    "cast_column impossible": lambda ds, lib: ds.cast_column("text", lib.Value("int32")),
    "cast": lambda ds, lib: ds.cast(lib.Features({**ds.features, "n": lib.Value("int32")})),
    "cast other names": lambda ds, lib: ds.cast(lib.Features({"n": lib.Value("int32")})),
    "flatten all": lambda ds, lib: ds.flatten(),
    "flatten once": lambda ds, lib: ds.flatten(max_depth=2),
    "class_encode_column": lambda ds, lib: ds.class_encode_column("text"),
    "class_encode_column number": lambda ds, lib: ds.class_encode_column("n"),
    "class_encode_column list": lambda ds, lib: ds.class_encode_column("tokens"),
    "class_encode_column unknown": lambda ds, lib: ds.class_encode_column("m"),
    "align_labels": lambda ds, lib: ds.align_labels_with_mapping(
        {"YES": 0, "?": 1, "no": 2}, "label"),
    "unique": lambda ds, lib: ds.unique("text"),
    "unique labels": lambda ds, lib: ds.unique("label"),
    "unique nothing": lambda ds, lib: ds.unique("m"),
    # split
    "train_test_split": lambda ds, lib: ds.train_test_split(seed=1),
    "train_test_split in order": lambda ds, lib: ds.train_test_split(test_size=0.3, shuffle=False),
    "train_test_split numbers": lambda ds, lib: ds.train_test_split(
        test_size=5, train_size=7, generator=np.random.default_rng(2)),
    "train_test_split train": lambda ds, lib: ds.train_test_split(train_size=0.6, seed=3),
    "train_test_split numpy": lambda ds, lib: ds.train_test_split(0.5),
    "train_test_split stratified": lambda ds, lib: ds.train_test_split(
        test_size=0.37, stratify_by_column="label", seed=4),
    "train_test_split too large": lambda ds, lib: ds.train_test_split(test_size=1000),
    "train_test_split above 1": lambda ds, lib: ds.train_test_split(0.7, 0.7),
    "train_test_split negative": lambda ds, lib: ds.train_test_split(train_size=-0.1),
    "train_test_split text": lambda ds, lib: ds.train_test_split(test_size="0.1"),
    "train_test_split by text": lambda ds, lib: ds.train_test_split(stratify_by_column="text"),
    "train_test_split by nothing": lambda ds, lib: ds.train_test_split(stratify_by_column="m"),
    "train_test_split few": lambda ds, lib: ds.train_test_split(
        test_size=2, stratify_by_column="label"),
    "train_test_split ordered strata": lambda ds, lib: ds.train_test_split(
        stratify_by_column="label", shuffle=False),
    # functions
    "map": lambda ds, lib: ds.map(lambda row: {"twice": row["n"] * 2}),
    "map none": lambda ds, lib: ds.map(),
    "map batched": lambda ds, lib: ds.map(
        lambda rows: {"n": [n for n in rows["n"] for _ in "ab"]}, batched=True, batch_size=10,
        remove_columns=[name for name in ds.column_names if name != "n"]),
    "map removing": lambda ds, lib: ds.map(lambda row: {"new": 1}, remove_columns="n"),
    "map unknown": lambda ds, lib: ds.map(lambda row: {}, remove_columns=["m"]),
    "map input unknown": lambda ds, lib: ds.map(lambda row: {}, input_columns="m"),
    "map int": lambda ds, lib: ds.map(lambda row: 3),
    "map mixed": lambda ds, lib: ds.map(lambda row: {"new": {row["text"]: 1}}),
    "filter": lambda ds, lib: ds.filter(lambda row: row["n"] % 2),
    "filter batched": lambda ds, lib: ds.filter(
        lambda rows: [n > 9 for n in rows["n"]], batched=True, batch_size=7),
    "filter all": lambda ds, lib: ds.filter(lambda row: False),
    # formats
    "with_format": lambda ds, lib: ds.with_format("numpy", columns=["n"]),
    "with_format unknown": lambda ds, lib: ds.with_format("nympy"),
    "with_format of unknown": lambda ds, lib: ds.with_format("numpy", columns=["m"]),
    "format kept": lambda ds, lib: ds.with_format("numpy", columns=["n", "text"]).map(
        lambda row: {"new": 1}).rename_column("text", "words").remove_columns("n"),
}

# of no rows, `datasets` does not change the features that these give any others
TYPED = ("batch", "cast", "class_encode")


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("method", METHODS)
def test_as_datasets(start, method, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    if start == "no rows" and method.startswith(TYPED):
        pytest.skip("the features of no rows are those of any here")
    if start == "put together" and method.startswith("flatten "):
        pytest.skip("datasets goes on showing a column that is gone")
    case = METHODS[method]
    same(outcome(ours, start, case, folder), outcome(theirs, start, case, folder))
