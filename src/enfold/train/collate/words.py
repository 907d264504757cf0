"""Where words begin, by the offsets of their tokens.

    tokens     [CLS]  un   ##fold  me   [SEP]
    offsets     0 0   0 2   2 6    7 9   0 0
    starts        .    x     .      x     .        a gap before it, or a special token
    numbers       0    1     1      2     2        counted along the row
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


def word_starts(offsets: Ints, special: Bools) -> Bools:
    """Whether a token is the first of a word, [B, T], for offsets [B, T, 2]."""
    before = np.roll(offsets[:, :, 1], 1, axis=1)
    before[:, 0] = -1
    after_special = np.roll(special, 1, axis=1)
    after_special[:, 0] = False
    starts: Bools = ~special & ((offsets[:, :, 0] != before) | after_special)
    return starts


def word_numbers(starts: Bools) -> Ints:
    """The number of the word that each token is of, [B, T]; 0 before the first."""
    return np.cumsum(starts, axis=1, dtype=np.int64)
