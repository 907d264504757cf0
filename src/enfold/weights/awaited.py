"""Tensors that something fills once a model is loaded: the head that an adapter brings."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_names: ContextVar[frozenset[str]] = ContextVar("awaited", default=frozenset())


@contextmanager
def awaiting(names: Collection[str]) -> Iterator[None]:
    """Loading inside does not warn that these (their names) are not in the checkpoint."""
    token = _names.set(frozenset(names))
    try:
        yield
    finally:
        _names.reset(token)


def unfilled(names: Collection[str]) -> list[str]:
    """Those that nothing is known to fill."""
    return [name for name in names if name not in _names.get()]
