"""Frozen functions do what they did when they were frozen, here and in a process that runs them."""

from __future__ import annotations

import functools
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from enfold.data.fingerprint import captured, digest, dumps, freeze, loads

SOURCE = """
import abc, dataclasses, enum, functools, math, typing
from collections import namedtuple
RATE = 2
def helper(x): return x * RATE
def deeper(x): return helper(x) + 1
def odd(n): return n > 0 and even(n - 1)
def even(n): return n == 0 or odd(n - 1)
def counted(x):
    global calls
    calls = globals().get("calls", 0) + 1
    return calls
class Colour(enum.Enum):
    RED = 1
    BLUE = 2
    def text(self): return f"{self.name}{RATE}"
class Bits(enum.IntFlag):
    A = 1
    B = 2
class Base(abc.ABC):
    @abc.abstractmethod
    def size(self): ...
class Thing(Base):
    __slots__ = ("n",)
    kinds = {"a": Colour.RED}
    def __init__(self, n): self.n = n
    def size(self): return self.n + RATE
    @property
    def half(self): return self.n / 2
    @classmethod
    def make(cls, n): return cls(n)
    @staticmethod
    def static(n): return helper(n)
class Loud(Thing):
    def size(self): return super().size() * 10
@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    tags: list = dataclasses.field(default_factory=list)
Point = namedtuple("Point", "x y")
T = typing.TypeVar("T")
class Box(typing.Generic[T]):
    @functools.cached_property
    def doubled(self) -> T: return RATE * 2
class Pair(typing.NamedTuple):
    a: int = 1
class Options(typing.TypedDict):
    a: int
class Meta(type):
    def __call__(cls, *args): return super().__call__(*args)
class Made(metaclass=Meta): size = RATE
@functools.singledispatch
def dispatched(x): return "any"
@dispatched.register
def _(x: int): return "int"
@functools.lru_cache
def remembered(x): return helper(x)
def fib(n):
    def go(n): return n if n < 2 else go(n - 1) + go(n - 2)
    return go
thing = Thing(5)
"""
CALLS = {
    "global": "lambda x: x * RATE", "deep": "lambda x: deeper(x)", "closure": "fib(5)",
    "ring": "lambda x: (odd(x), even(x))", "module": "lambda x: math.sqrt(x)",
    "default": "lambda x, y=RATE, *, f=helper: f(x) + y",
    "partial": "functools.partial(lambda a, x: (a, helper(x)), 7)", "bound": "thing.size",
    "class": "lambda x: (Loud(x).size(), Thing.make(x).half, Thing.static(x))",
    "enum": "lambda x: (Colour.BLUE.text(), Colour(1) is Colour.RED, int(Bits.A | Bits.B))",
    "dataclass": "lambda x: (repr(Row('n', [x])), Row('a') == Row('a'), hash(Point(1, x)))",
    "typed": "lambda x: (Box[int]().doubled, Pair(x), Options(a=x), Made().size, Pair().a)",
    "dispatched": "lambda x: (dispatched(x), dispatched('x'))",
    "lru": "lambda x: remembered(x)", "lambda": "(lambda n: lambda x: [x, n, RATE])(9)",
    "comprehension": "lambda x: [i * RATE for i in range(x)]", "held": "lambda x: thing.size()",
}

SHARED = ("bound", "class", "enum", "dataclass", "lru", "held", "typed", "dispatched")  # objects


def space() -> dict[str, Any]:
    module = types.ModuleType("__main__")  # what a script or a notebook defines
    exec(SOURCE, module.__dict__)
    return module.__dict__


@pytest.mark.parametrize("name", CALLS)
def test_a_frozen_function_keeps_what_it_names(name: str) -> None:
    variables = space()
    function = eval(CALLS[name], variables)
    said, told = function(3) if name not in ("bound",) else function(), digest(function)
    frozen = freeze(function)
    assert digest(frozen) == told
    for gone in ("RATE", "helper", "deeper", "odd", "even", "Row", "math", "thing", "remembered"):
        if name not in SHARED:
            variables[gone] = None
    assert (frozen(3) if name != "bound" else frozen()) == said
    assert digest(frozen) == told


@pytest.fixture(scope="module")
def worker() -> Callable[[bytes], str]:
    """Calls pickled functions with 3 in a process that knows nothing of this one."""
    code = ("import sys; from enfold.data.fingerprint import loads\n"
            "for name, call, args in loads(sys.stdin.buffer.read()):\n"
            "    print(name, call(*args))")

    def run(data: bytes) -> str:
        done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True,
                              timeout=60)
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode()

    return run


def test_functions_travel_to_a_process_that_can_not_import_them(
        worker: Callable[[bytes], str]) -> None:
    calls = [(name, eval(text, space()), () if name == "bound" else (3,))
             for name, text in CALLS.items()]
    plain, frozen = (dumps([(name, change(call), args) for name, call, args in calls])
                     for change in (lambda call: call, freeze))
    here = "".join(f"{name} {call(*args)}\n" for name, call, args in calls)
    assert worker(plain) == worker(frozen) == here


def test_late_binding_in_a_loop() -> None:
    frozen, functions = [], []
    for word in "abc":
        functions.append(lambda x: x + word)  # noqa: B023
        frozen.append(freeze(functions[-1]))
    assert [f("-") for f in functions] == ["-c", "-c", "-c"]
    assert [f("-") for f in frozen] == ["-a", "-b", "-c"]
    assert len({digest(f) for f in frozen}) == 3


def test_what_is_shared_shows_when_it_is_altered() -> None:
    words = ["a"]
    frozen = freeze(lambda x: words)
    before = {name: digest(thing) for name, thing in captured(frozen)}
    words.append("b")
    assert frozen(0) == ["a", "b"]
    after = {name: digest(thing) for name, thing in captured(frozen)}
    assert before != after and list(after) == ["captured variable 'words'"]


def test_what_a_function_is_stays() -> None:
    @functools.wraps(np.mean)
    def f(x: int, /, y: int = 2, *args: int, z: int = 3) -> int:
        return x + y + z

    frozen = freeze(f)
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__",
                 "__defaults__", "__kwdefaults__", "__dict__", "__code__"):
        assert getattr(frozen, name) == getattr(f, name)
    assert freeze(np.mean) is np.mean and freeze(len) is len and freeze(Path) is Path
    assert freeze("a".join)("bc") == "bac"


def test_eval_finds_every_global() -> None:
    variables = space()
    exec("def f(x): return eval('x * 2 + RATE')", variables)
    frozen = freeze(variables["f"])
    variables["RATE"] = None
    assert frozen(3) == 8


def test_variables_without_a_value() -> None:
    def f(x: int) -> int:
        return later + x

    frozen = freeze(f)
    with pytest.raises(NameError):
        frozen(1)
    with pytest.raises(NameError):
        loads(dumps(f))(1)
    assert digest(f) == digest(frozen)
    later = 3
    assert f(1) == 4
    assert digest(f) != digest(frozen)


def test_functions_of_one_module_share_their_globals_after_pickling() -> None:
    variables = space()
    exec("def count():\n  global n\n  n += 1\ndef read(): return n\nn = 0", variables)
    count, read = loads(dumps((variables["count"], variables["read"])))
    count(), count()
    assert read() == 2 and variables["read"]() == 0


def test_what_can_be_imported_is_pickled_by_name() -> None:
    assert loads(dumps(np.mean)) is np.mean
    assert loads(dumps(digest)) is digest
    assert len(dumps(freeze(lambda x: np.mean(x)))) < 1000
