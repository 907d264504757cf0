"""`datasets.utils.py_utils`."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from enfold.data.dicts import asdict
from enfold.data.nested import flatten
from enfold.data.sizes import convert_file_size_to_int, size_str
from enfold.lazy import require

__all__ = ["NestedDataStructure", "asdict", "convert_file_size_to_int", "size_str",
           "string_to_dict", "temp_seed", "temporary_assignment", "unique_values", "zip_dict"]


class NestedDataStructure:
    """Nested dicts and lists, and the values in them."""

    def __init__(self, data: Any = None) -> None:
        self.data = [] if data is None else data

    def flatten(self, data: Any = None) -> list[Any]:
        """The values, in order."""
        return flatten(self.data if data is None else data)


@contextmanager
def temp_seed(seed: int, set_pytorch: bool = False,
              set_tensorflow: bool = False) -> Iterator[None]:
    """Seed random generators within the block, and set them back after it."""
    if set_tensorflow:
        raise NotImplementedError("temp_seed: TensorFlow's generators are not set. Do: call "
                                  "tf.random.set_seed")
    torch = require("torch") if set_pytorch else None
    python, numpy = random.getstate(), np.random.get_state()
    state = torch.random.get_rng_state() if torch else None
    random.seed(seed)
    np.random.seed(seed)
    if torch:
        torch.random.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        if torch:
            torch.random.set_rng_state(state)


@contextmanager
def temporary_assignment(obj: Any, attr: str, value: Any) -> Iterator[None]:
    """Set an attribute within the block."""
    before = getattr(obj, attr, None)
    setattr(obj, attr, value)
    try:
        yield
    finally:
        setattr(obj, attr, before)


def unique_values(values: Iterable[Any]) -> Iterator[Any]:
    """The values without repetitions."""
    yield from dict.fromkeys(values)


def zip_dict(*dicts: dict[Any, Any]) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """(key, values) for each key of dicts that have the same."""
    for key in dict.fromkeys(key for one in dicts for key in one):
        yield key, tuple(one[key] for one in dicts)


def string_to_dict(string: str, pattern: str) -> dict[str, str] | None:
    """The fields of a format string that gives `string`; None if it can't."""
    names = re.findall(r"{([\w\d]+).*?}", pattern)
    found = re.search(re.sub(r"{([\w\d]+).*?}", r"(?P<_\1>.+)", pattern), string)
    return None if found is None else {name: found[f"_{name}"] for name in names}
