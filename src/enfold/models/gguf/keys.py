"""Values of a GGUF file's metadata under one prefix, each of the type that is asked for."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from enfold.errors import CheckpointError

LARGEST = 1 << 40  # of what a model may count


class Keys:
    """`keys.whole("block_count")` is `llama.block_count`.

    What is absent is None, or raises with `needed`.  A list of equals (a value for each layer)
    counts as one.  Raises CheckpointError for a value of another type, below 0 or, where it is not
    said to be an id, 0.
    """

    def __init__(self, metadata: Mapping[str, Any], prefix: str, path: Path) -> None:
        self._metadata, self._prefix, self.path = metadata, prefix, path

    def whole(self, name: str, *, needed: bool = False, index: bool = False) -> Any:
        """A count, or an id, which may be 0."""
        value = self._get(name)
        if value is None and not needed:
            return None
        if type(value) is not int or not (0 if index else 1) <= value < LARGEST:
            raise self._error(name, value, f"a whole number {'from 0 up' if index else 'above 0'}")
        return value

    def share(self, name: str, *, needed: bool = False) -> Any:
        """A number with a fraction, in the fewest digits."""
        value = self._get(name)
        if value is None and not needed:
            return None
        if type(value) not in (float, int) or not 0 < value < float("inf"):
            raise self._error(name, value, "a number above 0")
        return shortest(value)

    def text(self, name: str) -> Any:
        """A word."""
        value = self._get(name)
        if value is not None and not isinstance(value, str):
            raise self._error(name, value, "text")
        return value

    def _get(self, name: str) -> Any:
        value = self._metadata.get(self._prefix + name)
        if isinstance(value, list):
            if not value or any(other != value[0] for other in value):
                raise NotImplementedError(f"{self.path}: {self._prefix}{name} differs from layer "
                                          "to layer, which is not built. Do: give a model whose "
                                          "layers are alike")
            return value[0]
        return value

    def _error(self, name: str, value: Any, expected: str) -> CheckpointError:
        return CheckpointError(f"{self.path}: metadata {self._prefix}{name} is {value!r:.80}, "
                               f"expected {expected}. Do: convert the model again")


def shortest(value: float) -> float:
    """The decimal with the fewest digits that is this number in 32 bits: 1e-5, not 9.9999997e-6."""
    for digits in range(1, 10):
        short = float(f"{value:.{digits}g}")
        with suppress(OverflowError):  # out of what 32 bits hold
            if struct.pack("<f", short) == struct.pack("<f", value):
                return short
    return float(value)
