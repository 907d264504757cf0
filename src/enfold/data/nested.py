"""Values in nested dicts and lists, as download managers and builders take and return them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def flatten(data: Any) -> list[Any]:
    """The values in nested dicts, lists and tuples, in order."""
    return list(_leaves(data))


def map_nested(function: Callable[[Any], Any], data: Any, threads: int = 1) -> Any:
    """The same structure with `function(value)` for each value; several at a time in threads."""
    leaves = flatten(data)
    if threads > 1 and len(leaves) > 1:
        with ThreadPoolExecutor(min(threads, len(leaves))) as pool:
            results = iter(list(pool.map(function, leaves)))
    else:
        results = iter([function(leaf) for leaf in leaves])
    return _filled(data, results)


def _leaves(data: Any) -> Iterator[Any]:
    if isinstance(data, (dict, list, tuple)):
        for value in data.values() if isinstance(data, dict) else data:
            yield from _leaves(value)
    else:
        yield data


def _filled(data: Any, values: Iterator[Any]) -> Any:
    if isinstance(data, dict):
        return {key: _filled(value, values) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        filled = [_filled(value, values) for value in data]
        return tuple(filled) if isinstance(data, tuple) else filled
    return next(values)
