"""What a function holds on to, watched: it may not change while the function is to be run again.

A function that changes what it holds on to (a counter, a vocabulary, the state of a random
generator) is run over all rows at once; so is one that holds on to something without a digest.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from typing import Any

from enfold.data.fingerprint import Unhashable, captured, digest
from enfold.errors import DataError


class Watch:
    """Digests of what a function holds on to, as of now.  unhashable: why there are none."""

    def __init__(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        self.held = [*captured(function),
                     *((f"fn_kwargs {name!r}", value) for name, value in arguments.items())]
        self.unhashable: Unhashable | None = None
        self.digests: list[str] = []
        self.random = random_states()
        try:
            self.digests = [digest(value) for _, value in self.held]
        except Unhashable as error:
            self.unhashable = error

    def changed(self) -> str | None:
        """What is not as it was, by name; None if all is."""
        try:
            for (name, value), before in zip(self.held, self.digests, strict=True):
                if digest(value) != before:
                    return name
        except Unhashable:
            return name
        return None

    def drew(self) -> bool:
        """Whether random numbers were drawn from a global generator since."""
        return random_states() != self.random

    def check(self, what: str, name: str) -> None:
        """Raises `DataError` if something changed between the making of the plan and its run."""
        if (changed := self.changed()) is not None:
            raise DataError(
                f"{what}: {changed} of {name} was altered after {what}() was called and before it "
                "ran. Expected it unchanged, as the result would depend on when it runs. Do: alter "
                f"it before {what}(), pass a copy, or run at once with lazy=False")


def random_states() -> tuple[Any, ...]:
    """The states of the global random generators of Python, numpy and torch, where loaded."""
    states: list[Any] = [random.getstate()]
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and "numpy.random" in sys.modules:
        kind, keys, *rest = numpy.random.get_state(legacy=True)
        states.append((kind, keys.tobytes(), *rest))
    if torch is not None and hasattr(torch, "get_rng_state"):
        states.append(torch.get_rng_state().numpy().tobytes())
    return tuple(states)
