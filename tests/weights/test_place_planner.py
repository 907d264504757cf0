"""The planner: limits hold, every tensor has one place, ties and blocks stay whole."""

from __future__ import annotations

from collections.abc import Hashable
from math import inf
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from enfold.errors import InputError
from enfold.weights.place.parts import partition
from enfold.weights.place.planner import KINDS, Limits, Part, Plan, make_plan

Leaf = tuple[str, Hashable, int]


@st.composite
def trees(draw: Any) -> tuple[list[Leaf], list[str]]:
    """Leaf tensors of a random module tree, some tied, and the modules that are never split."""
    leaves: list[Leaf] = []
    units: list[str] = []

    def grow(path: str, depth: int, inside: bool) -> None:
        unit = not inside and (depth == 0 or draw(st.booleans()))
        if unit:
            units.append(path)
        for index in range(draw(st.integers(0 if inside else 1, 3))):
            child = f"{path}.{index}"
            if depth and draw(st.booleans()):
                grow(child, depth - 1, inside or unit)
            elif inside or unit:
                shared = leaves and draw(st.integers(0, 5)) == 0
                origin = draw(st.sampled_from(leaves)) if shared else None
                count = draw(st.integers(0, 400))
                leaves.append((child, origin[1], origin[2]) if origin else (child, child, count))

    for index in range(draw(st.integers(1, 8))):
        grow(f"top{index}", draw(st.integers(0, 3)), inside=False)
    return leaves, units


@st.composite
def machines(draw: Any) -> Limits:
    count = draw(st.integers(0, 3))
    devices: tuple[Any, ...] = tuple(range(count)) or ("cpu",)
    offload = tuple(place for place in ("cpu", "disk")
                    if place not in devices and draw(st.booleans()))
    room = st.one_of(st.integers(0, 4000), st.just(inf))
    limits = {place: draw(room) for place in (*devices, *offload)}
    return Limits(limits, devices, offload, draw(st.integers(0, 200)))


def needs(plan: Plan) -> dict[Any, float]:
    """What each place has to hold, counted from the definition."""
    total: dict[Any, float] = {}
    seen = set()
    for part in plan.parts:
        place = plan.places[part.name]
        for key, count in part.tensors.items():
            if key not in seen:
                seen.add(key)
                total[place] = total.get(place, 0) + count
    fetched, main, devices = [], plan.limits.devices[0], set(plan.limits.devices)
    running = set()
    for part in plan.parts:
        place = plan.places[part.name]
        if place in devices or part.lookup:
            running.add(place)
            total[place] = total.get(place, 0) + part.cache
        else:
            running.add(main)
            total[main] = total.get(main, 0) + part.cache
            fetched.append(sum(part.tensors.values()))
    pairs = [a + b for a, b in zip(fetched, fetched[1:] + fetched[:1], strict=True)]
    window = fetched[0] if len(fetched) == 1 else max(pairs, default=0)
    total[main] = total.get(main, 0) + window
    for place in running & devices:
        total[place] += plan.limits.work
    return total


@settings(max_examples=500, deadline=None)
@given(trees(), machines(), st.sampled_from(KINDS), st.data())
def test_limits_are_never_exceeded(tree: Any, limits: Limits, kind: str, data: Any) -> None:
    leaves, units = tree
    parts = [Part(p.name, p.tensors, lookup=True) if data.draw(st.integers(0, 9)) == 0 else
             Part(p.name, p.tensors, data.draw(st.integers(0, 50)))
             for p in partition(leaves, units)]
    plan = attempt(parts, limits, kind)
    if isinstance(plan, InputError):
        weights = sum({key: count for _, key, count in leaves}.values())
        caches, largest = sum(part.cache for part in parts), max(part.bytes for part in parts)
        enough = weights + caches + limits.work + 2 * largest
        assert "Do: " in str(plan)
        assert all(limits.bytes[place] < enough for place in limits.devices)
        return
    for place, held in needs(plan).items():
        assert held <= limits.bytes.get(place, inf), (place, held, plan)
    for place, held in plan.held().items():
        assert held <= limits.bytes.get(place, inf), str(plan)
    homes: dict[Hashable, set[Any]] = {}
    for name, key, _ in leaves:
        homes.setdefault(key, set()).add(
            {plan.places[part.name] for part in parts if name.startswith(f"{part.name}.")
             and key in part.tensors}.pop())
    assert set(homes) == {key for _, key, _ in leaves}
    assert all(len(places) == 1 for places in homes.values()), "a tie is torn"
    if not limits.offload:
        assert set(plan.places.values()) <= set(limits.devices)


