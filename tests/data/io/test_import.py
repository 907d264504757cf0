"""from_pandas, from_polars, from_generator and from files: what comes out, and is found again."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pytest

from enfold.data import ClassLabel, Dataset, DatasetInfo, Features, Value


@pytest.mark.parametrize("index", [None, ["x", "y"]])
@pytest.mark.parametrize("preserve", [None, True, False])
def test_pandas(index, preserve):
    datasets = pytest.importorskip("datasets")
    frame = pd.DataFrame({"a": [1, 2], "b": ["q", None], "c": pd.Categorical(["u", "v"])}, index)
    frame = frame[["a", "b"]]
    theirs = datasets.Dataset.from_pandas(frame, preserve_index=preserve)
    mine = Dataset.from_pandas(frame, preserve_index=preserve, split="test")
    assert mine[:] == theirs[:] and repr(mine.features) == repr(theirs.features)
    assert mine.split == "test" and not mine.cache_files


def test_features_of_frames():
    features = Features({"c": ClassLabel(names=["no", "yes"]), "n": Value("int8")})
    for frame, make in ((pd.DataFrame({"c": [1, 0], "n": [3, None]}), Dataset.from_pandas),
                        (pl.DataFrame({"c": [1, 0], "n": [3, None]}), Dataset.from_polars)):
        data = make(frame, features=features)
        assert data.features == features and data[:] == {"c": [1, 0], "n": [3, None]}
        assert make(frame, info=DatasetInfo(features=features)).features == features
        other = DatasetInfo(features=Features({"c": Value("int8")}))
        with pytest.raises(ValueError, match="can't be different"):
            make(frame, features=features, info=other)


def test_polars():
    frame = pl.DataFrame({"a": [[1], [2, 3]], "b": ["x", None]})
    assert Dataset.from_polars(frame)[:] == {"a": [[1], [2, 3]], "b": ["x", None]}
    assert Dataset.from_polars(frame.lazy()).features == Dataset.from_polars(frame).features


def test_a_generator_is_run_once(tmp_path):
    runs = tmp_path / "runs"

    def rows(names):
        with runs.open("a") as file:
            file.write("run\n")
        for name in names:
            yield {"name": name}

    def make(**options):
        return Dataset.from_generator(rows, cache_dir=str(tmp_path / "cache"),
                                      gen_kwargs={"names": ["a", "b", "c", "d"]}, **options)

    data = make(split="test")
    count = len(runs.read_text())
    assert data["name"][:] == ["a", "b", "c", "d"] and data.split == "test" and data.cache_files
    assert make(split="test")[:] == data[:] and len(runs.read_text()) == count
    assert sorted(make(num_proc=2)["name"]) == ["a", "b", "c", "d"]
    assert not make(keep_in_memory=True).cache_files
    assert make(fingerprint="mine")._fingerprint == "mine"


def test_generators_that_are_none(tmp_path):
    with pytest.raises(TypeError, match="generator must be callable, but got list"):
        Dataset.from_generator([{"a": 1}], cache_dir=str(tmp_path))


@pytest.mark.parametrize("kind", ["csv", "json", "parquet", "text"])
def test_files(tmp_path, kind):
    data = Dataset.from_dict({"text": ["a", "b"]})
    paths = [tmp_path / f"{number}.{kind}" for number in range(2)]
    for path in paths:
        if kind == "text":
            path.write_text("a\nb\n")
        else:
            getattr(data, f"to_{kind}")(path)
    read = getattr(Dataset, f"from_{kind}")
    cache = tmp_path / "cache"
    found = read([str(path) for path in paths], cache_dir=cache, split="valid")
    assert found[:] == {"text": ["a", "b", "a", "b"]} and found.split == "valid"
    assert read(paths[0], cache_dir=cache, keep_in_memory=True)[:] == data[:]
    typed = read(str(paths[0]), cache_dir=cache, features=Features({"text": Value("large_string")}))
    assert typed.features["text"] == Value("large_string")


def test_options_of_formats(tmp_path):
    (tmp_path / "a.json").write_text('{"rows": [{"x": 1}, {"x": 2}]}')
    assert Dataset.from_json(str(tmp_path / "a.json"), field="rows",
                             cache_dir=tmp_path)[:] == {"x": [1, 2]}
    (tmp_path / "a.csv").write_text("x;y\n1;2\n")
    assert Dataset.from_csv(str(tmp_path / "a.csv"), sep=";",
                            cache_dir=tmp_path)[0] == {"x": 1, "y": 2}
    (tmp_path / "a.txt").write_text("a\nb\n\nc\n")
    assert Dataset.from_text(str(tmp_path / "a.txt"), sample_by="paragraph",
                             cache_dir=tmp_path)["text"][:] == ["a\nb", "c\n"]
    Dataset.from_dict({"x": [1, 2], "y": [3, 4]}).to_parquet(tmp_path / "a.parquet")
    assert Dataset.from_parquet(str(tmp_path / "a.parquet"), columns=["y"], cache_dir=tmp_path,
                                filters=[("x", ">", 1)])[:] == {"y": [4]}
