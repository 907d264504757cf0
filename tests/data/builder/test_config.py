"""Which configuration a builder gets, and where its folder is."""

from __future__ import annotations

import os
from dataclasses import dataclass

import datasets
import pytest

from enfold.data.builder import BuilderConfig, GeneratorBasedBuilder, InvalidConfigName
from enfold.data.features import Features, Value
from enfold.data.info import DatasetInfo
from enfold.errors import DataError


@dataclass(eq=False)
class LanguageConfig(BuilderConfig):
    language: str = "en"
    rows: int = 3


class Plain(GeneratorBasedBuilder):
    BUILDER_CONFIG_CLASS = LanguageConfig

    def _info(self):
        return DatasetInfo()

    def _split_generators(self, dl_manager):
        return []

    def _generate_examples(self):
        yield from ()


class Named(Plain):
    BUILDER_CONFIGS = (LanguageConfig(name="one"), LanguageConfig(name="two", version="2.0.0"))


class Chosen(Named):
    DEFAULT_CONFIG_NAME = "two"


class Versioned(Plain):
    VERSION = "3.0.0"


@pytest.fixture
def at(tmp_path):
    """`at(cls, ...)`: a builder, and its folder below the cache."""
    def make(cls, **options):
        builder = cls(cache_dir=str(tmp_path), dataset_name="D", **options)
        return os.path.relpath(builder.cache_dir, tmp_path), builder

    return make


@pytest.mark.parametrize(("cls", "options", "folder"), [
    (Plain, {}, "d/default/0.0.0"), (Plain, {"hash": "abc"}, "d/default/0.0.0/abc"),
    (Plain, {"config_name": "x"}, "d/x/0.0.0"), (Versioned, {}, "d/default/3.0.0"),
    (Plain, {"language": "fr"}, "d/default-language=fr/0.0.0"),
    (Plain, {"rows": 4, "language": "a/b"}, "d/default-language=a%2Fb,rows=4/0.0.0"),
    (Plain, {"repo_id": "org/name"}, "org___d/default/0.0.0"),
    (Plain, {"version": "1.2.3"}, "d/default/1.2.3"), (Plain, {"config_id": "own"}, "d/own/0.0.0"),
    (Named, {"config_name": "one"}, "d/one/0.0.0"), (Chosen, {}, "d/two/2.0.0"),
    (Chosen, {"rows": 9}, "d/two-rows=9/2.0.0"), (Named, {"rows": 9}, "d/default-rows=9/0.0.0"),
])
def test_folders(at, cls, options, folder):
    assert at(cls, **options)[0] == folder


def test_folders_as_the_real_library():
    for options in ({}, {"language": "fr"}, {"rows": 3, "language": "x y"}, {"version": "1.0.0"}):
        ours = BuilderConfig(name="n").create_config_id(dict(options))
        assert ours == datasets.BuilderConfig(name="n").create_config_id(dict(options))
    long = BuilderConfig().create_config_id({"language": "x" * 40})
    assert long.startswith("default-") and len(long) == 24
    name = "n" * 240
    assert len(BuilderConfig(name=name).create_config_id({"a": "x" * 20})) == 257


def test_what_changes_the_folder(at, tmp_path):
    def folder(**options):
        return at(Plain, **options)[0]

    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")
    a, b = str(tmp_path / "a.txt"), str(tmp_path / "b.txt")
    assert folder(data_files=a) == folder(data_files=[a]) == folder(data_files={"train": a})
    assert folder(data_dir="x/") == folder(data_dir="x/.")
    names = {folder(), folder(data_files=a), folder(data_files=b), folder(data_files=[a, b]),
             folder(data_files={"test": a}), folder(data_dir="x"), folder(data_dir="y"),
             folder(features=Features({"a": Value("int8")})),
             folder(features=Features({"a": Value("int16")}))}
    assert len(names) == 9
    before = folder(data_files=a)
    (tmp_path / "a.txt").write_text("other")
    assert folder(data_files=a) != before


def test_named_configurations_stay_as_they_are(at):
    _, builder = at(Named, config_name="one", rows=8)
    assert builder.config.rows == 8 and Named.builder_configs["one"].rows == 3
    assert builder.info.config_name == "one" and builder.info.version == "0.0.0"
    assert builder.info.builder_name == "test_config" and builder.info.dataset_name == "d"
    assert LanguageConfig() == LanguageConfig() != LanguageConfig(rows=1)
    assert LanguageConfig() != 3


class Twice(Plain):
    BUILDER_CONFIGS = (LanguageConfig(name="one"), LanguageConfig(name="one"))


@pytest.mark.parametrize(("cls", "options", "message"), [
    (Named, {}, "Please pick one among the available configs: (?s:.*)load_dataset"),
    (Named, {"config_name": "on"}, r"BuilderConfig 'on' not found \(nearest: 'one'\)"),
    (Chosen, {"row": 3}, r"doesn't have a 'row' key \(nearest: 'rows'\)"),
    (Named, {"config_name": "one", "config_id": "two"}, "Cannot name a custom configuration"),
    (Plain, {"version": None}, "Expected both"),
    (Twice, {"config_name": "one"}, "must not be duplicated"),
])
def test_configurations_that_are_none(at, cls, options, message):
    with pytest.raises(DataError, match=message):
        at(cls, **options)


def test_names_and_files_that_are_none(at, tmp_path):
    with pytest.raises(InvalidConfigName, match=r"Bad characters '\*/'"):
        BuilderConfig(name="a*/b")
    with pytest.raises(DataError, match="Expected a DataFilesDict in data_files but got 'x'"):
        BuilderConfig(data_files="x")
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(DataError, match="Data files don't belong to org/name"):
        at(Plain, repo_id="org/name", data_files=str(tmp_path / "a.txt"))


def test_the_cache_folder_is_that_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    assert Plain().cache_dir.startswith(str(tmp_path))
    assert Plain(cache_dir="s3://b/c").cache_dir == "s3://b/c/test_config/default/0.0.0"
