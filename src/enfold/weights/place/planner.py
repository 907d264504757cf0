"""The planner: parts and limits -> a place for each part.  Pure: no devices, no tensors.

    places    0, 1, ... (accelerators), "cpu", "disk"
    group     parts that share a tensor; they go to one place
    window    what an offloaded part needs where it runs: itself and the next one, fetched ahead

What a device holds is the tensors placed on it, the keys and values of the parts that run on it,
one pass's activations, and the window if offloaded parts run on it.  It never exceeds the limit.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from enfold.errors import InputError
from enfold.weights.place.show import size, table

Place = int | str
KINDS = ("auto", "balanced", "balanced_low_0", "sequential")


@dataclass(frozen=True, slots=True)
class Part:
    """What is never split: `tensors` are bytes by identity, so that ties count once.

    cache: bytes of keys and values that running it keeps.  lookup: it is read row by row, so it
    runs where it lies.  shown: what people call it, if not by its name.
    """

    name: str
    tensors: Mapping[Hashable, int]
    cache: int = 0
    lookup: bool = False
    shown: str = ""

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.shown or self.name

    @property
    def bytes(self) -> int:
        """Size of all its tensors."""
        return sum(self.tensors.values())


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes by place.  `devices` run parts, in order; `offload` only hold them; `work` is what the
    activations of a pass take on each device.
    """

    bytes: Mapping[Place, float]
    devices: tuple[Place, ...]
    offload: tuple[Place, ...] = ()
    work: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """Where each part lies.  `print(plan)` shows it."""

    places: Mapping[str, Place]
    parts: Sequence[Part]
    limits: Limits

    @property
    def main(self) -> Place:
        """The device that runs offloaded parts."""
        return self.limits.devices[0]

    def runs(self, part: Part) -> Place:
        """The device that a part runs on."""
        place = self.places[part.name]
        if place in self.limits.devices:
            return place
        return "cpu" if part.lookup else self.main

    def offloaded(self) -> list[Part]:
        """The parts that have to be brought in, in the order of running."""
        return [p for p in self.parts if self.places[p.name] not in self.limits.devices
                and not p.lookup]

    def window(self) -> int:
        """The most that two offloaded parts in a row take."""
        sizes = [part.bytes for part in self.offloaded()]
        if len(sizes) < 2:
            return sum(sizes)
        return max(a + b for a, b in zip(sizes, [*sizes[1:], sizes[0]], strict=True))

    def held(self) -> dict[Place, int]:
        """Bytes by place, with what running needs there."""
        total: dict[Place, int] = dict.fromkeys(self.limits.bytes, 0)
        for place, tensors in self._tensors().items():
            total[place] = total.get(place, 0) + sum(tensors.values())
        active = {self.runs(part) for part in self.parts}
        for part in self.parts:
            total[self.runs(part)] = total.get(self.runs(part), 0) + part.cache
        for place in active & set(self.limits.devices):
            total[place] += self.limits.work
        if self.offloaded():
            total[self.main] += self.window()
        return total

    def _tensors(self) -> dict[Place, dict[Hashable, int]]:
        found: dict[Place, dict[Hashable, int]] = {}
        for part in self.parts:
            found.setdefault(self.places[part.name], {}).update(part.tensors)
        return found

    def __str__(self) -> str:
        return table(self)


