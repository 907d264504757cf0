"""What changes a function's digest, and what does not: sources compiled and compared."""

from __future__ import annotations

import importlib
import random
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from enfold.data.fingerprint import captured, digest

BASE = """
import functools, json
import numpy as np
K = 3
TABLE = {"a": 1}
class Base:
    limit = 5
    def clean(self, x): return x.strip()
class Cleaner(Base):
    def __init__(self, n=1): self.n = n
    def clean(self, x): return super().clean(x) * self.n
    @staticmethod
    def static(x): return x
    @property
    def width(self): return 1
cleaner = Cleaner()
def helper(x, by=2): return x * by
def deeper(x): return helper(x) + 1
def unused(x): return x
def make(value):
    def inner(x): return x, value
    return inner
def decorate(function):
    @functools.wraps(function)
    def wrapper(x): return function(x) + 7
    return wrapper
@decorate
def decorated(x): return x
@functools.lru_cache(maxsize=8)
def remembered(x): return helper(x)
async def asynchronous(x): return helper(x)
"""
FUNCTIONS = {
    "constant": "f = lambda x: x + 1", "global": "f = lambda x: x * K",
    "comprehension": "f = lambda rows: [r * K for r in rows]", "table": "f = lambda x: TABLE[x]",
    "helper": "f = lambda x: deeper(x)", "closure": "f = make(4)", "list": "f = make([1, 2])",
    "function in a closure": "f = make(deeper)", "decorated": "f = decorated",
    "object": "f = lambda x: cleaner.clean(x)", "bound": "f = cleaner.clean",
    "unbound": "f = Cleaner.clean", "class": "f = lambda x: Cleaner(2).clean(x)",
    "lru": "f = lambda x: remembered(x)", "async": "f = asynchronous",
    "partial": "f = functools.partial(helper, by=5)", "default": "def f(x, n=K): return n",
    "keyword default": "def f(x, *, n=K): return n",
    "nested": "def f(x):\n  class C:\n    def g(self): return helper(x)\n  return C().g()",
    "set constant": "f = lambda x: x in {'p', 'q', 'r'}",
    "docstring": "def f(x):\n  'says'\n  return x",
    "doc and value": "def f(x):\n  'says'\n  return 'says'",
}
CHANGES = [  # (what, old text, new text, the functions whose digests change)
    ("a comment", "K = 3", "K = 3  # three", ""),
    ("lines", "\nK = 3", "\n\n\n\nK = 3", ""),
    ("a function nobody calls", "def unused(x): return x", "def unused(x): return -x", ""),
    ("an annotation", "def helper(x, by=2)", "def helper(x: int, by: int = 2) -> int", ""),
    ("a docstring", "'says'\n  return x", "'tells'\n  return x", ""),
    ("docstring and value", "'says'\n  return 'says'", "'tells'\n  return 'tells'",
     "doc_and_value"),
    ("a global", "K = 3", "K = 4", "global comprehension default keyword_default"),
    ("a global's type", "K = 3", "K = 3.0", "global comprehension default keyword_default"),
    ("an entry of a global", '{"a": 1}', '{"a": 2}', "table"),
    ("a helper's code", "return x * by", "return by * x",
     "helper function_in_a_closure lru async partial nested"),
    ("a helper's default", "by=2", "by=3", "helper function_in_a_closure lru async partial nested"),
    ("a constant", "x + 1", "x + 2", "constant"),
    ("a closure cell", "make(4)", "make(5)", "closure"),
    ("an item of a closure cell", "make([1, 2])", "make([1, 3])", "list"),
    ("a decorator", "function(x) + 7", "function(x) + 8", "decorated"),
    ("a decorated function", "def decorated(x): return x", "def decorated(x): return -x",
     "decorated"),
    ("a base class", "x.strip()", "x.rstrip()", "object bound unbound class"),
    ("a class attribute", "limit = 5", "limit = 6", "object bound unbound class"),
    ("a property", "def width(self): return 1", "def width(self): return 2",
     "object bound unbound class"),
    ("a static method", "def static(x): return x", "def static(x): return -x",
     "object bound unbound class"),
    ("an object's state", "cleaner = Cleaner()", "cleaner = Cleaner(2)", "object bound"),
    ("an argument of a partial", "by=5", "by=6", "partial"),
    ("a constant set", "{'p', 'q', 'r'}", "{'p', 'q', 's'}", "set_constant"),
    ("the size of a cache", "maxsize=8", "maxsize=9", "lru"),
]


def digests(base: str, functions: dict[str, str]) -> dict[str, str]:
    found = {}
    for name, text in functions.items():
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(base + text, f"/somewhere/{random.random()}.py", "exec"), space)
        found[name.replace(" ", "_")] = digest(space["f"])
    return found


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return digests(BASE, FUNCTIONS)


def test_every_function_is_told_apart(before: dict[str, str]) -> None:
    assert len(set(before.values())) == len(before)


@pytest.mark.parametrize(("what", "old", "new", "changed"), CHANGES, ids=[c[0] for c in CHANGES])
def test_changes(before: dict[str, str], what: str, old: str, new: str, changed: str) -> None:
    assert old in BASE or any(old in text for text in FUNCTIONS.values())
    after = digests(BASE.replace(old, new),
                    {name: text.replace(old, new) for name, text in FUNCTIONS.items()})
    assert {name for name in before if before[name] != after[name]} == set(changed.split())


