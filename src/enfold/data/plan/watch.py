"""What a function holds on to, watched: it may not change while the function is to be run again.

A function that changes what it holds on to (a counter, a vocabulary, the state of a random
generator) is run over all rows at once; so is one that holds on to something without a digest.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Mapping
from itertools import zip_longest
from typing import Any

from enfold.data.fingerprint import Unhashable, captured, digest
from enfold.data.plan.call import Call
from enfold.errors import DataError


class Watch:
    """What a function holds on to, by name, and its digests as of now.

    Variables are looked up anew each time: one that is set again has changed as much as a list that
    was appended to.  unhashable: why there are no digests.
    """

    def __init__(self, function: Callable[..., Any], arguments: Mapping[str, Any]) -> None:
        self.arguments = arguments
        self.unhashable: Unhashable | None = None
        self.digests: list[tuple[str, str]] = []
        self.random = random_states()
        try:
            self.digests = [(name, digest(value)) for name, value in self._held(function)]
        except Unhashable as error:
            self.unhashable = error

    def _held(self, function: Callable[..., Any]) -> list[tuple[str, Any]]:
        return [*captured(function),
                *((f"fn_kwargs {name!r}", value) for name, value in self.arguments.items())]

    def changed(self, function: Callable[..., Any]) -> str | None:
        """What is not as it was of what the function, or its frozen twin, holds on to, by name."""
        held = self._held(function)
        try:
            for now, before in zip_longest(held, self.digests):
                if now is None or before is None or (now[0], digest(now[1])) != before:
                    return (now or before)[0]
        except Unhashable:
            return now[0]
        return None

    def drew(self) -> bool:
        """Whether random numbers were drawn since from a global generator that was loaded then."""
        now = random_states()
        return any(now.get(name) != state for name, state in self.random.items())

    def check(self, call: Call) -> None:
        """Raises `DataError` if something changed between the making of the plan and its run."""
        what = call.what
        if (changed := self.changed(call.function)) is not None:
            raise DataError(
                f"{what}: {changed} of {call.name} was altered after {what}() was called and "
                "before it ran. Expected it unchanged, as the result would depend on when it runs. "
                f"Do: alter it before {what}(), pass a copy, or run at once with lazy=False")


def random_states() -> dict[str, Any]:
    """The states of the global random generators of Python, numpy and torch, where loaded."""
    states: dict[str, Any] = {"random": random.getstate()}
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and "numpy.random" in sys.modules:
        kind, keys, *rest = numpy.random.get_state(legacy=True)
        states["numpy"] = (kind, keys.tobytes(), *rest)
    if torch is not None and hasattr(torch, "get_rng_state"):
        states["torch"] = torch.get_rng_state().numpy().tobytes()
    return states
