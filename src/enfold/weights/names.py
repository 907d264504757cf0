"""Names: our module paths and the ecosystem's, one table per family, read in both directions.

    {"attn.{q,k}": "self_attn.{q_proj,k_proj}"}         braces pair up, in order
    scope("layers.*", "model.layers.*", {...})          `*` is an index, the same on both sides
    {"attn.qkv": T("attn.c_attn")}                      the weight is stored transposed (Conv1D)
    {"embed.token": ("shared", "embed_tokens")}         the first is the name; files use the others
An entry names a module or parameter; what is below keeps its path.  Lines stand in the order in
which the ecosystem's modules are made: that is the order of a model's parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product


@dataclass(frozen=True, slots=True)
class T:
    """Their name of a module whose weight is stored transposed."""

    name: str


@dataclass(frozen=True, slots=True)
class Reads:
    """Their name of a module, and names that stand in for it in a file that lacks it."""

    name: str
    others: tuple[str, ...]


Theirs = str | T | Reads | tuple[str, ...]
Names = Mapping[str, Theirs]

_BRACES = re.compile(r"\{([^{}]*)\}")


def scope(ours: str, theirs: str, names: Names) -> dict[str, Theirs]:
    """`names` below a prefix on either side; an empty prefix adds nothing."""
    return {_join(ours, key): _map(value, lambda name: _join(theirs, name))
            for key, value in names.items()}


def expand(names: Names) -> dict[str, Theirs]:
    """The table with its braces written out."""
    table: dict[str, Theirs] = {}
    for key, value in names.items():
        for ours, theirs in _unbrace(key, value):
            if ours in table:
                raise ValueError(f"names: {ours!r} stands twice")
            table[ours] = theirs
    return table


class NameTable:
    """A bijection between our parameter names and theirs.

    >>> table = NameTable({"layers.*.attn.q": "h.*.attn.query"})
    >>> table.theirs("layers.3.attn.q.weight"), table.ours("h.3.attn.query.bias")
    ('h.3.attn.query.weight', 'layers.3.attn.q.bias')
    """

    def __init__(self, names: Names) -> None:
        self.table = expand(names)
        self.forward: dict[str, str] = {}
        self.backward: dict[str, str] = {}
        self.further: dict[str, str] = {}  # their further names -> their first name
        self.spare: dict[str, str] = {}  # names that count only if the first is absent
        self.transposed: set[str] = set()
        for ours, value in self.table.items():
            first, *others = value if isinstance(value, tuple) else (value,)
            if isinstance(first, T):
                self.transposed.add(ours)
                first = first.name
            if isinstance(first, Reads):
                self.spare.update(dict.fromkeys(first.others, first.name))
                first = first.name
            if first in self.backward:
                raise ValueError(f"names: {ours!r} and {self.backward[first]!r} are both {first!r}")
            self.forward[ours] = first
            self.backward[first] = ours
            self.further.update(dict.fromkeys(others, first))
        self.readable = self.further | self.spare  # all names but the first ones
        self._theirs: dict[str, str] = {}  # what `theirs` and `rank` have answered
        self._ranks: dict[str, tuple[tuple[bool, int], ...]] = {}

    def theirs(self, ours: str) -> str:
        """Their name of our parameter or module; KeyError if the table has no line for it."""
        found = self._theirs.get(ours)
        if found is None:
            found = self._theirs[ours] = _translate(ours, self.forward)
        return found

    def rank(self, theirs: str) -> tuple[tuple[bool, int], ...]:
        """What to sort their parameters' names by to have them in the order of their modules.

        A module's own tensors come first, then its children, in the order of the table's lines.
        Tensors below one line are equal: sorting leaves them as they are.
        """
        if theirs not in self._ranks:
            self._ranks[theirs] = _rank(theirs.split("."), self._places)
        return self._ranks[theirs]

    @cached_property
    def _places(self) -> dict[tuple[str, ...], int]:
        """Each path of their tree and its number among all, by first mention."""
        places: dict[tuple[str, ...], int] = {}
        for first in self.backward:
            others = [other for other, name in self.further.items() if name == first]
            for line in (first, *others):
                path = tuple(line.split("."))
                for end in range(1, len(path) + 1):
                    places.setdefault(path[:end], len(places))
        return places

    def ours(self, theirs: str) -> str:
        """Our name of their parameter or module; KeyError if the table has no line for it."""
        return _translate(self.first(theirs), self.backward)

    def first(self, theirs: str) -> str:
        """The name that stands for `theirs`, which may be one of several that files use."""
        try:
            return _translate(theirs, self.readable)
        except KeyError:
            return theirs

    def stands_in(self, theirs: str) -> bool:
        """Whether a file's `theirs` counts only where the name it stands for is absent."""
        return self.first(theirs) != theirs and _known(theirs, self.spare)

    def others(self, theirs: str) -> list[str]:
        """Further names that files use for their parameter."""
        found = []
        for other, first in self.further.items():
            try:
                found.append(_translate(theirs, {first: other}))
            except KeyError:
                continue
        return found

    def line(self, ours: str) -> str:
        """The table's line that covers our name, for messages."""
        path = ours.split(".")
        for end in range(len(path), 0, -1):
            for pattern in _patterns(path[:end]):
                if (key := ".".join(pattern)) in self.forward:
                    return f"{key} -> {self.forward[key]}"
        return "no line"

    def is_transposed(self, ours: str) -> bool:
        """Whether the weight of our module is stored transposed."""
        return any(".".join(pattern) in self.transposed for pattern in _patterns(ours.split(".")))

    def below(self, theirs: str) -> Iterator[tuple[str, str]]:
        """(theirs, ours) of the lines below their path, indices of the path filled in."""
        parts = theirs.split(".")
        for line, ours in self.backward.items():
            pattern = line.split(".")
            if len(pattern) > len(parts) and all(p == s or (p == "*" and s.isdigit())
                                                 for p, s in zip(pattern, parts, strict=False)):
                numbers = [s for p, s in zip(pattern, parts, strict=False) if p == "*"]
                yield _fill(line, numbers), _fill(ours, numbers)


