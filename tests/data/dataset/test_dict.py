"""Every method of `DatasetDict` and `IterableDatasetDict` gives what `datasets` gives."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import enfold.data as ours
from enfold.errors import DataError
from tests.data.dataset.worlds import features, in_file, in_memory, same, theirs, told

NAMES = {"train": None, "test": None}
METHODS = {
    "properties": lambda d, lib: [d.num_rows, d.num_columns, d.column_names, d.shape],
    "repr": lambda d, lib: repr(d),
    "data": lambda d, lib: {name: table.num_rows for name, table in d.data.items()},
    "cache_files": lambda d, lib: {name: len(files) for name, files in d.cache_files.items()},
    "unique": lambda d, lib: d.unique("text"),
    "flatten": lambda d, lib: d.flatten(),
    "cast": lambda d, lib: d.cast(lib.Features({**features(lib), "n": lib.Value("int32")})),
    "cast_column": lambda d, lib: d.cast_column("n", lib.Value("float32")),
    "remove_columns": lambda d, lib: d.remove_columns(["n"]),
    "remove_columns unknown": lambda d, lib: d.remove_columns(["m"]),
    "rename_column": lambda d, lib: d.rename_column("n", "m"),
    "rename_columns": lambda d, lib: d.rename_columns({"n": "m"}),
    "select_columns": lambda d, lib: d.select_columns(["n", "text"]),
    "class_encode_column": lambda d, lib: d.class_encode_column("text"),
    "align_labels_with_mapping": lambda d, lib: d.align_labels_with_mapping(
        {"yes": 0, "?": 1, "no": 2}, "label"),
    "with_format": lambda d, lib: d.with_format("numpy", columns=["n"]),
    "with_transform": lambda d, lib: d.with_transform(
        lambda batch: {"n": [n + 1 for n in batch["n"]]})["test"][:2],
    "map": lambda d, lib: d.map(lambda row: {"m": row["n"] + 1}),
    "map with_split": lambda d, lib: d.map(
        lambda row, index, split: {"m": f"{split} {index}"}, with_indices=True, with_split=True),
    "map options": lambda d, lib: d.map(
        lambda n, by: {"m": [x * by for x in n]}, input_columns=["n"], batched=True, batch_size=4,
        remove_columns=["text"], fn_kwargs={"by": 3}, cache_file_names=NAMES),
    "filter": lambda d, lib: d.filter(lambda row, i: i % 2, with_indices=True),
    "flatten_indices": lambda d, lib: d.sort("n", reverse=True).flatten_indices(),
    "sort": lambda d, lib: d.sort(["label", "n"], reverse=[True, False]),
    "shuffle": lambda d, lib: d.shuffle(seed=4),
    "shuffle seeds": lambda d, lib: d.shuffle(seeds={"train": 1, "test": 2}),
    "shuffle generators": lambda d, lib: d.shuffle(
        generators={name: np.random.default_rng(3) for name in NAMES}),
    "shuffle both": lambda d, lib: d.shuffle(seed=1, seeds=2),
    "by number": lambda d, lib: d[0],
    "by name": lambda d, lib: d["train"],
    "unknown split": lambda d, lib: d["dev"],
    "no dataset in it": lambda d, lib: lib.DatasetDict({**d, "x": {"n": [1]}}).num_rows,
    "save num_shards": lambda d, lib: d.save_to_disk("/nowhere/at/all", num_shards=3),
    "nothing saved": lambda d, lib: lib.DatasetDict.load_from_disk("/nowhere/at/all"),
}


def dataset_dict(lib, folder):
    return lib.DatasetDict({"train": in_file(lib, folder), "test": in_memory(lib, folder)})


@pytest.mark.parametrize("method", METHODS)
def test_as_datasets(method, tmp_path):
    results = []
    for lib in (ours, theirs):
        try:
            results.append(told(METHODS[method](dataset_dict(lib, tmp_path), lib)))
        except Exception as error:
            results.append(error)
    same(*results)


def test_formats_are_set_in_place_and_for_a_while(tmp_path):
    found = []
    for lib in (ours, theirs):
        splits = dataset_dict(lib, tmp_path)
        splits.set_format("numpy", columns=["n"])
        with splits.formatted_as("pandas", columns=["text"]):
            inside = type(splits["train"][:2]).__name__
        after = splits["test"].format["columns"]
        splits.set_transform(lambda batch: {"k": batch["n"]}, columns=["n"])
        transformed = splits["train"][:2]
        splits.reset_format()
        found.append([inside, after, transformed, splits["train"].format["type"]])
    assert found[0] == found[1]


def test_saved_splits_are_read_by_both_libraries(tmp_path):
    splits = dataset_dict(ours, tmp_path)
    splits.save_to_disk(tmp_path / "ours")
    dataset_dict(theirs, tmp_path).save_to_disk(tmp_path / "theirs", num_shards={"train": 3})
    expected = told(splits)
    for folder in ("ours", "theirs"):
        for lib in (ours, theirs):
            assert told(lib.DatasetDict.load_from_disk(tmp_path / folder)).keys() == NAMES.keys()
            read = told(lib.DatasetDict.load_from_disk(tmp_path / folder))
            assert read["train"].rows == expected["train"].rows


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "text"])
def test_made_of_files(kind, tmp_path):
    paths = {}
    for split in NAMES:
        paths[split] = str(tmp_path / f"{split}.{kind}")
        dataset = theirs.Dataset.from_dict({"text": ["a", "b", split]})
        if kind == "text":
            (tmp_path / f"{split}.text").write_text("a\nb\n" + split)
        else:
            getattr(dataset, f"to_{kind}")(paths[split])
    made = [told(getattr(lib.DatasetDict, f"from_{kind}")(paths, cache_dir=str(tmp_path / name)))
            for name, lib in (("ours", ours), ("theirs", theirs))]
    assert {split: vars(dataset) for split, dataset in made[0].items()} == \
        {split: vars(dataset) for split, dataset in made[1].items()}


STREAMED = {
    "properties": lambda d, lib: [d.num_columns, d.column_names],
    "repr": lambda d, lib: repr(d),
    "with_format": lambda d, lib: d.with_format("numpy").select_columns("n"),
    "map": lambda d, lib: d.map(lambda row: {"m": row["n"] + 1}),
    "map with_split": lambda d, lib: d.map(lambda row, split: {"m": split}, with_split=True),
    "filter": lambda d, lib: d.filter(lambda row: row["n"] % 2),
    "shuffle": lambda d, lib: d.shuffle(seed=4, buffer_size=8),
    "rename_column": lambda d, lib: d.rename_column("n", "m"),
    "rename_columns": lambda d, lib: d.rename_columns({"n": "m"}),
    "remove_columns": lambda d, lib: d.remove_columns(["n"]),
    "select_columns": lambda d, lib: d.select_columns(["n"]),
    "cast_column": lambda d, lib: d.cast_column("n", lib.Value("string")),
    "cast": lambda d, lib: d.cast(lib.Features({**features(lib), "n": lib.Value("int32")})),
    "no dataset in it": lambda d, lib: lib.IterableDatasetDict({"x": [1]}).num_columns,
}


@pytest.mark.parametrize("method", STREAMED)
def test_streams_as_datasets(method, tmp_path):
    results = []
    for lib in (ours, theirs):
        splits = lib.IterableDatasetDict({
            name: dataset.to_iterable_dataset()
            for name, dataset in dataset_dict(lib, tmp_path).items()})
        try:
            made = STREAMED[method](splits, lib)
            is_dict = isinstance(made, lib.IterableDatasetDict)
            results.append({name: told(list(rows)) for name, rows in made.items()} if is_dict
                           else told(made))
        except Exception as error:
            results.append(error)
    same(*results)


@pytest.mark.parametrize("kind", ["DatasetDict", "IterableDatasetDict"])
def test_methods_take_the_arguments_that_datasets_takes(kind):
    mine, peer = getattr(ours, kind), getattr(theirs, kind)
    for name in [name for name in vars(peer) if not name.startswith("_")]:
        method = getattr(peer, name)
        if not callable(method):
            assert hasattr(mine, name)
            continue
        taken = inspect.signature(getattr(mine, name)).parameters
        for parameter in inspect.signature(method).parameters.values():
            assert parameter.name in taken, f"{kind}.{name}({parameter.name})"
            assert parameter.default == taken[parameter.name].default, f"{name}: {parameter}"


def test_with_split_needs_a_function(tmp_path):
    with pytest.raises(DataError, match="without a function to give the split to"):
        dataset_dict(ours, tmp_path).map(with_split=True)
