"""Builders: what they prepare and how it is read, by us and by the real library."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets.utils.py_utils import asdict as real_asdict

import enfold.data.builder as ours
from enfold.data.dicts import asdict
from enfold.data.features import Features, Value
from enfold.data.info import DatasetInfo
from enfold.data.splits import ReadInstruction, Split, SplitDict, SplitGenerator, SplitInfo
from enfold.errors import DataError
from tests.data.builder.conftest import TRAIN

SMALL = {"max_shard_size": 1, "writer_batch_size": 25}


def made(cls, cache, writer_batch_size=None, **options):
    builder = cls(cache_dir=str(cache), writer_batch_size=writer_batch_size)
    builder.download_and_prepare(**options)
    return builder


@pytest.mark.parametrize("options", [{}, SMALL, {"max_shard_size": "1KB"}])
def test_folders_are_the_same(tmp_path, pair, options):
    mine, real = (made(cls, tmp_path / name, **options)
                  for cls, name in zip(pair, ("a", "b"), strict=True))
    for name in ("default", "0.0.0"):
        assert name in mine.cache_dir
    assert os.path.relpath(mine.cache_dir, tmp_path / "a") == os.path.relpath(
        real.cache_dir, tmp_path / "b")
    assert sorted(os.listdir(mine.cache_dir)) == sorted(os.listdir(real.cache_dir))
    told, theirs = asdict(mine.info), real_asdict(real.info)
    assert told == {**theirs, "features": told["features"]}


@pytest.mark.parametrize("options", [{}, SMALL, {"num_proc": 3}])
def test_each_reads_the_others(tmp_path, pair, options):
    mine = made(pair[0], tmp_path, **options)
    theirs = pair[1](cache_dir=str(tmp_path))
    theirs.download_and_prepare()  # finds ours
    assert theirs.as_dataset("train").to_list() == TRAIN
    assert theirs.as_dataset("train[-3:]+test[:2]")[0] == TRAIN[-3]
    again = pair[0](cache_dir=str(tmp_path))
    assert again.info == mine.info and asdict(again.info)["description"] == "d"


def test_we_read_the_real_librarys(tmp_path, pair):
    theirs = made(pair[1], tmp_path, **SMALL)
    mine = pair[0](cache_dir=str(tmp_path))
    mine._generate_examples = mine._generate_tables = None
    mine.download_and_prepare()
    assert mine.cache_dir == theirs.cache_dir
    assert mine.as_dataset("train")[:] == {key: [row[key] for row in TRAIN] for key in TRAIN[0]}


@pytest.mark.parametrize(("split", "rows"), [
    ("train", TRAIN), (Split.TRAIN, TRAIN), ("train[:10]", TRAIN[:10]),
    ("train[75%:]", TRAIN[150:]), (ReadInstruction("train", from_=-5, unit="abs"), TRAIN[-5:]),
    (Split.TRAIN.subsplit(k=4)[1], TRAIN[50:100]), ("train[49:52]", TRAIN[49:52])])
@pytest.mark.parametrize("in_memory", [False, True])
def test_slices(tmp_path, pair, split, rows, in_memory):
    builder = made(pair[0], tmp_path, num_proc=2)
    found = builder.as_dataset(split, in_memory=in_memory)
    assert list(found) == rows
    spec = split.spec() if hasattr(split, "spec") else str(split)
    assert found.split == spec and found.info.splits["train"].num_examples == 200


def test_all_splits(tmp_path, pair):
    builder = made(pair[0], tmp_path)
    every = builder.as_dataset()
    assert {name: len(one) for name, one in every.items()} == {"train": 200, "test": 30}
    assert len(builder.as_dataset("all")) == 230
    assert [len(one) for one in builder.as_dataset(["train", "test[:2]"])] == [200, 2]
    assert len(builder.as_dataset("train[:0]+test")) == 30
    with pytest.raises(DataError, match=r'Instruction "train\[:0\]" corresponds to no data'):
        builder.as_dataset("train[:0]")
    with pytest.raises(DataError, match='Unknown split "tests"'):
        builder.as_dataset("tests")


def test_processes_share_the_files(tmp_path, pair):
    builder = made(pair[0], tmp_path, num_proc=2)
    assert builder.info.splits["train"].shard_lengths == [100, 100]
    assert builder.info.splits["test"].shard_lengths is None
    assert sorted(os.listdir(builder.cache_dir)) == [
        "dataset_info.json", "my_data-test.arrow", "my_data-train-00000-of-00002.arrow",
        "my_data-train-00001-of-00002.arrow"]
    assert list(builder.as_dataset("train")) == TRAIN


def test_source_files_are_counted(tmp_path, pair, monkeypatch):
    monkeypatch.setattr(ours.jobs.config, "SAVE_ORIGINAL_SHARD_LENGTHS", True)
    builder = made(pair[0], tmp_path, num_proc=3)
    assert builder.info.splits["train"].original_shard_lengths == [50] * 4


def test_lists_of_other_lengths(tmp_path):
    class Ambiguous(ours.GeneratorBasedBuilder):
        def _info(self):
            return DatasetInfo()

        def _split_generators(self, dl_manager):
            return [SplitGenerator("train", {"a": [1, 2], "b": [1, 2, 3]})]

        def _generate_examples(self, a, b):
            yield 0, {"n": len(a) * len(b)}

    assert made(Ambiguous, tmp_path).as_dataset("train")[0] == {"n": 6}
    with pytest.raises(RuntimeError, match="Sharding is ambiguous"):
        made(Ambiguous, tmp_path / "b", num_proc=2)


def test_parquet(tmp_path, pair):
    builder = made(pair[0], tmp_path, file_format="parquet", num_proc=2)
    files = sorted(name for name in os.listdir(builder.cache_dir) if "train" in name)
    assert files == ["my_data-train-00000-of-00002.parquet", "my_data-train-00001-of-00002.parquet"]
    assert pa.concat_tables([pq.read_table(f"{builder.cache_dir}/{name}")
                             for name in files]).to_pylist() == TRAIN
    with pytest.raises(ours.FileFormatError, match="'parquet'. Do: load_dataset"):
        builder.as_dataset()
    with pytest.raises(DataError, match="Unsupported file_format: 'csv'"):
        builder.download_and_prepare(file_format="csv")


def test_images_are_embedded_in_parquet(tmp_path):
    from PIL import Image as Pillow

    from enfold.data.features import Image

    path = tmp_path / "a.png"
    Pillow.new("RGB", (2, 2), "red").save(path)

    class Images(ours.GeneratorBasedBuilder):
        def _info(self):
            return DatasetInfo(features=Features({"image": Image()}))

        def _split_generators(self, dl_manager):
            return [SplitGenerator("train")]

        def _generate_examples(self):
            yield 0, {"image": str(path)}

    builder = made(Images, tmp_path / "a", file_format="parquet")
    name = next(name for name in os.listdir(builder.cache_dir) if name.endswith(".parquet"))
    assert pq.read_table(f"{builder.cache_dir}/{name}").to_pylist()[0]["image"] == {
        "bytes": path.read_bytes(), "path": "a.png"}
    assert made(Images, tmp_path / "b").as_dataset("train")[0]["image"].size == (2, 2)


def test_streams(tmp_path, pair):
    builder = pair[0](cache_dir=str(tmp_path))
    stream = builder.as_streaming_dataset("train")
    assert list(stream) == TRAIN and stream.split == "train" and stream.num_shards == 4
    assert set(builder.as_streaming_dataset()) == {"train", "test"}
    for split in ("train+test", "all", Split.ALL, Split.TRAIN + Split.TEST):
        assert len(list(builder.as_streaming_dataset(split))) == 230
    with pytest.raises(DataError, match=r"Bad split: train\[:3\].*\.take"):
        builder.as_streaming_dataset("train[:3]")
    assert not os.path.exists(builder.cache_dir)


def test_an_output_folder_keeps_what_is_in_it(tmp_path, pair):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("x")
    builder = pair[0](cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare(out, max_shard_size=1)
    builder.download_and_prepare(out, download_mode="reuse_cache_if_exists")
    assert sorted(os.listdir(out)) == ["dataset_info.json", "mine.txt", "my_data-test.arrow",
                                       "my_data-train.arrow"]
    assert len(builder.as_dataset("train")) == 200 and not os.path.exists(builder.cache_dir)
    with pytest.raises(DataError, match="at the root"):
        builder.download_and_prepare("memory://")


def test_remote_output(tmp_path, pair):
    import fsspec

    builder = pair[0](cache_dir=str(tmp_path))
    builder.download_and_prepare("memory://out", file_format="parquet", max_shard_size=1)
    system = fsspec.filesystem("memory")
    try:
        assert system.exists("/out/dataset_info.json")
        shards = len(builder.info.splits["train"].shard_lengths or [1])
        assert len(system.glob("/out/my_data-train*.parquet")) == shards
        with pytest.raises(NotImplementedError, match="MemoryFileSystem"):
            builder.as_streaming_dataset()
    finally:
        system.rm("/out", recursive=True)


def test_what_is_not_there(tmp_path, pair):
    with pytest.raises(FileNotFoundError, match="could not find data in .*download_and_prepare"):
        pair[0](cache_dir=str(tmp_path)).as_dataset()


def test_splits_are_verified(tmp_path, pair):
    def prepared(rows, mode=None):
        builder = pair[0](cache_dir=str(tmp_path))
        builder.info.splits = SplitDict(rows)
        builder.download_and_prepare(verification_mode=mode)

    good = {"train": SplitInfo("train", num_examples=200), "test": SplitInfo("test", 0, 30)}
    with pytest.raises(ours.ExpectedMoreSplitsError, match=r"\['dev'\] are missing.*no_checks"):
        prepared({**good, "dev": SplitInfo("dev")})
    with pytest.raises(ours.UnexpectedSplitsError, match=r"\['test'\] were not expected"):
        prepared({"train": good["train"]})
    bad = {**good, "test": SplitInfo("test", num_examples=31)}
    with pytest.raises(ours.NonMatchingSplitsSizesError, match="'test' has 30 rows, expected 31"):
        prepared(bad, ours.VerificationMode.ALL_CHECKS)
    assert os.listdir(tmp_path / "my_data" / "default") == []
    prepared(bad, "no_checks")


@pytest.mark.parametrize(("expected", "error"), [
    ({}, ours.UnexpectedDownloadedFileError),
    ({"u": 1, "v": 2}, ours.ExpectedMoreDownloadedFilesError),
    ({"u": 2}, ours.NonMatchingChecksumError)])
def test_checksums_are_verified(expected, error):
    with pytest.raises(error, match="Do: pass verification_mode='no_checks'"):
        ours.verify_checksums(expected, {"u": 1}, "sources")
    ours.verify_checksums(None, {"u": 1})
    ours.verify_checksums({"u": 1}, {"u": 1})


def test_all_is_no_split(tmp_path):
    class All(ours.GeneratorBasedBuilder):
        def _info(self):
            return DatasetInfo(features=Features({"a": Value("int8")}))

        def _split_generators(self, dl_manager):
            return [SplitGenerator("all")]

        def _generate_examples(self):
            yield 0, {"a": 1}

    with pytest.raises(DataError, match="`all` is the union of all splits"):
        made(All, tmp_path)
    with pytest.raises(NotImplementedError, match="_generate_shards"):
        All(cache_dir=str(tmp_path))._generate_shards()


def test_a_stream_reads_where_the_files_are(tmp_path):
    import zipfile

    from enfold.data.download import xjoin, xopen

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("words.txt", "one\ntwo\n")

    class Words(ours.GeneratorBasedBuilder):
        def _info(self):
            return DatasetInfo(features=Features({"word": Value("string")}))

        def _split_generators(self, dl_manager):
            folder = dl_manager.download_and_extract("a.zip")
            return [SplitGenerator("train", {"files": [xjoin(folder, "words.txt")]})]

        def _generate_examples(self, files):
            for file in files:
                with xopen(file) as lines:
                    yield from enumerate({"word": line.strip()} for line in lines)

    builder = Words(cache_dir=str(tmp_path / "cache"), base_path=str(tmp_path))
    rows = [{"word": "one"}, {"word": "two"}]
    assert list(builder.as_streaming_dataset("train")) == rows
    assert not (tmp_path / "cache").exists()
    builder.download_and_prepare()
    assert list(builder.as_dataset("train")) == rows
    assert builder.info.download_size == (tmp_path / "a.zip").stat().st_size
