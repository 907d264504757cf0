"""Engines: clusters that run a plan.  `ds.map(f).run(engine="ray", address="auto")`."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib import import_module
from typing import TYPE_CHECKING, Any

from enfold.errors import DataError, nearest

if TYPE_CHECKING:
    from enfold.data.plan.engine import Engine

ENGINES = {"ray": "RayEngine"}


def connected(name: str, address: str | None,
              options: dict[str, Any]) -> AbstractContextManager[Engine]:
    """The engine of a name, connected to its cluster within a `with` block."""
    if name not in ENGINES:
        raise DataError(f"run: there is no engine {name!r}{nearest(name, ENGINES)}. Expected one "
                        f"of {sorted(ENGINES)}, or None for this machine")
    engine = getattr(import_module(f"enfold.data.engines.{name}"), ENGINES[name])
    return engine(address, options)  # type: ignore[no-any-return]
