"""`run(engine="ray")`: the same rows as a run in this process."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from enfold.data import Dataset, Features, Image, Value
from enfold.data.executor import WorkerError
from enfold.data.frame import write
from enfold.errors import ArgumentError, DataError, DependencyError, InputError

ROWS = 12_000


@pytest.fixture(params=["file", "memory"])
def rows(request, tmp_path) -> Dataset:
    table = pa.table({"text": ["x" * (number % 50) for number in range(ROWS)],
                      "number": list(range(ROWS))})
    if request.param == "memory":
        return Dataset(table)
    write(tmp_path / "rows.arrow", table.to_batches(1000), table.schema)
    return Dataset.from_file(str(tmp_path / "rows.arrow"))


def length(row):
    return {"n": len(row["text"])}


PLANS = {
    "map": lambda ds: ds.map(length),
    "three steps": lambda ds: ds.map(length).filter(lambda row: row["n"] > 20).map(
        lambda row: {"twice": row["n"] * 2}),
    "indices after a filter": lambda ds: ds.filter(lambda row: row["number"] % 3 == 0).map(
        lambda row, place: {"place": place}, with_indices=True),
    "batches": lambda ds: ds.map(lambda batch: {"first": [batch["number"][0]] * len(
        batch["number"])}, batched=True, batch_size=300),
    "fewer rows": lambda ds: ds.map(lambda batch: {"sum": [sum(batch["number"])]}, batched=True,
                                    batch_size=100, remove_columns=["text", "number"]),
    "one batch": lambda ds: ds.map(lambda batch: {"size": [len(batch["number"])] * len(
        batch["number"])}, batched=True, batch_size=None),
    "shuffled": lambda ds: ds.shuffle(seed=3).map(length).sort("number").map(
        lambda row: {"m": row["n"] + 1}),
    "expression": lambda ds: ds.map(length).filter(pc.field("n") > 40),
    "nothing left": lambda ds: ds.filter(lambda row: row["number"] < 0),
    "columns": lambda ds: ds.map(length, remove_columns=["text"]).rename_column("n", "k").map(
        lambda row: {"k2": row["k"]}),
    "late type": lambda ds: ds.map(
        lambda row: {"big": None if row["number"] < 11_000 else row["number"]},
        features=Features({**ds.features, "big": Value("int64")})),
}


@pytest.mark.parametrize("plan", PLANS)
def test_the_rows_are_those_of_a_run_here(rows, ray, plan, monkeypatch, tmp_path) -> None:
    with monkeypatch.context() as here:
        here.setenv("ENFOLD_CACHE", str(tmp_path / "here"))
        expected = PLANS[plan](rows).to_list()
    found = PLANS[plan](rows)
    assert found.run(engine="ray") is found
    assert found.plan.done
    assert found.to_list() == expected


def test_closures_and_this_modules_functions_travel(rows, ray) -> None:
    by = np.float64(3)
    found = rows.map(lambda row: {**length(row), "by": row["number"] * by}).run(engine="ray")
    assert found[7] == {"text": "x" * 7, "number": 7, "n": 7, "by": 21.0}


def test_each_rank_has_one_stretch(rows, ray) -> None:
    found = rows.map(lambda row, rank: {"rank": rank}, with_rank=True, num_proc=2)
    ranks = np.asarray(found.run(engine="ray")["rank"])
    assert set(ranks) == {0, 1}
    assert (np.diff(ranks) >= 0).all()


def test_what_a_function_raises_is_raised_here(rows, ray) -> None:
    def divide(row):
        return {"z": 1 // (row["number"] - 7000)}

    with pytest.raises(ZeroDivisionError) as caught:
        rows.map(divide).run(engine="ray")
    assert "in a Ray worker" in str(caught.value.__cause__)
    assert "divide" in str(caught.value.__cause__)
    assert any("map() ran" in note for note in caught.value.__notes__)


def test_an_exception_that_cannot_travel_is_told(rows, ray) -> None:
    class Odd(Exception):
        def __init__(self, first, second) -> None:
            super().__init__(first)

    def fail(row):
        if row["number"] == 7000:
            raise Odd(1, 2)
        return {"z": 1}

    with pytest.raises((WorkerError, Odd)) as caught:
        rows.map(fail).run(engine="ray")
    assert "Odd" in str(caught.value.__cause__)


def test_a_worker_that_dies_is_told(rows, ray) -> None:
    def die(row):
        if row["number"] == 7000:
            sys.exit(3)
        return {"z": 1}

    with pytest.raises((WorkerError, SystemExit)) as caught:
        rows.map(die).run(engine="ray")
    assert "rows" in str(caught.value)


def test_array_columns_come_back_as_they_are(ray) -> None:
    from enfold.data import Array2D

    features = Features({"a": Array2D((2, 2), "float32"), "n": Value("int64")})
    data = {"a": [np.full((2, 2), number, "f4") for number in range(3000)], "n": range(3000)}
    rows = Dataset.from_dict({"a": data["a"], "n": list(data["n"])}, features=features)
    found = rows.map(lambda row: {"b": row["n"]}).run(engine="ray")
    assert found.features["a"] == features["a"]
    assert np.asarray(found[2500]["a"]).tolist() == [[2500, 2500], [2500, 2500]]


def test_images_travel_as_bytes(ray) -> None:
    pillow = pytest.importorskip("PIL.Image")
    images = [pillow.new("RGB", (4, 3), (number % 256, 0, 0)) for number in range(1500)]
    rows = Dataset.from_dict({"image": images}, features=Features({"image": Image()}))
    found = rows.map(lambda row: {"red": row["image"].getpixel((0, 0))[0]}).run(engine="ray")
    assert found[1400]["red"] == 1400 % 256


def test_a_result_is_cached_as_one_of_this_machine(tmp_path, stand_in) -> None:
    table = pa.table({"number": list(range(5000))})
    write(tmp_path / "rows.arrow", table.to_batches(1000), table.schema)
    rows = Dataset.from_file(str(tmp_path / "rows.arrow"))
    rows.map(lambda row: {"n": row["number"] + 1}).run(engine="ray")
    calls = stand_in.calls
    assert calls
    again = Dataset.from_file(str(tmp_path / "rows.arrow")).map(
        lambda row: {"n": row["number"] + 1})
    assert again.plan.done
    assert again.run(engine="ray")[4999] == {"number": 4999, "n": 5000}
    assert stand_in.calls == calls


def test_a_cluster_is_left_as_it_was_found(stand_in) -> None:
    rows = Dataset.from_dict({"number": list(range(3000))}).map(lambda row: {"n": 1})
    rows.run(engine="ray", address="ray://host:10001", runtime_env={"pip": ["x"]})
    assert stand_in.inits == [{"address": "ray://host:10001", "runtime_env": {"pip": ["x"]}}]
    assert not stand_in.here
    stand_in.here = True
    for address in (None, "auto", "10.0.0.1:6379"):
        rows.map(lambda row: {"m": 2}).run(engine="ray", address=address)
    assert stand_in.here
    with pytest.raises(InputError, match="connected to a Ray cluster already"):
        rows.run(engine="ray", address="10.0.0.2:6379")
    with pytest.raises(InputError, match="connected to a Ray cluster already"):
        rows.run(engine="ray", num_cpus=1)


def test_what_cannot_be_sent_is_named(stand_in) -> None:
    lock = __import__("threading").Lock()

    def locked(row):
        with lock:
            return {"n": 1}

    rows = Dataset.from_dict({"number": list(range(3000))})
    from enfold.data.engines.ray import RayEngine
    from enfold.data.plan.engine import running_on

    with RayEngine() as engine, running_on(engine), pytest.raises(DataError, match="lock"):
        rows.map(locked)  # run at once, as a lock has no digest


def test_without_engine_it_runs_here() -> None:
    rows = Dataset.from_dict({"number": list(range(3000))}).map(lambda row: {"n": 1})
    assert not rows.plan.done
    assert rows.run() is rows
    assert rows.plan.done


@pytest.mark.parametrize(("arguments", "kind", "message"), [
    ({"engine": "rya"}, DataError, r"no engine 'rya' \(nearest: 'ray'\).*one of \['ray'\]"),
    ({"engine": "spark"}, DataError, "no engine 'spark'. Expected one of"),
    ({"address": "auto"}, ArgumentError, "got address without engine"),
    ({"num_cpus": 2}, ArgumentError, "got num_cpus without engine"),
])
def test_wrong_arguments(arguments, kind, message) -> None:
    with pytest.raises(kind, match=message):
        Dataset.from_dict({"n": [1]}).run(**arguments)


def test_without_ray_the_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DependencyError, match=r"enfold\[ray\]"):
        Dataset.from_dict({"n": [1]}).run(engine="ray")
