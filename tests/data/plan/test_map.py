"""map and filter with every option, on rows in memory, shuffled, filtered and left to run: as
`datasets` gives them."""

from __future__ import annotations

import asyncio

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import enfold.data.dataset as ours
from enfold.data import features as our_features
from enfold.data.plan.chunk import Chunk
from enfold.errors import FunctionError

theirs = pytest.importorskip("datasets")
ROWS = 1203


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr("enfold.data.executor.progress._disabled", True)
    theirs.disable_progress_bars()


def table() -> dict[str, list]:
    return {"text": [f"row {i}" for i in range(ROWS)], "n": list(range(ROWS)),
            "tokens": [[i, i + 1] for i in range(ROWS)],
            "maybe": [None if i % 3 else float(i) for i in range(ROWS)]}


BASES = {
    "plain": lambda ds: ds,
    "shuffled": lambda ds: ds.shuffle(seed=5),
    "filtered": lambda ds: ds.filter(lambda row: row["n"] % 5 > 0),
    "pending": lambda ds: ds.map(lambda row: {"extra": row["n"] * 2}),
    "stretch": lambda ds: ds.select(range(10, 1150)),
}


async def later(row):
    await asyncio.sleep(0)
    return {"later": row["n"]}


def in_place(row):
    row["text"] = row["text"].upper()
    row["tokens"].append(7)
    return {"x": 1}


def deletes(row):
    del row["maybe"]
    return row


def _whole(batch):
    return {"sum": [sum(batch["n"])]}


MAPS = {
    "new column": {"function": lambda row: {"m": row["n"] + 1}},
    "row returned": {"function": lambda row: row},
    "row altered in place": {"function": in_place},
    "row altered and returned": {"function": lambda row: row.update(text="x") or row},
    "column deleted": {"function": deletes},
    "overwritten": {"function": lambda row: {"text": row["text"] + "!"}},
    "other type": {"function": lambda row: {"n": str(row["n"])}},
    "nested": {"function": lambda row: {"d": {"a": row["n"], "b": [row["text"]]}}},
    "indices": {"function": lambda row, i: {"i": i}, "with_indices": True},
    "indices, batched": {"function": lambda b, i: {"i": i}, "with_indices": True, "batched": True},
    "rank": {"function": lambda row, r: {"r": r}, "with_rank": True},
    "both": {"function": lambda row, i, r: {"i": i, "r": r}, "with_rank": True,
             "with_indices": True},
    "input columns": {"function": lambda n, t: {"s": f"{n}{t}"}, "input_columns": ["n", "text"]},
    "input column": {"function": lambda n: {"s": n}, "input_columns": "n"},
    "arguments": {"function": lambda row, add: {"s": row["n"] + add}, "fn_kwargs": {"add": 3}},
    "removed": {"function": lambda row: {"m": row["n"]}, "remove_columns": ["n", "text"]},
    "removed, row returned": {"function": lambda row: row, "remove_columns": ["n"]},
    "removed and given": {"function": lambda row: {"n": -row["n"]}, "remove_columns": "n"},
    "batched": {"function": lambda b: {"m": [x + 1 for x in b["n"]]}, "batched": True},
    "batch of 7": {"function": lambda b: {"k": [len(b["n"])] * len(b["n"])}, "batched": True,
                       "batch_size": 7},
    "batch of all": {"function": lambda b: {"k": [len(b["n"])] * len(b["n"])}, "batched": True,
                         "batch_size": None},
    "last batch dropped": {"function": lambda b: {"k": b["n"]}, "batched": True, "batch_size": 100,
                               "drop_last_batch": True},
    "fewer rows": {"function": _whole, "batched": True, "batch_size": 10,
                       "remove_columns": ["text", "n", "tokens", "maybe"]},
    "more rows": {"function": lambda b: {"n": [x for x in b["n"] for _ in range(2)]},
                      "batched": True, "remove_columns": ["text", "tokens", "maybe"]},
    "batch altered in place": {"function": lambda b: b["text"].__setitem__(0, "first") or {},
                                   "batched": True},
    "numpy": {"function": lambda b: {"a": np.array(b["n"]) * 0.5}, "batched": True},
    "arrays": {"function": lambda row: {"a": np.ones((2, 3)) * row["n"]}},
    "table": {"function": lambda b: pa.table({"m": pa.array(b["n"])}), "batched": True,
                  "remove_columns": ["text", "n", "tokens", "maybe"]},
    "frame": {"function": lambda b: __import__("pandas").DataFrame({"m": b["n"]}), "batched": True,
                  "remove_columns": ["text", "n", "tokens", "maybe"]},
    "asynchronous": {"function": later},
    "numbers of tokens": {"function": lambda b: {"input_ids": b["tokens"]}, "batched": True},
    "nothing": {"function": None},
    "sometimes None": {"function": lambda row: {"o": None if row["n"] % 2 else row["n"]}},
    "None where nothing is nullable": {"function": lambda row: {"o": row["maybe"]},
                                       "disable_nullable": True},
}


