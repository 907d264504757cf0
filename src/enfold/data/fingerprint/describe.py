"""From an object to its tokens: which describer a type has, plain containers, and the rest.

What no describer is written for is told as `pickle` would store it: its class and its state.
"""

from __future__ import annotations

import copyreg
import marshal
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from functools import cached_property, lru_cache, partial
from itertools import islice
from types import (
    BuiltinFunctionType,
    ClassMethodDescriptorType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    MethodDescriptorType,
    MethodType,
    MethodWrapperType,
    ModuleType,
    WrapperDescriptorType,
)
from typing import Any

from enfold.data.fingerprint import arrays, foreign, functions
from enfold.data.fingerprint.code import describe_code

Tokens = Iterator[Any]  # see digest.py
LEAVES = frozenset({type(None), type(...), bool, int, float, complex, str, bytes})
UNORDERED = "element"  # the kind of a part whose place among its likes does not count
_CHUNK = 4096
_SORTABLE: tuple[set[type], ...] = ({str}, {int}, {bytes})


class Pair:
    """An entry of a dict whose keys have no order of their own."""

    def __init__(self, key: Any, value: Any) -> None:
        self.key, self.value = key, value


def describe(thing: Any) -> Tokens:
    """The tokens of anything but a leaf."""
    cls: type = type(thing)
    found = _PLAIN.get(cls)
    if found is not None:
        return found(thing)
    if hasattr(cls, "__enfold_digest__"):
        return _own(thing)
    found = arrays.describer(cls) or foreign.describer(cls) or _inherited(cls)
    return found(thing) if found is not None else _object(thing)


def _own(thing: Any) -> Tokens:
    yield b"own"
    yield "name", "", (type(thing).__module__, type(thing).__qualname__)
    yield "__enfold_digest__", "", thing.__enfold_digest__()


def _sequence(items: Sequence[Any]) -> Tokens:
    """list, tuple: runs of scalars at the speed of C, anything else one by one."""
    yield type(items).__name__.encode()
    for start in range(0, len(items), _CHUNK):
        chunk = items[start:start + _CHUNK]
        if set(map(type, chunk)) <= LEAVES:
            yield marshal.dumps(list(chunk), 2)
        else:
            for place, item in enumerate(chunk, start):
                yield "item", place, item


def _set(items: Set[Any]) -> Tokens:
    yield b"set" if isinstance(items, set) else b"frozenset"
    kinds = set(map(type, items))
    if kinds in _SORTABLE:
        yield marshal.dumps(sorted(items), 2)
    elif kinds <= LEAVES:
        yield from sorted(marshal.dumps(item, 2) for item in items)
    else:
        for item in items:
            yield UNORDERED, "", item


def _dict(items: Mapping[Any, Any]) -> Tokens:
    """Equal dicts are equal whatever their order, as for `==`."""
    yield b"dict"
    if set(map(type, items)) <= {str}:
        keys = iter(sorted(items))
        while chunk := list(islice(keys, _CHUNK)):
            values = [items[key] for key in chunk]
            yield marshal.dumps(chunk, 2)
            if set(map(type, values)) <= LEAVES:
                yield marshal.dumps(values, 2)
            else:
                yield from (("key", key, value) for key, value in zip(chunk, values, strict=True))
    else:
        for key, value in items.items():
            yield UNORDERED, key, Pair(key, value)


def _pair(pair: Pair) -> Tokens:
    yield b"pair"
    yield "key", pair.key, pair.key
    yield "value of key", pair.key, pair.value


def _bytes(data: bytearray | memoryview) -> Tokens:
    yield type(data).__name__.encode()
    yield bytes(data)


def _pattern(pattern: re.Pattern[Any]) -> Tokens:
    yield b"pattern"
    yield "pattern", "", (pattern.pattern, pattern.flags)


def _partial(made: partial[Any]) -> Tokens:
    yield b"partial"
    yield "function", getattr(made.func, "__name__", ""), made.func
    for place, value in enumerate(made.args):
        yield "argument", place, value
    yield "arguments", "", made.keywords
    yield "attributes", "", vars(made)


def _proxy(proxy: MappingProxyType[Any, Any]) -> Tokens:
    return _dict(proxy)


def _view(view: Any) -> Tokens:
    yield type(view).__name__.encode()
    yield "items", "", (set if isinstance(view, Set) else list)(view)


def _set_of_a_kind(items: Set[Any]) -> Tokens:
    yield b"kind of set"
    yield "class", type(items).__name__, type(items)
    yield "attributes", "", getattr(items, "__dict__", None)
    yield from _set(items)


def _object(thing: Any) -> Tokens:
    """Anything else: what its `__reduce_ex__` gives."""
    cls = type(thing)
    reduce = copyreg.dispatch_table.get(cls)
    reduced: Any = reduce(thing) if reduce else thing.__reduce_ex__(4)
    if isinstance(reduced, str):  # the name of something in its module
        yield b"named"
        yield "name", "", (cls.__module__, cls.__qualname__, reduced)
        return
    yield b"object"
    parts: list[Any] = [*reduced, None, None, None]
    yield "maker", "", parts[0]
    for place, part in enumerate(parts[1]):
        yield "class" if isinstance(part, type) else "argument", place, part
    yield from _state(cls, parts[2])
    if parts[3] is not None:
        yield "items", "", list(parts[3])
    if parts[4] is not None:
        ordered = isinstance(thing, OrderedDict)
        yield "entries", "", list(parts[4]) if ordered else dict(parts[4])


def _state(cls: type, state: Any) -> Tokens:
    plain, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    for part in (plain, slots):
        if isinstance(part, dict) and all(isinstance(name, str) for name in part):
            for name in sorted(part.keys() - _remembered(cls) - foreign.noise(cls)):
                yield name.encode("utf-8", "surrogatepass")
                yield "attribute", name, part[name]
        else:
            yield "state", "", part


def _remembered(cls: type) -> set[str]:
    """Attributes that cached_property fills in: they follow from the others."""
    return {name for base in cls.__mro__ for name, value in vars(base).items()
            if isinstance(value, cached_property)}


def _inherited(cls: type) -> Callable[[Any], Tokens] | None:
    """Describers that hold for every class that derives from theirs."""
    for base, found in _KINDS.items():
        if issubclass(cls, base):
            return found
    return None


_PLAIN: dict[type, Callable[[Any], Tokens]] = {
    list: _sequence, tuple: _sequence, set: _set, frozenset: _set, dict: _dict, Pair: _pair,
    bytearray: _bytes, memoryview: _bytes, re.Pattern: _pattern, partial: _partial,
    MappingProxyType: _proxy, type({}.keys()): _view, type({}.values()): _view,
    type({}.items()): _view,
    CodeType: describe_code, FunctionType: functions.describe_function,
    MethodType: functions.describe_method, BuiltinFunctionType: functions.describe_builtin,
    MethodWrapperType: functions.describe_builtin,
    **dict.fromkeys((MethodDescriptorType, WrapperDescriptorType, ClassMethodDescriptorType,
                     GetSetDescriptorType, MemberDescriptorType), functions.describe_descriptor),
    staticmethod: functions.describe_wrapper, classmethod: functions.describe_wrapper,
    property: functions.describe_property, cached_property: functions.describe_cached_property,
    type(lru_cache(_pair)): functions.describe_lru_cache,
}
_KINDS: dict[type, Callable[[Any], Tokens]] = {
    type: functions.describe_class, ModuleType: functions.describe_module,
    set: _set_of_a_kind, frozenset: _set_of_a_kind,
}
