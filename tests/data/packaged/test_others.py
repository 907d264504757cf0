"""Builders without files: generators, Spark, and the configurations of all."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from enfold.data.datafiles import DataFilesList
from enfold.data.features import Features, Value
from enfold.data.packaged import MODULES, builder_class
from enfold.data.packaged.generator import Generator
from enfold.data.packaged.spark import Spark


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("name", sorted(set(MODULES) - {"sql", "iceberg"}))
def test_configurations(name: str) -> None:
    made = builder_class(name).BUILDER_CONFIG_CLASS
    with pytest.raises(ValueError, match="Bad characters"):
        made(name="a*b")
    with pytest.raises(ValueError, match="Expected a DataFilesDict"):
        made(data_files=DataFilesList(["a"], [()]))
    assert made(name="x").features is None


def test_generators() -> None:
    def rows(names: list[str], times: int) -> Iterator[dict[str, Any]]:
        for name in names:
            yield from ({"x": f"{name}{n}"} for n in range(times))

    builder = Generator(generator=rows, gen_kwargs={"names": ["a", "b"], "times": 2})
    builder.download_and_prepare()
    assert builder.as_dataset("train")["x"] == ["a0", "a1", "b0", "b1"]
    assert [key.original_shard_id for key, _ in builder._generate_examples(
        names=["a", "b"], times=2)] == [0, 0, 1, 1]
    with pytest.raises(ValueError, match="differ in length"):
        list(builder._generate_examples(names=["a", "b"], times=[1]))
    with pytest.raises(ValueError, match="generator must be specified"):
        Generator()
    with pytest.raises(TypeError, match=r"must be callable, but got list.*from_list"):
        Generator(generator=[{"x": 1}])


class Partition:
    """`spark_partition_id()`: what it is compared with."""

    def __eq__(self, other: object) -> Any:
        return other

    __hash__ = None


@pytest.mark.parametrize("version", [3, 4])
def test_spark(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    functions = ModuleType("pyspark.sql.functions")
    functions.spark_partition_id = Partition
    monkeypatch.setitem(sys.modules, "pyspark.sql.functions", functions)
    parts = [pa.table({"x": [1, 2]}), pa.table({"x": [3]})]

    def fetched(number: int) -> Any:
        table = parts[number]
        return SimpleNamespace(toArrow=lambda: table) if version == 4 else SimpleNamespace(
            _collect_as_arrow=table.to_batches, schema=None)

    frame = SimpleNamespace(rdd=SimpleNamespace(getNumPartitions=lambda: 2), where=fetched,
                            semanticHash=lambda: 42)
    if version == 3:
        types = ModuleType("pyspark.sql.pandas.types")
        types.to_arrow_schema = lambda schema: parts[0].schema
        monkeypatch.setitem(sys.modules, "pyspark.sql.pandas.types", types)
    builder = Spark(frame, features=Features({"x": Value("int32")}))
    assert builder.config.name == "42"
    builder.download_and_prepare()
    found = builder.as_dataset("train")
    assert found["x"] == [1, 2, 3] and found.features == {"x": Value("int32")}
