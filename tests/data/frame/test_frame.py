"""Frames: rows picked in any way, from any chunks, as a plain list would give them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.data.features import Array2D, Features, List, Value, to_array
from enfold.data.frame import Frame, gather, open_file, read_memory, write
from enfold.data.frame.state import frame_of, frame_state
from enfold.errors import DataFileError

texts = st.lists(st.one_of(st.none(), st.text(max_size=4)), min_size=1, max_size=12)
chunked = st.lists(texts, min_size=1, max_size=5)


def frame_of_chunks(chunks):
    column = pa.chunked_array([pa.array(chunk, pa.string()) for chunk in chunks])
    return Frame.of(pa.table({"t": column, "n": list(range(len(column)))}))


@given(chunked, st.data())
@settings(max_examples=150, deadline=None)
def test_steps_of_picking(chunks, data):
    frame = frame_of_chunks(chunks)
    rows = [{"t": text, "n": n} for n, text in enumerate(text for chunk in chunks
                                                         for text in chunk)]
    for _ in range(data.draw(st.integers(1, 4))):
        count = len(rows)
        if data.draw(st.booleans()):
            start = data.draw(st.integers(0, count))
            stop = data.draw(st.integers(start, count))
            frame, rows = frame.select(range(start, stop)), rows[start:stop]
        elif count:
            picked = data.draw(st.lists(st.integers(0, count - 1), max_size=15))
            frame, rows = frame.select(np.array(picked, int)), [rows[i] for i in picked]
            frame = frame.put({"k": pa.array(list(range(len(rows))))})
            rows = [{**row, "k": k} for k, row in enumerate(rows)]
    assert frame.num_rows == len(rows)
    assert frame.table().to_pylist() == rows
    assert [row for part in frame.batches(3) for row in part.to_pylist()] == rows
    assert frame_of(frame_state(frame)).table().to_pylist() == rows
    assert Frame.below([frame, frame]).table().to_pylist() == rows + rows
    if rows:
        last = np.array([len(rows) - 1, 0])
        assert frame.take(last).to_pylist() == [rows[-1], rows[0]]


@pytest.mark.parametrize("feature", [Value("int8"), List(Value("string")), List(Value("int32"), 3),
                                     Array2D((2, 2), "float32"), {"a": Value("string")}])
def test_every_kind_of_column_is_gathered_and_written(feature, tmp_path):
    values = {"Value": [1, None, 3], "dict": [{"a": "x"}, None, {"a": None}],
              "Array2D": [[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[9, 0], [1, 2]]],
              "List": [["a"], [], None] if getattr(feature, "length", -1) < 0
              else [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}[type(feature).__name__]
    array = to_array(values, feature)
    column = pa.chunked_array([array[:1], array[1:], array[:0]], array.type)
    found = gather([column, column], np.array([2, 0, 1, 2]))
    expected = array.to_pylist()
    for taken in found:
        assert taken.to_pylist() == [expected[2], expected[0], expected[1], expected[2]]
    features = Features({"c": feature})
    path = tmp_path / "c.arrow"
    write(path, [pa.table([array], schema=features.arrow_schema)], features.arrow_schema)
    for read in (open_file(path), read_memory(path)):
        assert read.column("c").type == array.type
        assert read.column("c").to_pylist() == expected


def test_columns_share_row_numbers():
    frame = frame_of_chunks([["a", "b"], ["c"]]).select(np.array([2, 0]))
    frame = frame.select(np.array([1, 0]))
    assert frame.columns["t"].rows is frame.columns["n"].rows
    assert Frame.below([frame, frame]).columns["t"].rows is not None


def test_files_are_known_through_slices(tmp_path):
    table = pa.table({"a": list(range(10))})
    write(tmp_path / "a.arrow", [table], table.schema)
    path = str(tmp_path / "a.arrow")
    frame = Frame.of(open_file(path), (), path).select(range(3, 8)).select(range(1, 4))
    assert [tuple(piece) for piece in frame.columns["a"].files] == [(path, "a", 4, 3)]
    assert frame_of(frame_state(frame)).table().to_pylist() == [{"a": 4}, {"a": 5}, {"a": 6}]


@pytest.mark.parametrize("content", [b"", b"ARROW1", b"nonsense" * 10, None])
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "bad.arrow"
    table = pa.table({"a": ["x" * 100] * 100})
    write(path, [table], table.schema)
    path.write_bytes(path.read_bytes()[:-40] if content is None else content)
    with pytest.raises(DataFileError, match=r"bad\.arrow: no whole Arrow file can be read"):
        open_file(path)
