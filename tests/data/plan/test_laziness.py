"""Laziness never changes a result: each rule beside the eager library."""

from __future__ import annotations

import random
import sys
from collections import Counter
from types import ModuleType

import numpy as np
import pytest

from enfold.data import set_eager
from enfold.data.dataset import Dataset
from enfold.errors import DataError

ROWS = 2500  # more than a first batch


@pytest.fixture(params=["ours", "theirs"])
def make(request):
    """Makes the same dataset with either library."""
    if request.param == "ours":
        return Dataset.from_dict
    datasets = pytest.importorskip("datasets")
    return datasets.Dataset.from_dict


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr("enfold.data.executor.progress._disabled", True)


def table(n: int = ROWS) -> dict[str, list]:
    return {"text": [f"Row {i}" for i in range(n)], "number": list(range(n))}


def test_a_late_binding_loop_keeps_each_value(make):
    ds = make(table())
    for name in ["a", "b", "c"]:
        ds = ds.map(lambda row: {name: name + row["text"]})  # noqa: B023 - what users write
    assert ds[ROWS - 1] == {"text": f"Row {ROWS - 1}", "number": ROWS - 1,
                            "a": f"aRow {ROWS - 1}", "b": f"bRow {ROWS - 1}",
                            "c": f"cRow {ROWS - 1}"}


def test_a_global_and_a_default_are_those_of_the_call(make):
    global FACTOR
    FACTOR = 2
    ds = make(table()).map(lambda row, shift=1: {"n": row["number"] * FACTOR + shift})
    FACTOR = 100
    assert ds[ROWS - 1]["n"] == (ROWS - 1) * 2 + 1


def test_a_function_for_its_side_effects_runs_over_all_rows_at_once(make):
    seen = []

    def note(row):
        seen.append(row["number"])

    ds = make(table()).map(note)
    assert seen == list(range(ROWS))
    assert ds.column_names == ["text", "number"]


def test_a_counter_counts_every_row_once(make):
    words: Counter[str] = Counter()

    def count(row):
        words.update(row["text"].split())
        return {"n": 1}

    make(table()).map(count)
    assert words["Row"] == ROWS


def test_a_counter_that_is_a_variable_of_the_caller(make):
    seen = 0

    def count(row):
        nonlocal seen
        seen += 1
        return {"nth": seen}

    ds = make(table()).map(count)
    assert (seen, ds[ROWS - 1]["nth"], seen) == (ROWS, ROWS, ROWS)


def test_a_counter_that_is_a_global(make):
    global FACTOR
    FACTOR = 0

    def count(row):
        global FACTOR
        FACTOR += 1
        return True

    assert (len(make(table()).filter(count)), FACTOR) == (ROWS, ROWS)


def test_a_growing_vocabulary_is_whole_after_map(make):
    ids: dict[str, int] = {}
    ds = make(table()).map(lambda row: {"id": ids.setdefault(row["text"], len(ids))})
    assert len(ids) == ROWS
    assert ds[ROWS - 1]["id"] == ROWS - 1


def test_a_method_that_changes_its_object(make):
    class Numbering:
        def __init__(self):
            self.last = 0

        def next(self, row):
            self.last += 1
            return {"number": self.last}

    numbering = Numbering()
    ds = make(table()).map(numbering.next)
    assert numbering.last == ROWS
    assert ds[-1]["number"] == ROWS


@pytest.mark.parametrize("draw", [random.random, lambda: float(np.random.random())])
def test_random_numbers_are_drawn_at_the_call(make, draw):
    random.seed(3)
    np.random.seed(3)
    ds = make(table()).map(lambda row: {"r": draw()})
    after = draw()
    random.seed(3)
    np.random.seed(3)
    assert ds["r"][:] == [draw() for _ in range(ROWS)]
    assert draw() == after


def test_a_generator_that_the_first_batch_loads_was_not_drawn_from(monkeypatch):
    monkeypatch.delitem(sys.modules, "numpy.random")

    def load(row):
        sys.modules["numpy.random"] = np.random
        return {"n": 1}

    assert not Dataset.from_dict(table()).map(load).plan.done


def test_an_error_in_the_first_batch_is_there_at_once(make):
    def broken(row):
        raise ZeroDivisionError("in row 0")

    with pytest.raises(ZeroDivisionError, match="in row 0"):
        make(table()).map(broken)


def test_schema_and_features_are_there_at_once(make):
    ds = make(table()).map(lambda row: {"length": len(row["text"]), "words": row["text"].split()})
    assert ds.column_names == ["text", "number", "length", "words"]
    assert ds.features["length"].dtype == "int64"
    assert ds.features["words"].feature.dtype == "string"


def test_a_column_of_nulls_in_the_first_batch():
    """The eager library raises here; the type is that of the values that come later."""
    ds = Dataset.from_dict(table()).map(
        lambda row: {"late": None if row["number"] < 2000 else "x"})
    assert ds.features["late"].dtype == "string"
    assert ds[0]["late"] is None
    assert ds[ROWS - 1]["late"] == "x"


# -- ours alone