@dataclass(slots=True, eq=False)
class Group:
    """Parts that share tensors: placed together."""

    parts: list[Part]
    tensors: dict[Hashable, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(self.tensors.values())

    @property
    def cache(self) -> int:
        return sum(part.cache for part in self.parts)


def make_plan(parts: Sequence[Part], limits: Limits, kind: str = "auto") -> Plan:
    """A place for each part within the limits; offloads only what fits on no device.

    kind: "sequential" fills one device after the other, "balanced" and "auto" use all alike,
    "balanced_low_0" leaves most room on the first.  Raises InputError if there is no room.
    """
    groups = ties(parts)
    _check_largest(groups, limits)
    for caps in _caps(kind, limits, groups):
        if (found := _assign(groups, limits, caps, 0, offload=False)) is not None:
            return Plan(_in_order(found, parts), parts, limits)
    if limits.offload and (plan := _offloading(groups, parts, limits)) is not None:
        return plan
    raise InputError(_no_room(parts, limits))


def ties(parts: Sequence[Part]) -> list[Group]:
    """Parts joined where they share a tensor, in the order of their first part."""
    home: dict[Hashable, Group] = {}
    groups: list[Group] = []
    for part in parts:
        group = Group([part], dict(part.tensors))
        for other in {id(home[t]): home[t] for t in part.tensors if t in home}.values():
            other.parts.extend(group.parts)
            other.tensors |= group.tensors
            if group in groups:
                groups.remove(group)
            group = other
        if group not in groups:
            groups.append(group)
        home.update(dict.fromkeys(group.tensors, group))
    return groups


Caps = Mapping[Place, float]
Search = Callable[[Caps], bool]


def _caps(kind: str, limits: Limits, groups: list[Group]) -> list[Caps]:
    """The limits to try, in order: shared out as `kind` says, then the limits themselves."""
    full: Caps = {place: limits.bytes.get(place, inf) for place in limits.devices}
    if kind == "sequential" or len(full) == 1:
        return [full]
    first, *others = limits.devices
    def fits(caps: Caps) -> bool:
        return _assign(groups, limits, caps, 0, offload=False) is not None

    if kind != "balanced_low_0":
        return [_evened(full, limits.devices, fits), full]
    alone = {**full, first: 0}
    if fits(alone):
        return [_evened(alone, others, fits), alone]
    return [_evened(full, (first,), fits), full]


def _evened(full: Caps, places: Sequence[Place], fits: Search) -> Caps:
    """`full` with the smallest common cap on `places` that still fits."""
    if not fits(full):
        return full
    low, high = 0, int(max(min(full[place], 2**62) for place in places))
    while low < high:
        middle = (low + high) // 2
        if fits(_capped(full, places, middle)):
            high = middle
        else:
            low = middle + 1
    return _capped(full, places, high)


def _capped(full: Caps, places: Sequence[Place], cap: int) -> Caps:
    return {place: min(room, cap) if place in places else room for place, room in full.items()}


def _assign(groups: list[Group], limits: Limits, caps: Caps, reserve: int, *,
            offload: bool) -> dict[str, Place] | None:
    """First fit in the order of running, then by size; None if some group fits nowhere."""
    by_size = sorted(groups, key=lambda group: -group.bytes)
    for order in (groups, by_size):
        found = _first_fit(order, limits, caps, reserve, offload=offload)
        if found is not None:
            return found
    return None


def _first_fit(groups: list[Group], limits: Limits, caps: Caps, reserve: int, *,
               offload: bool) -> dict[str, Place] | None:
    used: dict[Place, float] = dict.fromkeys((*limits.devices, *limits.offload), 0)
    devices, current, found = list(limits.devices), 0, {}
    if offload:
        used[devices[0]] = reserve + limits.work
        if used[devices[0]] > caps[devices[0]]:
            return None
    for group in groups:
        turn = devices[current:] + devices[:current]
        for place in turn:
            more = group.bytes + group.cache + (0 if used[place] else limits.work)
            if used[place] + more <= caps[place]:
                current = devices.index(place) if len(group.parts) == 1 else current
                break
        else:
            place = next((tier for tier in limits.offload if offload and used[tier] + group.bytes
                          <= limits.bytes.get(tier, inf)), "")
            if place == "":
                return None
            more = group.bytes
        used[place] += more
        found.update({part.name: place for part in group.parts})
    return found


def _offloading(groups: list[Group], parts: Sequence[Part], limits: Limits) -> Plan | None:
    """A plan with offloaded parts: the reserve grows until it covers what they need to run."""
    caps = {place: limits.bytes.get(place, inf) for place in limits.devices}
    reserve = 0
    while (found := _assign(groups, limits, caps, reserve, offload=True)) is not None:
        plan = Plan(_in_order(found, parts), parts, limits)
        guests = [part for part in parts if found[part.name] not in limits.devices]
        caches = sum(part.cache for part in guests if plan.runs(part) == plan.main)
        if (needed := plan.window() + caches) <= reserve or not guests:
            return plan
        reserve = needed
    return None


def _in_order(found: Mapping[str, Place], parts: Sequence[Part]) -> dict[str, Place]:
    return {part.name: found[part.name] for part in parts}


def _check_largest(groups: list[Group], limits: Limits) -> None:
    """A group that no place can hold has no plan."""
    everywhere = {place: limits.bytes.get(place, inf) for place in
                  (*limits.devices, *limits.offload)}
    roomiest = max(everywhere, key=lambda place: everywhere[place])
    for group in groups:
        if group.bytes > everywhere[roomiest]:
            part = max(group.parts, key=lambda p: p.bytes)
            tensor = max(group.tensors.values())
            raise InputError(
                f"max_memory is too small for {part.label!r}, which is never split: it takes "
                f"{size(group.bytes)} (its largest tensor {size(tensor)}), and the roomiest place "
                f"{roomiest!r} has {size(everywhere[roomiest])}. Do: give one place more, allow "
                "another, or load in fewer bits")


def _no_room(parts: Sequence[Part], limits: Limits) -> str:
    weights = sum({k: v for part in parts for k, v in part.tensors.items()}.values())
    caches, rooms = sum(part.cache for part in parts), dict(limits.bytes)
    offered = ", ".join(f"{place!r}: {size(rooms.get(place, inf))}"
                        for place in (*limits.devices, *limits.offload))
    fetch = 2 * max(part.bytes for part in parts)
    if limits.offload:
        return (f"the model does not fit: {limits.devices[0]!r} has to run the parts that it does "
                f"not hold, for which two of the largest ({size(fetch)}), their keys and values "
                f"({size(caches)}) and a pass ({size(limits.work)}) need room; there is {offered}. "
                "Do: raise max_memory, or load in fewer bits (load_in_4bit=True)")
    return (f"the model does not fit: its weights take {size(weights)}, keys and values "
            f"{size(caches)}, a pass {size(limits.work)} on each device, and no part may be split; "
            f"there is {offered}. Do: raise max_memory, load in fewer bits (load_in_4bit=True), or "
            "ask for offload, which is slow: max_memory={..., 'cpu': '30GiB'} from a GPU to the "
            "CPU's memory, offload_folder='offload' to the disk")
