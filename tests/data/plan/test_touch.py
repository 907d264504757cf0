"""Which columns a function reads, told by its text or not at all."""

from __future__ import annotations

from functools import partial

import pytest

from enfold.data.plan.touch import columns_read


def helper(row):
    return row


def assigned(row):
    other = row
    return {"n": other["a"]}


def generator(row):
    yield row["a"]


def looks(row):
    return {"n": len(locals())}


def two(row):
    first = row["a"]
    if first:
        return {"n": first + row["b"]}
    return {"n": row["b"]}



def deleted(row):
    del row["a"]
    return {"n": 1}


KNOWN = {
    "one": (lambda row: {"n": len(row["a"])}, {"a"}),
    "two": (two, {"a", "b"}),
    "none": (lambda row: {"n": 1}, set()),
    "index": (lambda row, i: {"n": row["a"] + i}, {"a"}),
    "loop over a value": (lambda row: {"n": [t for t in row["a"]]}, {"a"}),  # noqa: C416
}
UNKNOWN = {
    "passed on": lambda row: helper(row), "returned": lambda row: row,
    "assigned": assigned, "set": lambda row: row.update(a=1), "a variable key": lambda row, k="a":
    {"n": row[k]}, "unpacked": lambda row: {**row}, "generator": generator, "locals": looks,
    "arguments": lambda *rows: rows[0]["a"], "partial": partial(helper), "class": dict,
    "deleted": deleted, "membership": lambda row: {"n": "a" in row},
}


@pytest.mark.parametrize("name", KNOWN)
def test_known(name):
    function, columns = KNOWN[name]
    assert columns_read(function) == columns


@pytest.mark.parametrize("name", UNKNOWN)
def test_not_known(name):
    assert columns_read(UNKNOWN[name]) is None


def test_a_closure_over_the_row_is_not_known():
    def function(row):
        return {"n": (lambda: row["a"])()}

    assert columns_read(function) is None