def test_running_a_function_leaves_its_digest() -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(BASE + "f = lambda x: (deeper(x), remembered(x), K, cleaner.width)", space)
    before = digest(space["f"])
    for n in range(2000):  # warm: the interpreter specialises the bytecode
        space["f"](n % 3)
    assert digest(space["f"]) == before


def counting() -> Callable[[Any], Any]:
    count = 0

    def f(x: Any) -> Any:
        nonlocal count
        count += 1
        return x

    return f


def attribute() -> Callable[[Any], Any]:
    def f(x: Any) -> Any:
        f.calls = getattr(f, "calls", 0) + 1  # type: ignore[attr-defined]
        return x

    return f


def vocabulary() -> Callable[[Any], Any]:
    words: dict[str, int] = {}
    return lambda x: words.setdefault(str(x), len(words))


def growing() -> Callable[[Any], Any]:
    return [].append


def set_global() -> Callable[[Any], Any]:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("def f(x):\n  global seen\n  seen = x\n  return x", space)
    f: Callable[[Any], Any] = space["f"]
    return f


def default(x: Any, seen: list[Any] = []) -> Any:  # noqa: B006
    seen.append(x)
    return x


@pytest.mark.parametrize(("make", "name"), [
    (counting, "captured variable 'count'"), (attribute, "captured variable 'f'"),
    (vocabulary, "captured variable 'words'"), (growing, "self"),
    (set_global, "global 'seen'"), (lambda: default, "default 'seen'"),
    (lambda: random.Random(3).random, "self"),
])
def test_side_effects_are_seen_and_named(make: Callable[[], Any], name: str) -> None:
    function = make()
    whole, before = digest(function), {name: digest(thing) for name, thing in captured(function)}
    function("x") if name != "self" or make is growing else function()
    after = {name: digest(thing) for name, thing in captured(function)}
    assert digest(function) != whole
    assert {key for key in after if before.get(key) != after[key]} >= {name}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of the user's own: helpers_h/{__init__,text}.py."""
    folder = tmp_path / "helpers_h"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "text.py").write_text("import json\nRATE = 2\ndef clean(x): return x * RATE\n"
                                    "def other(x): return x\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.startswith("helpers_h")]:
        del sys.modules[name]


@pytest.mark.parametrize("function", [
    "import helpers_h.text\nf = lambda x: helpers_h.text.clean(x)",
    "import helpers_h.text as t\nf = lambda x: t.clean(x)",
    "from helpers_h.text import clean\nf = lambda x: clean(x)",
    "from helpers_h import text\nf = lambda x: list(map(text.clean, x))",
    "def f(x):\n  from helpers_h.text import clean\n  return clean(x)",
    "def f(x):\n  import helpers_h.text as t\n  return t.clean(x)",
    "def f(x):\n  import helpers_h.text\n  return helpers_h.text.clean(x)",
    "def make():\n  import helpers_h.text as t\n  return lambda x: t.clean(x)\nf = make()",
])
def test_a_users_modules_count_by_what_is_used_of_them(package: Path, function: str) -> None:
    def fresh(old: str, new: str) -> str:
        text = package / "text.py"
        text.write_text(text.read_text().replace(old, new))
        for name in ("helpers_h.text", "helpers_h"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()
        sys.dont_write_bytecode = True  # two edits within a second would share a .pyc
        space: dict[str, Any] = {"__name__": "__main__"}
        exec(function, space)
        before = digest(space["f"])
        space["f"]([1] if "map" in function else 1)
        assert digest(space["f"]) == before
        return before

    first = fresh("", "")
    assert fresh("return x\n", "return x  # same\n") == first
    assert fresh("other(x): return x", "other(x): return -x") == first
    second = fresh("x * RATE", "RATE * x")
    third = fresh("RATE = 2", "RATE = 3")
    assert len({first, second, third}) == 3


def test_modules_that_are_absent_or_not_loaded() -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("def f(x):\n  try: import absent_module_h\n  except ImportError: return x", space)
    assert digest(space["f"]) == digest(space["f"])
    exec("def f(x):\n  import antigravity\n  return x", space)
    assert digest(space["f"]) and "antigravity" not in sys.modules


def test_a_librarys_version_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    from enfold.data.fingerprint import origin

    before = digest(lambda x: np.mean(x))
    monkeypatch.setattr(origin, "_release", lambda top: f"{top} 0.0")
    origin._version.cache_clear()
    try:
        assert digest(lambda x: np.mean(x)) != before
    finally:
        origin._version.cache_clear()


def test_captured_lists_what_a_function_holds() -> None:
    scale, names = 3, ["a"]

    def f(x: Any, n: int = 5) -> Any:
        return x, scale, names, BASE

    listed = captured(types.MethodType(f, "me"))
    assert listed == [("captured variable 'names'", names), ("captured variable 'scale'", 3),
                      ("default 'n'", 5), ("global 'BASE'", BASE), ("self", "me")]
    assert captured(len) == [] and captured("a".join) == [("self", "a")]
