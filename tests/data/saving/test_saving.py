"""save_to_disk and load_from_disk: what is kept, what is refused, what a failure leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from enfold.data import (
    ClassLabel,
    Dataset,
    DatasetDict,
    Features,
    Image,
    Split,
    Value,
    load_from_disk,
)
from enfold.errors import DataError, DataFileError


def _small(rows=10, **options):
    return Dataset.from_dict({"n": list(range(rows)), "t": [f"text {n}" for n in range(rows)]},
                             **options)


def _names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_what_is_kept(tmp_path):
    data = _small(split=Split.TEST).with_format("numpy", columns=["n"])
    data.info.description, key = "words", data._fingerprint
    data.save_to_disk(tmp_path / "a")
    read = Dataset.load_from_disk(tmp_path / "a")
    assert (read._fingerprint, read.split, read.info.description) == (key, "test", "words")
    assert read.format == data.format and isinstance(read[0]["n"], np.integer)
    assert [Path(file["filename"]).name for file in read.cache_files] == \
        ["data-00000-of-00001.arrow"]
    again = load_from_disk(str(tmp_path / "a"), keep_in_memory=True)
    assert not again.cache_files and again[:]["n"].tolist() == list(range(10))


@pytest.mark.parametrize(("options", "shards"), [
    ({"num_shards": 4}, 4), ({"num_shards": 12}, 12), ({"max_shard_size": "1KB"}, 2),
    ({"num_proc": 2}, 2), ({"num_shards": 3, "num_proc": 2}, 3)])
def test_shards(tmp_path, options, shards):
    data = _small(100 if "max_shard_size" in options else 10).shuffle(seed=1)
    data.save_to_disk(tmp_path / "a", **options)
    assert len(_names(tmp_path / "a")) == shards + 2
    assert Dataset.load_from_disk(tmp_path / "a")[:] == data[:]


def test_what_is_left_to_run_is_run(tmp_path):
    data = _small().map(lambda row: {"m": row["n"] * 2}).filter(lambda row: row["n"] % 2)
    data.select_columns(["m"]).save_to_disk(tmp_path / "a")
    assert load_from_disk(tmp_path / "a")[:] == {"m": [2, 6, 10, 14, 18]}


def test_no_rows_and_no_columns(tmp_path):
    empty = Dataset.from_dict({"n": []}, features=Features({"n": Value("int8")}))
    empty.save_to_disk(tmp_path / "rows")
    assert load_from_disk(tmp_path / "rows").features == empty.features
    _small().remove_columns(["n", "t"]).save_to_disk(tmp_path / "columns")
    assert load_from_disk(tmp_path / "columns").column_names == []


def test_files_are_put_into_the_data(tmp_path):
    from PIL import Image as Pillow

    Pillow.new("RGB", (2, 2), "red").save(tmp_path / "red.png")
    data = Dataset.from_dict({"image": [str(tmp_path / "red.png"), None]},
                             features=Features({"image": Image()}))
    data.save_to_disk(tmp_path / "a")
    content = (tmp_path / "red.png").read_bytes()
    (tmp_path / "red.png").unlink()
    read = load_from_disk(tmp_path / "a")
    assert read[0]["image"].size == (2, 2)
    assert read.with_format("arrow")[:]["image"].to_pylist() == [
        {"bytes": content, "path": "red.png"}, None]


def test_a_file_that_a_column_names_is_not_there(tmp_path):
    data = Dataset.from_dict({"image": ["none.png"]}, features=Features({"image": Image()}))
    two = DatasetDict({"train": _small().map(lambda row: {"image": "x"}), "test": data})
    for saved in (data, two):
        with pytest.raises(FileNotFoundError,
                           match=r"'image' names a file.*'none.png'.*Do: put it"):
            saved.save_to_disk(tmp_path / "a")
        assert not (tmp_path / "a").exists()


def test_saved_over_what_is_there(tmp_path):
    first = _small()
    first.save_to_disk(tmp_path / "a", num_shards=3)
    held = load_from_disk(tmp_path / "a")
    Dataset.from_dict({"x": ["new"]}).save_to_disk(tmp_path / "a", num_shards=3)
    assert load_from_disk(tmp_path / "a")[:] == {"x": ["new"]}
    assert held[:] == first[:]  # its maps outlive the files' names
    _small(3).save_to_disk(tmp_path / "a")
    assert _names(tmp_path / "a") == ["data-00000-of-00001.arrow", "dataset_info.json",
                                      "state.json"]


def test_a_dict_where_a_dataset_was_and_the_other_way_round(tmp_path):
    _small().save_to_disk(tmp_path / "a")
    DatasetDict({"train": _small(2)}).save_to_disk(tmp_path / "a")
    assert load_from_disk(tmp_path / "a")["train"].num_rows == 2
    assert _names(tmp_path / "a") == ["dataset_dict.json", "train"]
    _small(5).save_to_disk(tmp_path / "a")
    assert load_from_disk(tmp_path / "a").num_rows == 5
    with pytest.raises(FileNotFoundError, match="but got a `Dataset`"):
        DatasetDict.load_from_disk(tmp_path / "a")


def test_elsewhere(tmp_path):
    import fsspec

    place = "memory://elsewhere/a"
    _small().save_to_disk(place, num_shards=2)
    assert load_from_disk(place)[:] == _small()[:]
    Dataset.from_dict({"x": [1]}).save_to_disk(place, num_shards=2)
    assert load_from_disk(place)[:] == {"x": [1]}
    assert len(fsspec.filesystem("memory").ls("/elsewhere/a")) == 4  # nothing of the first is left
    DatasetDict({"train": _small()}).save_to_disk("memory://elsewhere/b")
    assert load_from_disk("memory://elsewhere/b")["train"][:] == _small()[:]


@pytest.mark.parametrize(("options", "message"), [
    ({"num_shards": 2, "max_shard_size": 10}, "either max_shard_size or num_shards"),
    ({"max_shard_size": "many"}, "is not in a valid format")])
def test_refused(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        _small().save_to_disk(tmp_path / "a", **options)
    assert not (tmp_path / "a").exists()


def test_refused_of_dicts(tmp_path):
    with pytest.raises(ValueError, match="one `num_shards` per dataset"):
        DatasetDict({"train": _small()}).save_to_disk(tmp_path / "a", num_shards=2)


def test_not_over_itself(tmp_path):
    _small().save_to_disk(tmp_path / "a")
    with pytest.raises(PermissionError, match="a dataset can't overwrite itself.*another folder"):
        load_from_disk(tmp_path / "a").select(range(2)).save_to_disk(tmp_path / "a")


def test_formats_that_have_no_json(tmp_path):
    with pytest.raises(TypeError, match="key 'dtype' isn't.*reset_format"):
        _small().with_format("numpy", dtype=object()).save_to_disk(tmp_path / "a")


def test_nothing_saved_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="not found. Expected a folder that save_to_disk"):
        load_from_disk(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="neither a `Dataset` directory nor.*load_dataset"):
        load_from_disk(tmp_path)
    DatasetDict({"train": _small()}).save_to_disk(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match=r"No such files: .*got a `DatasetDict`"):
        Dataset.load_from_disk(tmp_path / "a")


@pytest.mark.parametrize(("damage", "message"), [
    (lambda path: path.write_bytes(path.read_bytes()[:-8]), "lacks the end of an Arrow stream"),
    (lambda path: path.write_bytes(path.read_bytes()[:100]), "lacks the end of an Arrow stream"),
    (lambda path: path.write_bytes(b""), "lacks the end of an Arrow stream"),
    (lambda path: path.write_bytes(b"x" * 500), "no whole Arrow file"),
    (lambda path: path.write_bytes(path.read_bytes()[:-600] + path.read_bytes()[-8:]),
     "no whole Arrow file"),
    (lambda path: path.unlink(), "is named by state.json and is not there")])
def test_damaged_files(tmp_path, damage, message):
    _small(1000).save_to_disk(tmp_path / "a", num_shards=2)
    damage(tmp_path / "a" / "data-00001-of-00002.arrow")
    with pytest.raises(DataFileError, match=f"data-00001-of-00002.arrow: .*{message}.* Do: "):
        load_from_disk(tmp_path / "a")


def test_damaged_descriptions(tmp_path):
    _small().save_to_disk(tmp_path / "a")
    state = tmp_path / "a" / "state.json"
    state.write_text(json.dumps({"_data_files": []}))
    with pytest.raises(DataFileError, match=r"state.json: has no '_split'"):
        load_from_disk(tmp_path / "a")
    state.write_text("{")
    with pytest.raises(DataFileError, match=r"state.json: is not JSON"):
        load_from_disk(tmp_path / "a")


def test_features_that_the_info_does_not_know(tmp_path, caplog):
    data = Dataset.from_dict({"c": [0, 1]}, features=Features({"c": ClassLabel(names=["a", "b"])}))
    data.save_to_disk(tmp_path / "a")
    _small().save_to_disk(tmp_path / "b")
    os.replace(tmp_path / "b" / "dataset_info.json", tmp_path / "a" / "dataset_info.json")
    assert load_from_disk(tmp_path / "a").features == data.features
    assert "dataset_info.json says of its columns does not fit" in caplog.text


_LIMITED = """
import resource, sys, signal
from enfold.data import Dataset, load_from_disk
Dataset.from_dict({"x": ["old"]}).save_to_disk(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    Dataset.from_dict({"x": ["new" * 100] * 1000}).save_to_disk(sys.argv[1])
except OSError as error:
    print(type(error).__name__, error)
print(load_from_disk(sys.argv[1])[:])
"""


def _run(script, *arguments):
    return subprocess.run([sys.executable, "-c", script, *map(str, arguments)], text=True,
                          capture_output=True, timeout=100, check=True,
                          env={**os.environ, "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}).stdout


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_disk_that_is_full(tmp_path):
    said, loaded = _run(_LIMITED, tmp_path / "a").splitlines()
    assert said.startswith("WriteError ") and "What was there before is as it was" in said
    assert "free space" in said and loaded == "{'x': ['old']}"
    assert _names(tmp_path / "a") == ["data-00000-of-00001.arrow", "dataset_info.json",
                                      "state.json"]


_KILLED = """
import os, signal, sys
from enfold.data import Dataset, load_from_disk
from enfold.data.saving import places

folder = sys.argv[1]
old, new = Dataset.from_dict({"x": ["old", "old"]}), Dataset.from_dict({"y": [1, 2, 3]})

def dies_at(step):
    left = [step]
    def counted(function):
        def call(*args, **kwargs):
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return function(*args, **kwargs)
        return call
    os.replace, os.link = counted(os.replace), counted(os.link)
    places.sync_file, places.sync_folder = counted(places.sync_file), counted(places.sync_folder)
    places.LocalPlace.remove = counted(places.LocalPlace.remove)

seen = []
for step in range(100):
    old.save_to_disk(folder, num_shards=2)
    child = os.fork()
    if not child:
        dies_at(step)
        new.save_to_disk(folder, num_shards=2)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    found = load_from_disk(folder)[:]
    assert found in (old[:], new[:]), (step, found)
    seen.append("old" if found == old[:] else "new")
    if status == 0:
        break
old.save_to_disk(folder)
print(len(seen), seen == sorted(seen, reverse=True), seen[0], seen[-1], sorted(os.listdir(folder)))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_killed_at_each_step(tmp_path):
    """The old dataset is read until the new one is; the next save cleans up."""
    steps, ordered, first, last, *files = _run(_KILLED, tmp_path / "a").split(" ", 4)
    assert int(steps) > 8 and (ordered, first, last) == ("True", "old", "new")
    assert files == ["['data-00000-of-00001.arrow', 'dataset_info.json', 'state.json']\n"]


def test_a_killed_first_save_is_told(tmp_path, caplog):
    (tmp_path / "a" / ".enfold-saving-1-x").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match="begun and never finished"):
        load_from_disk(tmp_path / "a")
    _small().save_to_disk(tmp_path / "a")
    (tmp_path / "a" / ".enfold-saving-99999999-x").mkdir()
    assert load_from_disk(tmp_path / "a").num_rows == 10
    assert "was killed" in caplog.text
