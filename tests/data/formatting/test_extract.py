"""Columns as blocks of numbers, and rows of such blocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from enfold.data.features import Array2D, Array3D
from enfold.data.formatting.extract import take_blocks, to_block

NUMBERS = np.arange(5 * 2 * 3)
FIXED = pa.array(NUMBERS.reshape(-1, 6).tolist(), pa.list_(pa.int16(), 6))
IMAGES = NUMBERS.reshape(5, 2, 3)


def arrays_of(feature: Any, rows: list[Any]) -> pa.Array:
    return feature().wrap_array(pa.array(rows, feature().storage_type))


@pytest.mark.parametrize("array", [
    FIXED, arrays_of(Array2D((2, 3), "float32"), IMAGES.tolist()),
    arrays_of(Array2D((2, 3), "bool"), (IMAGES % 2 == 0).tolist()),
    arrays_of(Array3D((1, 2, 3), "uint8"), IMAGES[:, None].tolist()),
    pa.array(IMAGES.tolist(), pa.list_(pa.list_(pa.float64(), 3), 2))],
    ids=lambda array: str(array.type)[-20:])
def test_rows_of_blocks(array: pa.Array) -> None:
    for part in (array, array.slice(1, 3)):
        rows = np.array([2, 0, 0, 1])
        taken = take_blocks(part, rows)
        assert taken is not None and taken.type == array.type
        assert taken.to_pylist() == [part.to_pylist()[row] for row in rows]
        assert (to_block(taken) == to_block(part)[rows]).all()  # type: ignore[index]
        taken.validate(full=True)


@pytest.mark.parametrize("array", [
    pa.array([1, 2, 3]), pa.array(["a", "b", "c"]), pa.array([[1], [2], [3]]),
    pa.array([[1], None, [3]], pa.list_(pa.int64(), 1)),
    pa.array([["a"], ["b"], ["c"]], pa.list_(pa.string(), 1)),
    arrays_of(Array2D((None, 1), "int8"), [[[1]], [[1], [2]], [[3]]])],
    ids=lambda array: str(array.type)[-20:])
def test_others_are_left_to_pyarrow(array: pa.Array) -> None:
    assert take_blocks(array, np.array([0])) is None


def test_blocks_are_views() -> None:
    block = to_block(FIXED)
    assert block is not None and not block.flags.owndata and block.shape == (5, 6)
    assert to_block(pa.array([[1, 2], [3]])) is None
    assert to_block(pa.array([[1, 2], [3, None]])) is None
    assert to_block(pa.chunked_array([FIXED, FIXED.slice(1)])).shape == (9, 6)  # type: ignore[union-attr]
