"""A plan as text."""

from __future__ import annotations

from itertools import groupby
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from enfold.weights.place.planner import Plan

UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def size(count: float) -> str:
    """Bytes for people: 1.5 GiB."""
    if count == inf:
        return "no limit"
    for unit, name in UNITS:
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{int(count)} bytes"


def table(plan: Plan) -> str:
    """The parts by place in the order of running, then what each place holds of its limit."""
    lines = []
    for place, run in groupby(plan.parts, key=lambda part: plan.places[part.name]):
        parts = list(run)
        first, last = parts[0].label, parts[-1].label
        names = first if len(parts) == 1 else f"{first} .. {last}"
        where = {plan.runs(part) for part in parts} - {place}
        note = f", runs on {', '.join(map(str, where))}" if where else ""
        lines.append(f"{place!s:>6}  {size(sum(p.bytes for p in parts)):>10}  {names}{note}")
    for place, held in plan.held().items():
        limit = plan.limits.bytes.get(place, inf)
        lines.append(f"{place!s:>6}  {size(held):>10}  of {size(limit)}"
                     + (", with the activations, keys and values" if place in plan.limits.devices
                        else ""))
    return "\n".join(lines)