def _translate(name: str, table: Mapping[str, str]) -> str:
    """By the longest line that begins `name`; numbers are indices (`*`) or part of the line."""
    path = name.split(".")
    for end in range(len(path), 0, -1):
        for pattern in _patterns(path[:end]):
            found = table.get(".".join(pattern))
            if found is not None:
                numbers = [part for part, star in zip(path, pattern, strict=False) if star == "*"]
                return ".".join((_fill(found, numbers), *path[end:]))
    raise KeyError(name)


def _rank(path: list[str], places: Mapping[tuple[str, ...], int]) -> tuple[tuple[bool, int], ...]:
    """(is it a module, place) of each part of a path; below its line, only whether a module."""
    found: list[tuple[bool, int]] = []
    here: tuple[str, ...] = ()
    for number, part in enumerate(path):
        inner = number < len(path) - 1
        below, star = (*here, part), (*here, "*")
        if below not in places and part.isdigit() and star in places:
            here = star
            found.append((inner, int(part)))
        elif below in places:
            here = below
            found.append((inner, places[below]))
        else:
            return (*found, (inner, 0))
    return tuple(found)


def _known(name: str, table: Mapping[str, str]) -> bool:
    try:
        return bool(_translate(name, table))
    except KeyError:
        return False


def _patterns(path: list[str]) -> Iterator[tuple[str, ...]]:
    return product(*(("*", part) if part.isdigit() else (part,) for part in path))


def _fill(pattern: str, numbers: list[str]) -> str:
    for number in numbers:
        pattern = pattern.replace("*", number, 1)
    return pattern


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix and name else prefix or name


def _map(value: Theirs, change):  # type: ignore[no-untyped-def]
    if isinstance(value, tuple):
        return tuple(change(name) for name in value)
    if isinstance(value, Reads):
        return Reads(change(value.name), tuple(change(name) for name in value.others))
    return T(change(value.name)) if isinstance(value, T) else change(value)


def _unbrace(ours: str, theirs: Theirs) -> Iterator[tuple[str, Theirs]]:
    group = _BRACES.search(ours)
    if group is None:
        yield ours, theirs
        return
    for index, choice in enumerate(group[1].split(",")):
        key = ours[: group.start()] + choice + ours[group.end() :]
        yield from _unbrace(key, _map(theirs, lambda name, i=index: _pick(name, i)))


def _pick(name: str, index: int) -> str:
    """`name` with its first brace group replaced by its choice number `index`."""
    return _BRACES.sub(lambda group: group[1].split(",")[index], name, count=1)