def outcome(dataset, options):
    options = dict(options)
    function = options.pop("function")
    ds = dataset.map(function, **options)
    return ds.column_names, {name: str(f) for name, f in ds.features.items()}, ds.to_dict()


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("case", MAPS)
def test_map_is_as_theirs(case, base):
    options = dict(MAPS[case])
    if base == "pending" and "remove_columns" in options:
        gone = options["remove_columns"]
        options["remove_columns"] = [*([gone] if isinstance(gone, str) else gone), "extra"]
    got = outcome(BASES[base](ours.Dataset.from_dict(table())), options)
    expected = outcome(BASES[base](theirs.Dataset.from_dict(table())), options)
    assert got == expected


FILTERS = {
    "row": {"function": lambda row: row["n"] % 3 == 0},
    "none": {"function": lambda row: False},
    "all": {"function": lambda row: True},
    "batched": {"function": lambda b: [n > 100 for n in b["n"]], "batched": True},
    "numpy": {"function": lambda b: np.array(b["n"]) > 100, "batched": True, "batch_size": 17},
    "indices": {"function": lambda row, i: i % 2 == 1, "with_indices": True},
    "input columns": {"function": lambda n: n < 9, "input_columns": "n"},
    "arguments": {"function": lambda row, low: row["n"] > low, "fn_kwargs": {"low": 40}},
    "nested": {"function": lambda row: row["tokens"][0] > 5},
}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("case", FILTERS)
def test_filter_is_as_theirs(case, base):
    options = dict(FILTERS[case])
    function = options.pop("function")
    got = BASES[base](ours.Dataset.from_dict(table())).filter(function, **options)
    expected = BASES[base](theirs.Dataset.from_dict(table())).filter(function, **options)
    assert got.to_dict() == expected.to_dict()
    assert got.num_rows == expected.num_rows


@pytest.mark.parametrize("format", ["numpy", "torch", "pandas", "arrow", "polars"])
@pytest.mark.parametrize("batched", [True, False])
def test_functions_get_the_format_that_is_set(format, batched):
    seen = {"ours": [], "theirs": []}

    def kinds(name):
        def function(x):
            seen[name].append(type(x["n"]).__name__)
            return {"m": x["n"]} if format in ("numpy", "torch") else None

        return function

    for name, library in (("ours", ours), ("theirs", theirs)):
        ds = library.Dataset.from_dict({"n": [1, 2, 3]}).with_format(format)
        ds.map(kinds(name), batched=batched)
    assert seen["ours"] == seen["theirs"]


def test_formatted_columns_after_map():
    for library in (ours, theirs):
        ds = library.Dataset.from_dict({"a": [1], "b": [2]}).with_format("numpy", columns=["a"])
        ds = ds.map(lambda row: {"c": 3})
        assert ds.format["columns"] == ["a", "c"]
        assert ds[0] == {"a": 1, "c": 3}


