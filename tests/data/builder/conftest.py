"""The same builders for us and for the real library."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import datasets
import pyarrow as pa
import pytest

import enfold.data.builder as ours
from enfold.data.features import Features, Value
from enfold.data.info import DatasetInfo
from enfold.data.splits import SplitGenerator

OURS = SimpleNamespace(
    GeneratorBasedBuilder=ours.GeneratorBasedBuilder, ArrowBasedBuilder=ours.ArrowBasedBuilder,
    DatasetInfo=DatasetInfo, Features=Features, Value=Value, SplitGenerator=SplitGenerator,
    Key=ours.Key)
REAL = SimpleNamespace(**{name: getattr(datasets, name) for name in vars(OURS) if name != "Key"},
                       Key=datasets.builder.Key)


@pytest.fixture(autouse=True)
def module(monkeypatch):
    """The module that the builders say they are from; the real library imports it."""
    monkeypatch.setitem(sys.modules, "my_data", ModuleType("my_data"))


@pytest.fixture(autouse=True)
def quiet():
    from enfold.data.executor import disable_progress_bars, enable_progress_bars

    disable_progress_bars()
    datasets.disable_progress_bars()
    yield
    enable_progress_bars()


def builders(library):
    """(rows, tables): builders of a library that make the same data."""
    class Shared:
        def _info(self):
            return library.DatasetInfo(description="d", features=library.Features(
                {"id": library.Value("int32"), "text": library.Value("string")}))

        def _split_generators(self, dl_manager):
            return [library.SplitGenerator("train", {"parts": [0, 1, 2, 3], "size": (50,)}),
                    library.SplitGenerator("test", {"parts": [9], "size": (30,)})]

    class Rows(Shared, library.GeneratorBasedBuilder):
        def _generate_examples(self, parts, size):
            for shard, part in enumerate(parts):
                for row in range(size[0]):
                    yield library.Key(shard, row), {"id": row, "text": f"{part}-{row}"}

    class Tables(Shared, library.ArrowBasedBuilder):
        def _generate_tables(self, parts, size):
            for shard, part in enumerate(parts):
                for number, start in enumerate(range(0, size[0], 10)):
                    rows = range(start, start + 10)
                    yield library.Key(shard, number), pa.table({
                        "id": pa.array(rows, pa.int32()), "text": [f"{part}-{n}" for n in rows]})

    for cls in (Rows, Tables):
        cls.__module__ = "my_data"
    return Rows, Tables


TRAIN = [{"id": row, "text": f"{part}-{row}"} for part in range(4) for row in range(50)]


@pytest.fixture(params=[0, 1], ids=["rows", "tables"])
def pair(request):
    """(our builder class, the real one)."""
    return builders(OURS)[request.param], builders(REAL)[request.param]