def attempt(parts: list[Part], limits: Limits, kind: str) -> Plan | InputError:
    try:
        return make_plan(parts, limits, kind) if parts else Plan({}, [], limits)
    except InputError as error:
        return error


def blocks(*sizes: int) -> list[Part]:
    return [Part(f"layers.{i}", {i: size}) for i, size in enumerate(sizes)]


def placed(kind: str, *rooms: float, sizes: tuple[int, ...] = (10,) * 8,
           **more: Any) -> list[Any]:
    limits = Limits(dict(enumerate(rooms)) | more.get("tiers", {}), tuple(range(len(rooms))),
                    tuple(more.get("tiers", {})), more.get("work", 0))
    return list(make_plan(blocks(*sizes), limits, kind).places.values())


@pytest.mark.parametrize(("kind", "rooms", "wanted"), [
    ("sequential", (50, 50), [0] * 5 + [1] * 3),
    ("balanced", (50, 50), [0] * 4 + [1] * 4),
    ("auto", (50, 50), [0] * 4 + [1] * 4),
    ("auto", (20, 100), [0] * 2 + [1] * 6),
    ("auto", (inf, inf), [0] * 4 + [1] * 4),
    ("balanced_low_0", (100, 50, 50), [1] * 4 + [2] * 4),
    ("balanced_low_0", (100, 30, 30), [0] * 2 + [1] * 3 + [2] * 3),
    ("sequential", (100,), [0] * 8),
])
def test_kinds(kind: str, rooms: tuple[float, ...], wanted: list[int]) -> None:
    assert placed(kind, *rooms) == wanted


def test_a_huge_part_does_not_push_the_rest_away() -> None:
    assert placed("sequential", 40, 200, sizes=(100, 10, 10, 10)) == [1, 1, 1, 1]
    assert placed("sequential", 40, 110, sizes=(10, 100, 10, 10)) == [0, 1, 1, 0]
    assert placed("sequential", 60, 60, sizes=(10, 50, 50, 10)) == [0, 0, 1, 1]
    assert placed("sequential", 60, 60, sizes=(10, 40, 50, 20)) == [0, 1, 0, 1]  # by size


def test_offload_leaves_room_for_what_it_fetches() -> None:
    places = placed("auto", 50, tiers={"cpu": inf})
    assert places == [0, 0, 0] + ["cpu"] * 5
    assert placed("auto", 50, tiers={"cpu": 30, "disk": inf}) == [0] * 3 + ["cpu"] * 3 + [
        "disk"] * 2
    assert placed("auto", 50, tiers={"cpu": inf}, work=15) == [0] + ["cpu"] * 7
    assert placed("auto", 80, tiers={"cpu": inf}) == [0] * 8, "offload only where it must be"


def test_ties_share_a_place_and_count_once() -> None:
    parts = [Part("embed", {"t": 40}), Part("a", {"a": 30}), Part("b", {"b": 30}),
             Part("head", {"t": 40, "bias": 2})]
    plan = make_plan(parts, Limits({0: 45, 1: 60}, (0, 1)), "sequential")
    assert plan.places == {"embed": 0, "a": 1, "b": 1, "head": 0}
    assert plan.held() == {0: 42, 1: 60}


def test_messages() -> None:
    with pytest.raises(InputError, match=r"max_memory is too small for 'layers.1', which is never "
                                         r"split: it takes 90 bytes \(its largest tensor 90 bytes\)"
                                         r", and the roomiest place 1 has 60 bytes. Do: give one "):
        placed("auto", 50, 60, sizes=(10, 90))
    with pytest.raises(InputError, match=r"does not fit: its weights take 80 bytes.* there is 0: "
                                         r"30 bytes, 1: 30 bytes. Do: .*offload_folder='offload'"):
        placed("auto", 30, 30)
    with pytest.raises(InputError, match=r"does not fit: 0 has to run the parts that it does not "
                                         r"hold, for which two of the largest \(20 bytes\)"):
        placed("auto", 15, tiers={"cpu": inf})


def test_a_plan_prints() -> None:
    mega = 2**20
    parts = [Part("embed", {"t": 3 * mega}, lookup=True), *blocks(*[mega] * 4),
             Part("head", {"h": 2**10})]
    text = str(make_plan(parts, Limits({0: 3.25 * mega, "cpu": inf}, (0,), ("cpu",)), "auto"))
    assert text.splitlines() == [
        "   cpu     3.0 MiB  embed", "     0     1.0 MiB  layers.0",
        "   cpu     3.0 MiB  layers.1 .. layers.3, runs on 0", "     0     1.0 KiB  head",
        "     0     3.0 MiB  of 3.2 MiB, with the activations, keys and values",
        "   cpu     6.0 MiB  of no limit"]
