"""`Ahead` reads what the frame reads."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from enfold.data import Dataset
from enfold.data.frame import Frame, ahead
from enfold.data.frame.ahead import Ahead

ROWS = 5000


@pytest.fixture
def frame(monkeypatch: pytest.MonkeyPatch) -> Frame:
    """Two columns in chunks of 100 behind shuffled row numbers, and one as it is."""
    monkeypatch.setattr(ahead, "_ROWS", 1000)
    table = pa.table({"n": pa.chunked_array([range(at, at + 100) for at in range(0, ROWS, 100)]),
                      "text": pa.chunked_array([[f"t{at}"] * 100 for at in range(50)])})
    order = np.random.default_rng(0).permutation(ROWS)
    return Frame.of(table).select(order).put({"plain": pa.array(range(ROWS))})


@pytest.mark.parametrize("step", [1, 7, 300, 1000, 1700])
@pytest.mark.parametrize("names", [None, ["text"], ["plain"], ["plain", "n"], []])
def test_slices_in_order(frame, step, names) -> None:
    reader = Ahead.over(frame, ROWS)
    for start in range(0, 3000, step * 3):
        stop = min(start + step, ROWS)
        assert reader.slice(start, stop, names).equals(frame.slice(start, stop, names))
    assert reader.slice(4990, 6000, names).equals(frame.slice(4990, 6000, names))
    assert reader.slice(10, 10, names).num_rows == 0


@pytest.mark.parametrize("every", [1, 3, 40])
def test_rows_of_a_filter(frame, every) -> None:
    reader = Ahead.over(frame, ROWS)
    for start in range(0, ROWS, 900):
        reader.slice(start, start + 900, ["n"])
        rows = np.arange(start, min(start + 900, ROWS), every)
        assert reader.take(rows).equals(frame.take(rows))
        assert reader.take(rows[:0], ["n"]).num_rows == 0


def test_blocks_are_few_and_end_where_reading_does(frame, monkeypatch) -> None:
    read = []
    plain = Frame.slice
    monkeypatch.setattr(Frame, "slice", lambda self, start, stop, columns=None: read.append(
        (start, stop, columns)) or plain(self, start, stop, columns))
    reader = Ahead.over(frame, 1500)
    for start in range(0, 1500, 100):
        reader.slice(start, start + 100, ["n"])
    assert [(start, stop) for start, stop, names in read if names == ["n"]] == [(0, 1000),
                                                                               (1000, 1500)]


def test_wide_rows_are_read_in_smaller_blocks(frame, monkeypatch) -> None:
    monkeypatch.setattr(ahead, "_BYTES", 800)
    reader = Ahead.over(frame, ROWS)
    reader.slice(0, 10, ["n"])
    assert reader.blocks["n"].stop == 100


def test_without_row_numbers_nothing_is_kept() -> None:
    frame = Frame.of(pa.table({"n": [1, 2]}))
    assert Ahead.over(frame, 2) is frame


def test_maps_of_shuffled_rows() -> None:
    rows = Dataset.from_dict({"n": list(range(ROWS)), "text": [str(n) for n in range(ROWS)]})
    shuffled = rows.shuffle(seed=4)
    found = shuffled.filter(lambda row: row["n"] % 2).map(lambda row: {"m": int(row["text"]) + 1})
    expected = [n for n in shuffled["n"] if n % 2]
    assert found["n"][:] == expected
    assert found["m"][:] == [n + 1 for n in expected]