def test_features_given():
    given = {"n": ("int32",), "m": ("string",)}
    for library, kinds in ((ours, our_features), (theirs, theirs)):
        features = kinds.Features({name: kinds.Value(*kind) for name, kind in given.items()})
        ds = library.Dataset.from_dict({"n": [1, 2]}).map(lambda row: {"m": row["n"]},
                                                          features=features)
        assert ds.features["n"].dtype == "int32"
        assert ds[:] == {"n": [1, 2], "m": ["1", "2"]}


def test_labels_stay_labels():
    for library, kinds in ((ours, our_features), (theirs, theirs)):
        labels = kinds.ClassLabel(names=["no", "yes"])
        ds = library.Dataset.from_dict({"l": [0, 1]}, features=kinds.Features({"l": labels}))
        assert ds.map(lambda row: {"l": 1 - row["l"]}).features["l"].names == ["no", "yes"]


@pytest.mark.parametrize("expression", [pc.field("n") > 100, ~(pc.field("maybe") > 3),
                                        (pc.field("n") > 5) & (pc.field("text") != "row 9")])
@pytest.mark.parametrize("base", ["plain", "shuffled", "pending"])
def test_filter_by_an_expression(expression, base):
    ds = BASES[base](ours.Dataset.from_dict(table()))
    expected = ds.with_format("arrow")[:].filter(expression)
    assert ds.filter(expression).to_list() == expected.to_pylist()


@pytest.mark.parametrize(("expression", "read"), [
    (pc.field("n") > 100, ["n"]), (pc.field("s", "x") == 1, ["s"]),
    (pc.field("n").isin([1]) | pc.field("text").is_null(), ["text", "n"]),
    (pc.scalar(True), ["text"])])
def test_an_expression_reads_the_columns_that_it_names(monkeypatch, expression, read):
    seen = []
    table = Chunk.table

    def noted(chunk, names=None):
        seen.append(names)
        return table(chunk, names)

    monkeypatch.setattr(Chunk, "table", noted)
    ds = ours.Dataset.from_dict({"text": ["a", None], "n": [1, 200], "s": [{"x": 1}, {"x": 2}]})
    len(ds.shuffle(seed=1).filter(expression))
    assert seen[0] == read


WRONG = {
    "a number": (lambda row: 3, {}, r"<lambda> returned int 3\. Expected a dict with a value per "
                                    r"column"),
    "a scalar in a batch": (lambda b: {"m": 3}, {"batched": True},
                            r"returned int 3 as column 'm'\. Expected a list"),
    "too few": (lambda b: {"m": [1]}, {"batched": True},
                r"returned 1 values in column 'm' for rows 0 to 999, and the columns \['text'"),
    "uneven": (lambda b: {"a": [1], "b": [1, 2]},
               {"batched": True, "remove_columns": ["text", "n", "tokens", "maybe"]},
               r"others have 1: expected length 1 in every"),
    "sometimes nothing": (lambda row: None if row["n"] == 5 else {"a": 1}, {},
                          r"returned None for row 5 of a batch"),
    "other columns": (lambda row: {"a": 1} if row["n"] < 5 else {"b": 1}, {},
                      r"returned the columns \['b'\] for row 5"),
    "unknown column removed": (lambda row: row, {"remove_columns": ["txt"]},
                               r"no column 'txt' \(nearest: 'text'\)"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_raises(case):
    function, options, message = WRONG[case]
    with pytest.raises((FunctionError, ValueError), match=message):
        ours.Dataset.from_dict(table()).map(function, **options)


def test_an_error_says_which_rows(capfd):
    def breaks(row):
        return {"a": 1 // (row["n"] - 1100)}

    ds = ours.Dataset.from_dict(table()).map(breaks)
    with pytest.raises(ZeroDivisionError) as raised:
        ds[0]
    assert raised.value.__notes__ == ["(while map() ran breaks on rows 1000 to 1202)"]