def test_only_the_first_batch_runs_before_something_reads():
    ds = Dataset.from_dict(table()).map(_length)
    assert not ds.plan.done
    assert "to do" in repr(ds.plan)
    assert ds.num_rows == ROWS
    assert not ds.plan.done
    assert ds[ROWS - 1]["n"] == len(f"Row {ROWS - 1}")
    assert ds.plan.done


@pytest.mark.parametrize("read", [lambda ds: ds[0], list, lambda ds: ds[:3], lambda ds: ds.cache(),
                                  lambda ds: ds.to_list(), lambda ds: ds["n"][5]])
def test_what_reads_runs(read):
    ds = Dataset.from_dict(table()).map(_length)
    read(ds)
    assert ds.plan.done or ds["n"]


def test_len_of_a_filter_runs_it():
    ds = Dataset.from_dict(table()).filter(lambda row: row["number"] % 2 == 0)
    assert not ds.plan.done
    assert len(ds) == ROWS // 2
    assert ds.plan.done


def test_no_row_is_computed_twice(tmp_path):
    log = tmp_path / "calls"

    def logged(row):
        with log.open("a") as file:
            file.write(f"{row['number']}\n")
        return {"n": 1}

    ds = Dataset.from_dict(table(1500)).map(logged)
    ds = ds.map(lambda batch: {"m": batch["n"]}, batched=True, batch_size=300)
    ds = ds.filter(lambda row: row["m"] == 1)
    assert len(ds) == 1500
    assert [int(line) for line in log.read_text().split()] == list(range(1500))


def test_a_chain_is_one_pass(tmp_path):
    ds = Dataset.from_dict(table())
    ds = ds.map(_length).map(lambda row: {"m": row["n"] + 1}).filter(lambda row: row["m"] > 6)
    assert repr(ds.plan).count("to do") == 3
    assert ds[0]["m"] == 7
    assert repr(ds.plan).count("to do") == 2  # the steps below were never stored


def test_a_step_that_somebody_holds_is_run_once_for_all(tmp_path):
    log = tmp_path / "calls"

    def logged(row):
        with log.open("a") as file:
            file.write("x")
        return {"n": row["number"]}

    held = Dataset.from_dict(table()).map(logged)
    one, other = held.map(lambda row: {"a": row["n"]}), held.map(lambda row: {"b": row["n"]})
    assert one[5]["a"] == other[5]["b"] == held[5]["n"] == 5
    assert len(log.read_text()) == ROWS


def test_what_is_altered_between_map_and_run_raises():
    table_of = {"a": 1}
    ds = Dataset.from_dict(table()).map(lambda row: {"n": table_of["a"]})
    table_of["a"] = 2
    message = (r"map: captured variable 'table_of' of <lambda> was altered after map\(\) was "
               r"called and before it ran")
    with pytest.raises(DataError, match=message):
        ds[0]


@pytest.mark.parametrize(("attribute", "value"), [("RATE", 2), ("rated", lambda number: -1)])
def test_what_is_set_in_a_module_between_map_and_run_raises(monkeypatch, attribute, value):
    settings = ModuleType("settings")
    settings.RATE, settings.rated = 1, lambda number: number
    monkeypatch.setitem(sys.modules, "settings", settings)
    ds = Dataset.from_dict(table()).map(
        lambda row: {"n": settings.rated(row["number"]) * settings.RATE})
    setattr(settings, attribute, value)
    with pytest.raises(DataError, match=rf"'settings\.{attribute}' of <lambda> was altered after"):
        ds[0]


def test_a_file_that_is_gone_when_the_function_runs(tmp_path):
    note = tmp_path / "note.txt"
    note.write_text("x")
    ds = Dataset.from_dict(table()).map(lambda row: {"n": note.read_text()})
    note.unlink()
    with pytest.raises(FileNotFoundError) as caught:
        ds[0]
    assert any("Do: lazy=False runs it at once" in told for told in caught.value.__notes__)


@pytest.mark.parametrize("how", ["argument", "set_eager", "environment"])
def test_eager_when_asked(how, monkeypatch):
    if how == "set_eager":
        set_eager()
    elif how == "environment":
        monkeypatch.setenv("ENFOLD_EAGER", "1")
    try:
        ds = Dataset.from_dict(table()).map(_length, **({"lazy": False} if how == "argument"
                                                        else {}))
        assert ds.plan.done
    finally:
        set_eager(False)


def test_cache_file_name_runs_and_writes(tmp_path):
    path = tmp_path / "mine.arrow"
    ds = Dataset.from_dict(table()).map(_length, cache_file_name=str(path))
    assert ds.plan.done
    datasets = pytest.importorskip("datasets")
    assert datasets.Dataset.from_file(str(path))[ROWS - 1] == ds[ROWS - 1]


def _length(row):
    return {"n": len(row["text"])}


def test_columns_left_out_of_some_rows_are_the_inputs_and_nothing_runs_twice():
    calls = []

    def uneven(row):
        calls.append(1)
        return {"number": -row["number"], "text": "x"} if row["number"] % 2 else {"number": 0}

    ds = Dataset.from_dict(table(100)).map(uneven)
    assert len(calls) == 100
    assert ds[:4] == {"text": ["Row 0", "x", "Row 2", "x"], "number": [0, -1, 0, -3]}
