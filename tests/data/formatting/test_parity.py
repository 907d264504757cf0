"""Rows, columns and batches in each format are those of `datasets`, for every kind of feature."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from enfold.data.features import Features, to_array
from enfold.data.formatting import View
from tests.data.features.conftest import Both
from tests.data.formatting.cases import CASES
from tests.data.formatting.sameness import same

FORMATS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "python": (None, {}), "numpy": ("numpy", {}), "torch": ("torch", {}), "pandas": ("pandas", {}),
    "polars": ("polars", {}), "arrow": ("arrow", {}), "jax": ("jax", {}), "tf": ("tf", {}),
    "numpy float16": ("numpy", {"dtype": np.float16}),
    "torch float64": ("torch", {"dtype": torch.float64})}
# of a batch in pandas, whether structs hold integers depends on the null rows next to them
OTHERWISE = {("pandas", "struct null", "split")}


def table_of(features: Features, columns: dict[str, list[Any]]) -> pa.Table:
    arrays = [to_array(columns[name], feature, column=name) for name, feature in features.items()]
    return pa.Table.from_arrays(arrays, schema=features.arrow_schema)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("format", FORMATS)
def test_as_datasets(oracle: ModuleType, both: Both, format: str, case: str) -> None:
    name, options = FORMATS[format]
    pytest.importorskip({"tf": "tensorflow"}.get(name or "", name or "numpy").replace(
        "arrow", "pyarrow"), reason="the library of this format is not installed")
    feature, values = CASES[case]
    theirs, ours = both(f"Features({{'c': {feature}, 'k': Value('int64')}})")
    columns = {"c": values, "k": [1, 2, 3]}
    real = oracle.Dataset.from_dict(columns, features=theirs).with_format(name, **options)
    table, view = table_of(ours, columns), View(ours, name, format_kwargs=options)
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "first row": (lambda: real[0], lambda: view.row(table.slice(0, 1))),
        "second row": (lambda: real[1], lambda: view.row(table.slice(1, 1))),
        "rows": (lambda: list(real), lambda: view.rows(table)),
        "iterate": (lambda: list(real), lambda: list(view.iterate(table))),
        "batch": (lambda: real[:], lambda: view.batch(table)),
        "tail": (lambda: real[1:], lambda: view.batch(table.slice(1))),
        "empty": (lambda: real[:0], lambda: view.batch(table.slice(0, 0))),
        "column": (lambda: real._getitem("c"), lambda: view.column(table, "c")),
        "split": (lambda: real.__getitems__([0, 1, 2]), lambda: view.split(table))}
    for what, (their_call, our_call) in pairs.items():
        try:
            expected = their_call()
        except Exception:
            continue  # what datasets can't show, we may
        if (format, case, what) not in OTHERWISE:
            assert same(our_call(), expected), (what, our_call(), expected)


def test_rows_of_several_chunks() -> None:
    features = Features.infer(pa.schema({"x": pa.list_(pa.int64()), "n": pa.int64()}))
    part = pa.table({"x": [[1, 2], [3, 4]], "n": [1, None]})
    for name in (None, "numpy", "torch"):
        view, table = View(features, name), pa.concat_tables([part, part])
        assert same(view.rows(table), view.rows(part) * 2)
        assert same(view.rows(table), view.rows(table.combine_chunks()))
        assert same(view.batch(table), view.batch(table.combine_chunks()))


def test_a_null_among_arrays_of_many_sizes() -> None:
    """datasets shows NaN for such a row, and fails for the batch."""
    from enfold.data.features import Array2D
    features = Features({"x": Array2D((None, 2), "float32")})
    view, table = View(features), table_of(features, {"x": [[[1, 2]], None]})
    assert view.batch(table) == {"x": [[[1, 2]], None]}
    assert view.row(table.slice(1)) == {"x": None}
