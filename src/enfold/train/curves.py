"""The curves of the learning rate: each a function of the step that gives a factor on it.

factor
  1 |     ______________        w = warmup steps, T = all steps; warmup is linear from 0
    |    /              `-.     unless said otherwise.  The rest of the curve depends on
    |   /                  `-.  the progress p = (step - w) / (T - w).
  0 |__/_____________________`.____ step
       w                      T
"""

from __future__ import annotations

import math


def constant(step: int) -> float:
    """1."""
    return 1.0


def constant_with_warmup(step: int, *, warmup: float) -> float:
    """Warmup, then 1."""
    return step / max(1.0, warmup) if step < warmup else 1.0


def linear(step: int, *, warmup: int, total: int) -> float:
    """Warmup, then straight to 0."""
    if step < warmup:
        return step / max(1, warmup)
    return max(0.0, (total - step) / max(1, total - warmup))


def cosine(step: int, *, warmup: int, total: int, cycles: float, floor: float = 0.0) -> float:
    """Warmup, then `cycles` waves of a cosine between 1 and `floor`."""
    if step < warmup:
        return step / max(1, warmup)
    progress = (step - warmup) / max(1, total - warmup)
    return max(0.0, _between(floor, _wave(cycles, progress)))


def cosine_with_restarts(step: int, *, warmup: int, total: int, cycles: int) -> float:
    """Warmup, then `cycles` half waves, each from 1 to 0."""
    if step < warmup:
        return step / max(1, warmup)
    progress = (step - warmup) / max(1, total - warmup)
    if progress >= 1.0:
        return 0.0
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * ((cycles * progress) % 1.0))))


def cosine_from_first_step(
    step: int, *, warmup: int, total: int, cycles: float, floor: float, start: float | None
) -> float:
    """A cosine whose first step already learns: warmup begins at `start`, or at one step's part."""
    if step < warmup:
        if start is None:
            return (step + 1) / max(1, warmup)
        return start + (1.0 - start) * step / max(1, warmup - 1)
    progress = (step - warmup + 1) / max(1, total - warmup)
    return max(0.0, _between(floor, _wave(cycles, progress)))


def polynomial(
    step: int, *, warmup: int, total: int, power: float, initial: float, final: float
) -> float:
    """Warmup, then (1 - p)^power from the rate `initial` to the rate `final`."""
    if step < warmup:
        return step / max(1, warmup)
    if step > total:
        return final / initial
    left = float((1 - (step - warmup) / (total - warmup)) ** power)
    return ((initial - final) * left + final) / initial


def inverse_sqrt(step: int, *, warmup: int, timescale: int) -> float:
    """Warmup, then 1 / sqrt of the steps since, in units of `timescale`."""
    if step < warmup:
        return step / max(1, warmup)
    return 1.0 / math.sqrt((step + timescale - warmup) / timescale)


def warmup_stable_decay(
    step: int,
    *,
    warmup: int,
    stable: int,
    decay: int,
    warmup_type: str,
    decay_type: str,
    floor: float,
    cycles: float,
) -> float:
    """Up from `floor`, level, and down to it, each slope of its own shape."""
    if step < warmup:
        progress = step / max(1, warmup)
        rises = {
            "linear": progress,
            "cosine": 0.5 * (1.0 - math.cos(math.pi * progress)),
            "1-sqrt": 1.0 - math.sqrt(1.0 - progress),
        }
        return max(0.0, _between(floor, rises[warmup_type]))
    if step < warmup + stable:
        return 1.0
    if step >= warmup + stable + decay:
        return floor
    progress = (step - warmup - stable) / max(1, decay)
    falls = {
        "linear": 1.0 - progress,
        "cosine": _wave(cycles, progress),
        "1-sqrt": 1.0 - math.sqrt(progress),
    }
    return max(0.0, _between(floor, falls[decay_type]))


def _wave(cycles: float, progress: float) -> float:
    return 0.5 * (1.0 + math.cos(2.0 * math.pi * cycles * progress))


def _between(floor: float, factor: float) -> float:
    return factor * (1.0 - floor) + floor
