"""digest(thing): the same string for the same content, in any process, on any machine.

A describer (describe.py) is a generator that tells a thing by tokens: bytes are content as it is,
a tuple `(kind, name, part)` is a part with its own digest.  The walk over parts is a depth-first
search with its own stack, so depth has no limit.  Parts that hold each other in a ring (a function
and the helper that calls it back, a node and its parent) have no digest one before the other; such
a ring is found as a strongly connected component (Tarjan 1972) and its members are told apart by
colour refinement: start from each one's own content, then take in the colours of its parts, until
no more colours appear.  So it matters neither where the walk came in, nor which equal objects are
shared, nor the order of sets.
"""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Iterator
from typing import Any

from enfold.data.fingerprint.describe import LEAVES, UNORDERED, Pair, describe
from enfold.errors import Unhashable

_SIZE = 16  # bytes: 2**64 things until two of them are likely to share a digest
_SMALL = 512  # bytes of content below which hashing again is as cheap as remembering
_ROUNDS = 2_000_000  # colours to compute at most for one ring


def digest(thing: Any) -> str:
    """32 hexadecimal digits that stand for the content of `thing`.

    Equal content gives equal digests, whatever the process, the hash seed, the order of sets and
    dicts, the file and line of a function.  Functions and classes of the user count by their code
    and by all that it names; those of libraries by name and version.  An object may define
    `__enfold_digest__(self)`: what that returns is hashed in its stead.

    Raises `Unhashable`, which tells the path to what has no content to hash.
    """
    return _Walk().run(thing).hex()


class _Node:
    """A thing on its way to a digest."""

    def __init__(self, kind: str, name: Any, thing: Any, index: int) -> None:
        self.kind, self.name, self.thing = kind, name, thing
        self.tokens = describe(thing)
        self.hash = hashlib.blake2b(digest_size=_SIZE)
        self.size = 0
        self.deep = False  # has parts with digests of their own
        self.loose: list[bytes] = []  # unordered parts that have a digest
        self.ring: list[_Node] = []  # parts that are in a ring with this, in order
        self.loose_ring: list[_Node] = []  # and those without order
        self.index = self.low = index

    def add(self, data: bytes, loose: bool) -> None:
        if loose:
            self.loose.append(data)
        else:
            self.hash.update(data)
        self.size += len(data)

    def point(self, other: _Node, loose: bool) -> None:
        """Another member of the ring as a part."""
        (self.loose_ring if loose else self.ring).append(other)
        self.add(b"R", False)
        self.low = min(self.low, other.low)

    def label(self) -> bytes:
        """The digest of all that is not in the ring."""
        for part in sorted(self.loose):
            self.hash.update(b"|" + part)
        return self.hash.digest()


class _Walk:
    """One call of `digest`."""

    def __init__(self) -> None:
        self.done: dict[int, tuple[bytes, Any]] = {}  # with the thing, so that its id stays taken
        self.open: dict[int, _Node] = {}
        self.path: list[_Node] = []
        self.waiting: list[_Node] = []  # visited, not known yet which ring they are in
        self.count = 0
        self.result = b""  # of the node left last

    def run(self, thing: Any) -> bytes:
        self._enter("", "", [thing])
        while self.path:
            node = self.path[-1]
            try:
                token = next(node.tokens, None)
                if token is None:
                    self._leave(node)
                elif isinstance(token, tuple):
                    self._part(node, *token)
                else:
                    node.add(b"B%d:" % len(token), False)
                    node.add(token, False)
            except (Unhashable, MemoryError):
                raise
            except Exception as error:
                raise Unhashable(_explain(self.path, error)) from error
        return self.result

    def _enter(self, kind: str, name: Any, thing: Any) -> _Node:
        self.count += 1
        node = self.open[id(thing)] = _Node(kind, name, thing, self.count)
        self.path.append(node)
        self.waiting.append(node)
        return node

    def _part(self, node: _Node, kind: str, name: Any, thing: Any) -> None:
        loose = kind == UNORDERED
        if type(thing) in LEAVES:
            node.add(b"L" + marshal.dumps(thing, 2), loose)
        elif known := self.done.get(id(thing)):
            node.add(b"D" + known[0], loose)
            node.deep = True
        elif other := self.open.get(id(thing)):
            node.point(other, loose)
        else:
            self._enter(kind, name, thing)

    def _leave(self, node: _Node) -> None:
        """All parts are seen: if the node begins its ring, the ring is complete."""
        self.path.pop()
        loose = node.kind == UNORDERED
        if node.low < node.index:
            self.path[-1].point(node, loose)
            return
        members = [self.waiting.pop()]
        while members[-1] is not node:
            members.append(self.waiting.pop())
        alone = len(members) == 1 and not node.ring and not node.loose_ring
        digests = [node.label()] if alone else _resolve(members)
        for member, value in zip(members, digests, strict=True):
            del self.open[id(member.thing)]
            if member.deep or member.size > _SMALL or not alone:
                self.done[id(member.thing)] = value, member.thing
        self.result = digests[-1]
        if self.path:
            self.path[-1].add(b"D" + digests[-1], loose)
            self.path[-1].deep = True


def _resolve(ring: list[_Node]) -> list[bytes]:
    """The digests of the members of a ring."""
    labels = {node: node.label() for node in ring}
    colours, seen = labels, 0
    for _ in range(max(16, _ROUNDS // len(ring))):
        if len(set(colours.values())) <= seen:
            break
        seen = len(set(colours.values()))
        colours = {node: _hash(labels[node], *(colours[part] for part in node.ring),
                               *sorted(colours[part] for part in node.loose_ring))
                   for node in ring}
    every = sorted(set(colours.values()))
    return [_hash(b"ring", colours[node], *every) for node in ring]


def _hash(*parts: bytes) -> bytes:
    return hashlib.blake2b(b"".join(b"%d:%b" % (len(part), part) for part in parts),
                           digest_size=_SIZE).digest()


def _explain(path: list[_Node], error: Exception) -> str:
    last = path[-1].thing
    cls = type(last)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"
    return (f"can't hash {' -> '.join(_steps(path)) or 'it'}, a {name}: {error}. Do: create it "
            "inside the function, or define __enfold_digest__(self) on the class that holds it, "
            "or pass new_fingerprint='a name of your own for this step'")


def _steps(path: list[_Node]) -> Iterator[str]:
    """How to get to the end of the path, as a user would say it."""
    for node in path[2:]:
        if node.kind not in ("", "class", "maker", "state") and not isinstance(node.thing, Pair):
            yield f"{node.kind} {node.name!r}" if node.name != "" else node.kind
