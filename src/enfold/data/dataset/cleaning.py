"""Cached results of a dataset removed."""

from __future__ import annotations

import json
from typing import Any

from enfold.data.cache import Entry, ls, rm
from enfold.data.plan import Node

_PARTS = ("-flat", "-head")  # end the keys of what goes with a step besides its result


def cleanup(dataset: Any) -> int:
    """Remove what was computed from the dataset, or from what it was made of, and is cached.

    Results that are in use stay, such as those that the dataset itself is read from.  Returns how
    many were removed.
    """
    if not dataset._node.durable:
        return 0
    known = {node.fingerprint for node in _all(dataset._node)}
    found = {entry.key: entry for entry in ls()}
    derived: dict[str, None] = {}
    while fresh := [key for key, entry in found.items()
                    if key not in derived and (_base(entry) in known or key in known)]:
        derived.update(dict.fromkeys(fresh))
        known.update(fresh)
    return sum(len(rm(key)) for key in derived)


def _all(node: Node) -> list[Node]:
    return [node, *(below for one in node.inputs for below in _all(one))]


def _base(entry: Entry) -> str | None:
    """The fingerprint of the data that a result was computed from; None where it is not known."""
    part = next((part for part in _PARTS if entry.key.endswith(part)), None)
    if part is not None:
        return entry.key.removesuffix(part)
    try:
        layout = json.loads((entry.path / "layout.json").read_text("utf-8"))
        return str(layout["base"])
    except (OSError, ValueError, KeyError):
        return None  # not a result of a plan
