"""What a GGUF tensor can be stored as: plain numbers, or blocks of a few bits with their scales.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

from typing import NamedTuple

from enfold.errors import CheckpointError, nearest


class Kind(NamedTuple):
    """A storage type: its number in files, numbers per block, bytes per block.

    `torch` names the dtype of plain numbers.  `halves`: where a block has two-byte numbers, which
    is what a big-endian file swaps.
    """

    name: str
    number: int
    block: int
    size: int
    torch: str = ""
    halves: tuple[int, ...] = ()


KINDS = (
    Kind("F32", 0, 1, 4, "float32"), Kind("F16", 1, 1, 2, "float16"),
    Kind("BF16", 30, 1, 2, "bfloat16"), Kind("F64", 28, 1, 8, "float64"),
    Kind("I8", 24, 1, 1, "int8"), Kind("I16", 25, 1, 2, "int16"), Kind("I32", 26, 1, 4, "int32"),
    Kind("I64", 27, 1, 8, "int64"),
    Kind("Q4_0", 2, 32, 18, halves=(0,)), Kind("Q4_1", 3, 32, 20, halves=(0, 2)),
    Kind("Q5_0", 6, 32, 22, halves=(0,)), Kind("Q5_1", 7, 32, 24, halves=(0, 2)),
    Kind("Q8_0", 8, 32, 34, halves=(0,)), Kind("Q8_1", 9, 32, 40), Kind("Q8_K", 15, 256, 292),
    Kind("Q2_K", 10, 256, 84, halves=(80, 82)), Kind("Q3_K", 11, 256, 110, halves=(108,)),
    Kind("Q4_K", 12, 256, 144, halves=(0, 2)), Kind("Q5_K", 13, 256, 176, halves=(0, 2)),
    Kind("Q6_K", 14, 256, 210, halves=(208,)), Kind("IQ4_NL", 20, 32, 18, halves=(0,)),
    Kind("IQ4_XS", 23, 256, 136, halves=(0, 2)), Kind("IQ2_XXS", 16, 256, 66),
    Kind("IQ2_XS", 17, 256, 74), Kind("IQ3_XXS", 18, 256, 98), Kind("IQ1_S", 19, 256, 50),
    Kind("IQ3_S", 21, 256, 110), Kind("IQ2_S", 22, 256, 82), Kind("IQ1_M", 29, 256, 56),
    Kind("TQ1_0", 34, 256, 54), Kind("TQ2_0", 35, 256, 66), Kind("MXFP4", 39, 32, 17),
    Kind("NVFP4", 40, 64, 36), Kind("Q1_0", 41, 128, 18),
)
BY_NUMBER = {kind.number: kind for kind in KINDS}
BY_NAME = {kind.name: kind for kind in KINDS}


def kind_named(name: str) -> Kind:
    """The kind called `name`, in any case."""
    found = BY_NAME.get(name.upper())
    if found is None:
        raise CheckpointError(f"no GGUF tensor type {name!r}{nearest(name.upper(), BY_NAME)}. "
                              f"Expected one of {', '.join(BY_NAME)}")
    return found


# metadata values: number in files -> struct letter; 8 is text, 9 a list
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
           12: "d"}
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
BOOL, TEXT, LIST = 7, 8, 9
ALIGNMENT = 32  # bytes, unless general.alignment says otherwise
