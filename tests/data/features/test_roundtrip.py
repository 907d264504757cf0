"""Files go both ways between the real library and ours, for tables of every feature type."""

from __future__ import annotations

import io
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enfold.data.features import Features, cast_table, to_array
from tests.data.features.conftest import Both
from tests.data.features.strategies import SCALARS, tables


def table_of(features: Features, columns: dict[str, list[Any]]) -> pa.Table:
    arrays = [to_array(columns[name], feature, column=name) for name, feature in features.items()]
    return pa.Table.from_arrays(arrays, schema=features.arrow_schema)


def through_arrow(table: pa.Table) -> pa.Table:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return pa.ipc.open_stream(sink.getvalue()).read_all()


def through_parquet(table: pa.Table) -> pa.Table:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return pq.read_table(io.BytesIO(sink.getvalue()))


def rows(table: pa.Table) -> list[list[Any]]:
    """The columns' values, from their storage: the real library can't list null ragged arrays."""
    return [[value for chunk in column.chunks for value in
             (chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk).to_pylist()]
            for column in table.columns]


def check(oracle: ModuleType, both: Both, text: str, columns: dict[str, list[Any]]) -> None:
    theirs, ours = both(f"Features({text})")
    assert ours.arrow_schema.metadata == theirs.arrow_schema.metadata
    ours_table = table_of(ours, columns)
    try:
        their_table = oracle.Dataset.from_dict(columns, features=theirs).data.table
    except (TypeError, ValueError, NotImplementedError, OverflowError):
        # it encodes lists by what their first item shows, has no lists of 2 nulls of Json and no
        # integers above 2**63
        their_table = through_arrow(ours_table)
    expected = rows(their_table)
    assert rows(ours_table) == expected
    assert list(ours_table.to_pydict().values()) == expected
    stored = [(through_arrow(table), table is their_table) for table in (ours_table, their_table)]
    for read, _ in stored:
        assert oracle.Features.from_arrow_schema(read.schema) == theirs
        assert Features.from_arrow_schema(read.schema) == ours
    stored += [(through_parquet(ours_table), False), (through_parquet(their_table), True)]
    for read, by_them in stored:  # Parquet lacks some types: seconds, 64 bit dates
        found = Features.from_arrow_schema(read.schema)
        assert repr(found) == repr(oracle.Features.from_arrow_schema(read.schema))
        if not by_them:
            assert rows(oracle.table.table_cast(read, theirs.arrow_schema)) == expected
        again = cast_table(read, ours)
        assert again.schema.equals(ours.arrow_schema, check_metadata=True)
        again.validate(full=True)
        assert rows(again) == expected


@settings(max_examples=60, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(drawn=tables())
def test_tables(oracle: ModuleType, both: Both, drawn: tuple[str, dict[str, list[Any]]]) -> None:
    check(oracle, both, *drawn)


@settings(max_examples=3, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
@pytest.mark.parametrize("text", sorted(SCALARS))
def test_each_feature(oracle: ModuleType, both: Both, text: str, data: st.DataObject) -> None:
    value = data.draw(SCALARS[text])
    columns = {"c": [value, None], "l": [[value], None], "s": [{"x": value, "y": 1}, None]}
    check(oracle, both, f"{{'c': {text}, 'l': List({text}), "
                        f"'s': {{'x': {text}, 'y': Value('int8')}}}}", columns)
