"""Equal content gives equal digests, different content different ones."""

from __future__ import annotations

import collections
import copy
import dataclasses
import enum
import functools
import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enfold.data.fingerprint import Unhashable, digest


@dataclasses.dataclass
class Config:
    rate: float = 0.1
    names: list[str] = dataclasses.field(default_factory=list)


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a: Any) -> None:
        self.a = a


class Keyed:
    def __init__(self, key: str) -> None:
        self.key, self.lock = key, threading.Lock()

    def __enfold_digest__(self) -> str:
        return self.key


class Lazy:
    def __init__(self, n: int) -> None:
        self.n = n

    @functools.cached_property
    def squared(self) -> int:
        return self.n ** 2


class Node:
    def __init__(self, name: str) -> None:
        self.name = name
        self.near: set[Node] = set()
        self.next: Node | None = None


def ring(*names: str, start: int = 0) -> Node:
    nodes = [Node(name) for name in names]
    for one, two in zip(nodes, nodes[1:] + nodes[:1], strict=True):
        one.next = two
        one.near |= set(nodes) - {one}
    return nodes[start]


def shared() -> list[list[int]]:
    one = [1, 2]
    return [one, one]


class Level(enum.IntEnum):
    LOW = 1


EQUAL = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}), ({1: "x", "b": [2]}, {"b": [2], 1: "x"}),
    ({"x", "y", 3}, {3, "y", "x"}), (shared(), [[1, 2], [1, 2]]),
    ("".join(["a", "b"]), "ab"), (list(range(9000)), [*range(9000)]),
    (Config(names=["a"]), Config(names=["a"])), (Slots(1), copy.copy(Slots(1))),
    (Keyed("a"), Keyed("a")), (re.compile("a"), re.compile("a")),
    (Path("a") / "b", Path("a/b")), (ring("a", "b", "c"), ring("a", "b", "c")),
    (ring("a", "b", "c", start=1), ring("b", "c", "a")), (object(), object()),
    ({"k": 1}.keys(), {"k": 2}.keys()),
]


@pytest.mark.parametrize(("one", "two"), EQUAL)
def test_equal_content(one: object, two: object) -> None:
    assert digest(one) == digest(two)
    assert re.fullmatch("[0-9a-f]{32}", digest(one))


ALL = [
    None, 0, False, 0.0, -0.0, "", b"", (), [], {}, set(), frozenset(), 1, True, 1.0, "1", b"1",
    [1], (1,), {1}, frozenset({1}), {1: 1}, [[1]], [1, [1]], [[1], 1], [1, 1], ["1"], [b"1"],
    ["a", "b"], ["b", "a"], ["ab"], ["a", "b", ""], {"a": 1, "b": 2}, {"a": 2, "b": 1},
    [("a", 1), ("b", 2)], collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1),
    collections.Counter("ab"), collections.defaultdict(int, a=1),
    collections.defaultdict(list, a=1), collections.deque([1]),
    collections.deque([1], 2), bytearray(b"1"), Config(), Config(0.2),
    Config(names=["a"]), Slots(1), Slots(2), Keyed("a"), Keyed("b"), Path("a"), re.compile("a"),
    re.compile("a", re.I), re.compile(b"a"), range(3), slice(1), Level.LOW, Level, int, str,
    list[int], list[str], int | str, len, sorted, "a".join, "b".join, [].append, [1].append,
    str.lower, str.upper, np.mean, np.sum, np.add, np, re, functools.partial(int, base=2),
    functools.partial(int, base=3), Config(0.1, ["a"]).__eq__, Config.__eq__, ring("a", "b"),
    ring("a", "c"), ring("a", "b", "c"), ring("b", "a", "c"), float("nan"), float("inf"),
    [*range(9000)], [*range(8999), 0], list(map(str, range(5000))),
]


def test_different_content() -> None:
    digests = [digest(thing) for thing in ALL]
    same = [(ALL[i], ALL[j]) for i, one in enumerate(digests) for j in range(i)
            if one == digests[j]]
    assert same == []


