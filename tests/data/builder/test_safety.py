"""Prepared folders are whole or not there: damage, errors, killed processes, several at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest

import enfold.data.builder as ours
from enfold.data.download import DownloadMode
from enfold.data.features import Features, Value
from enfold.data.info import DatasetInfo
from enfold.data.splits import SplitGenerator
from enfold.errors import DataFileError
from tests.data.builder.conftest import OURS, TRAIN, builders

SCRIPT = """
import os, sys, time
from pathlib import Path
import enfold.data.builder as ours
from enfold.data.info import DatasetInfo
from enfold.data.splits import SplitGenerator
from enfold.data.executor import disable_progress_bars
disable_progress_bars()

class Slow(ours.GeneratorBasedBuilder):
    def _info(self):
        return DatasetInfo()

    def _split_generators(self, dl_manager):
        return [SplitGenerator("train", {"parts": [0, 1]})]

    def _generate_examples(self, parts):
        Path(sys.argv[1], f"began-{os.getpid()}").touch()
        for part in parts:
            for row in range(2000):
                yield (part, row), {"n": part * 2000 + row}
            time.sleep(float(sys.argv[2]))

builder = Slow(cache_dir=sys.argv[1], dataset_name="slow")
builder.download_and_prepare(num_proc=int(sys.argv[3]))
train = builder.as_dataset("train")
print(len(train), train[3999]["n"], train._fingerprint)
"""


def run(cache, pause=0.0, processes=1):
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(cache), str(pause), str(processes)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def waited(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.split()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_killed_process_leaves_nothing_that_counts(tmp_path, processes):
    victim = run(tmp_path, 30, processes)
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob("began-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert list(tmp_path.rglob("*.incomplete")) and not list(tmp_path.rglob("dataset_info.json"))
    assert waited(run(tmp_path))[:2] == ["4000", "3999"]
    assert not list(tmp_path.rglob("*.incomplete"))


def test_two_processes_share_one_result(tmp_path):
    first, second = run(tmp_path, 0.3), run(tmp_path, 0.3)
    found = waited(first)
    assert found == waited(second)  # with the same fingerprint
    assert len(list(tmp_path.glob("began-*"))) == 1
    assert waited(run(tmp_path)) == found


@pytest.fixture
def cache(tmp_path):
    """A folder prepared as two files."""
    builder = builders(OURS)[0](cache_dir=str(tmp_path))
    builder.download_and_prepare(num_proc=2)
    return Path(builder.cache_dir)


@pytest.mark.parametrize("harm", ["cut", "empty", "missing", "info", "no info"])
def test_damage_is_noticed_and_mended(tmp_path, cache, harm, caplog):
    shard = cache / "my_data-train-00001-of-00002.arrow"
    if harm == "cut":
        os.truncate(shard, shard.stat().st_size - 9)
    elif harm == "empty":
        os.truncate(shard, 0)
    elif harm == "missing":
        shard.unlink()
    elif harm == "info":
        (cache / "dataset_info.json").write_text('{"splits')
    else:
        (cache / "dataset_info.json").unlink()
    builder = builders(OURS)[0](cache_dir=str(tmp_path))
    builder.download_and_prepare()
    assert list(builder.as_dataset("train")) == TRAIN
    if "info" not in harm:  # which tells what the old files are
        assert sorted(os.listdir(cache)) == ["dataset_info.json", "my_data-test.arrow",
                                             "my_data-train.arrow"]
    assert ("is made again" in caplog.text) is (harm != "no info")


def test_what_is_there_is_used(tmp_path, cache):
    def times():
        return {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}

    before = times()
    fingerprint = builders(OURS)[0](cache_dir=str(tmp_path)).as_dataset("train")._fingerprint
    builder = builders(OURS)[0](cache_dir=str(tmp_path))
    builder.download_and_prepare()
    assert times() == before and builder.as_dataset("train")._fingerprint == fingerprint
    assert builder.as_dataset("test")._fingerprint != fingerprint
    builder.download_and_prepare(download_mode=DownloadMode.FORCE_REDOWNLOAD, num_proc=2)
    assert times().keys() == before.keys() and times() != before
    assert builder.as_dataset("train")._fingerprint != fingerprint


def failing(error, rows=3, features=None):
    class Failing(ours.GeneratorBasedBuilder):
        def _info(self):
            return DatasetInfo(features=features)

        def _split_generators(self, dl_manager):
            return [SplitGenerator("train", {"parts": [0, 1]})]

        def _generate_examples(self, parts):
            for row in range(rows):
                yield (0, row), {"n": row}
            if error is not None:
                raise error

    return Failing


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("error", [KeyError("x"), OSError(28, "No space left on device"),
                                   DataFileError("a.csv, line 3: bad")])
def test_errors_leave_nothing(tmp_path, processes, error):
    builder = failing(error)(cache_dir=str(tmp_path))
    with pytest.raises(ours.DatasetGenerationError, match="An error occurred while generating"
                       ) as caught:
        builder.download_and_prepare(num_proc=processes)
    assert type(caught.value.__cause__) is type(error) and str(error) in str(caught.value)
    assert ("is full. Do: free some of it" in str(caught.value)) is isinstance(error, OSError)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert builder._output_dir == builder.cache_dir


def test_an_error_keeps_the_old_files(tmp_path, cache):
    cls = builders(OURS)[0]
    builder = cls(cache_dir=str(tmp_path))
    builder._generate_examples = lambda **kwargs: 1 / 0
    with pytest.raises(ours.DatasetGenerationError):
        builder.download_and_prepare(download_mode="reuse_cache_if_exists")
    assert list(cls(cache_dir=str(tmp_path)).as_dataset("train")) == TRAIN


def tables(*many):
    class Tables(ours.ArrowBasedBuilder):
        def _info(self):
            return DatasetInfo()

        def _split_generators(self, dl_manager):
            return [SplitGenerator("train", {"many": list(many)})]

        def _generate_tables(self, many):
            yield from enumerate(many)

    return Tables


def test_tables_with_other_columns(tmp_path):
    builder = tables(pa.table({"a": [1]}), pa.table({"b": [1]}))(cache_dir=str(tmp_path))
    with pytest.raises(ours.DatasetGenerationCastError, match="must have the same columns"):
        builder.download_and_prepare()


def test_rows_without_features(tmp_path):
    rows = [{"a": None, "b": 1}, {"a": 2, "b": 2}, {"a": 3, "b": 2.5}, {"b": 1, "c": "x"}]

    class Rows(ours.GeneratorBasedBuilder):
        def _info(self):
            return DatasetInfo()

        def _split_generators(self, dl_manager):
            return [SplitGenerator("train", {"rows": rows})]

        def _generate_examples(self, rows):
            yield from enumerate(rows)

    expected = [{"a": None, "b": 1.0, "c": None}, {"a": 2, "b": 2.0, "c": None},
                {"a": 3, "b": 2.5, "c": None}, {"a": None, "b": 1.0, "c": "x"}]
    for number, options in enumerate([{}, {"max_shard_size": 1}, {"num_proc": 4}]):
        builder = Rows(cache_dir=str(tmp_path / str(number)), writer_batch_size=1)
        builder.download_and_prepare(**options)
        assert list(builder.as_dataset("train")) == expected
        assert builder.info.features == Features(
            {"a": Value("int64"), "b": Value("float64"), "c": Value("string")})
        builder.download_and_prepare(file_format="parquet", download_mode="force_redownload",
                                     **options)


def test_rows_that_do_not_fit(tmp_path):
    features = Features({"m": Value("int8")})
    builder = failing(None, features=features)(cache_dir=str(tmp_path))
    with pytest.raises(ours.DatasetGenerationError, match=r"columns \['n'\], which are not among"):
        builder.download_and_prepare()
    empty = failing(None, rows=0)(cache_dir=str(tmp_path))
    empty._generate_examples = lambda **kwargs: iter(())
    with pytest.raises(ours.DatasetGenerationError, match="no rows to show what the columns are"):
        empty.download_and_prepare()
    known = failing(None, features=features)(cache_dir=str(tmp_path))
    known._generate_examples = lambda **kwargs: iter(())
    known.download_and_prepare()
    assert known.as_dataset("train").to_dict() == {"m": []}


def test_no_space(tmp_path):
    builder = builders(OURS)[0](cache_dir=str(tmp_path))
    builder.info.size_in_bytes = 10 ** 18
    with pytest.raises(OSError, match="Not enough disk space for my_data .* it needs 888.18 PiB"):
        builder.download_and_prepare()
