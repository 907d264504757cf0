from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.errors import CheckpointError
from enfold.quant.bits import pack, unpack, words


def by_the_definition(values: list[int], bits: int) -> list[int]:
    """Value i at bit bits * i of a little-endian number, cut into words."""
    number = sum(value << (bits * place) for place, value in enumerate(values))
    count = -(-len(values) * bits // 32)
    return [(number >> (32 * word)) & 0xFFFFFFFF for word in range(count)]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 8), st.integers(1, 3), st.integers(1, 100), st.integers(0, 2**31))
def test_packs_as_defined_and_back(bits, rows, count, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randint(0, 2**bits, (rows, count), generator=generator, dtype=torch.uint8)
    packed = pack(values, bits)
    assert packed.dtype == torch.int32 and packed.shape == (rows, words(count, bits))
    expected = [by_the_definition(row, bits) for row in values.tolist()]
    assert [[word & 0xFFFFFFFF for word in row] for row in packed.tolist()] == expected
    assert torch.equal(unpack(packed, bits, count), values)


def test_a_wrong_width_says_what_was_expected():
    with pytest.raises(CheckpointError, match="32 values of 4 bits are packed in 3 words, expected "
                                              "4"):
        unpack(torch.zeros(1, 3, dtype=torch.int32), 4, 32)