def test_rings_are_the_same_from_every_entrance() -> None:
    a, b = ring("a", "b"), ring("a", "b", start=1)
    assert digest([a, a.next]) == digest([b.next, b])
    assert digest(a) != digest(b)
    far, changed = ([Node("n") for _ in range(400)] for _ in range(2))
    for nodes in (far, changed):
        for one, two in zip(nodes, nodes[1:] + nodes[:1], strict=True):
            one.next = two
    assert digest(far[0]) == digest(changed[0])
    changed[200].name = "other"
    assert digest(far[0]) != digest(changed[0])


def test_a_list_that_holds_itself() -> None:
    one: list[Any] = []
    one.append(one)
    two: list[Any] = [[]]
    two[0].append(two)
    assert digest(one) == digest(two) != digest([[]])


def test_depth_and_sharing_cost_nothing() -> None:
    deep: Any = "leaf"
    for _ in range(20_000):
        deep = [deep]
    assert digest(deep) != digest([deep])
    wide: Any = ["leaf"]
    for _ in range(200):  # 2**200 paths
        wide = [wide, wide]
    assert digest(wide) == digest(copy.deepcopy(wide))


def test_what_cached_property_remembers_does_not_count() -> None:
    one = Lazy(3)
    before = digest(one)
    assert one.squared == 9
    assert digest(one) == before != digest(Lazy(4))


class Bits(enum.Flag):
    A = 1
    B = 2


def test_a_combined_flag_leaves_its_class() -> None:
    before = digest(Bits), digest(Bits.A)
    both = Bits.A | Bits.B  # Python remembers it in the class
    assert (digest(Bits), digest(Bits.A)) == before
    assert digest(both) not in before


def test_singledispatch_counts_its_implementations() -> None:
    def make(second: Any) -> Any:
        general = functools.singledispatch(lambda x: 1)
        general.register(int, second)
        return general

    one, two = make(lambda x: 2), make(lambda x: 3)
    before = digest(one)
    assert one(1) == 2  # fills its cache
    assert digest(one) == before == digest(make(lambda x: 2)) != digest(two)


def test_temporaries_do_not_meet() -> None:
    """Parts that a describer makes are gone when the next is made, perhaps at the same address."""
    frames = [Config(float(i), [str(i)] * 300) for i in range(50)]
    assert len({digest(frame) for frame in frames}) == 50
    assert digest(frames) == digest(copy.deepcopy(frames))
    assert digest(frames) != digest([*frames[:-1], frames[0]])


def test_unhashable_tells_the_path() -> None:
    tok = Config()
    tok.names = [{"deep": threading.Lock()}]  # type: ignore[list-item]

    def helper(x: int) -> Any:
        return tok, x

    with pytest.raises(Unhashable) as told:
        digest(lambda x: helper(x))
    assert str(told.value) == (
        "can't hash captured variable 'helper' -> captured variable 'tok' -> attribute 'names' -> "
        "item 0 -> key 'deep', a _thread.lock: cannot pickle '_thread.lock' object. Do: create it "
        "inside the function, or define __enfold_digest__(self) on the class that holds it, or "
        "pass new_fingerprint='a name of your own for this step'")
    assert isinstance(told.value, TypeError)


@pytest.mark.parametrize(("thing", "says"), [
    ((i for i in range(3)), "can't hash it, a generator: cannot pickle 'generator' object"),
    ({1: open(__file__)}, "value of key 1, a _io.TextIOWrapper: cannot pickle"),  # noqa: SIM115
    (functools.partial(print, file=threading.Lock()), "can't hash arguments -> key 'file'"),
    ({threading.Lock()}, "can't hash element, a _thread.lock"),
])
def test_unhashable_things(thing: Any, says: str) -> None:
    with pytest.raises(Unhashable, match=re.escape(says)):
        digest(thing)
