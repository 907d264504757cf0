"""Generator arguments: lists in them are shards, all of one length; everything else is passed on.

    {"files": ["a", "b"], "kind": "text"}   two shards: {"files": ["a"], ..}, {"files": ["b"], ..}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from enfold.errors import DataError

Arguments: TypeAlias = Mapping[str, Any]


def count(arguments: Arguments) -> int:
    """How many shards there are.  Raises DataError where lists differ in length."""
    lengths = {name: len(value) for name, value in arguments.items() if isinstance(value, list)}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name!r} has {length}" for name, length in lengths.items())
        raise DataError(f"gen_kwargs: lists are shards, and these differ in length: {listed}. "
                        f"Expected one length. Do: pass what is no shard as a tuple")
    return max(1, max(lengths.values(), default=0))


def only(arguments: Arguments, numbers: Sequence[int]) -> dict[str, Any]:
    """With some of the shards, in this order."""
    return {name: [value[number] for number in numbers]
            if isinstance(value, list) and value else value for name, value in arguments.items()}


def single(arguments: Arguments) -> list[dict[str, Any]]:
    """The arguments of each shard."""
    total = count(arguments)
    return [dict(arguments)] if total == 1 else [only(arguments, [n]) for n in range(total)]


def merged(parts: Sequence[Arguments]) -> dict[str, Any]:
    """The shards of all parts together."""
    return {name: [item for part in parts for item in part[name]]
            if isinstance(value, list) else value for name, value in parts[0].items()}


def order(total: int, generator: np.random.Generator) -> list[int]:
    """Shards in a random order."""
    numbers = list(range(total))
    generator.shuffle(numbers)
    return numbers
