"""Pickles that carry functions and classes which a worker process could not import.

Functions of the user's go by value, as they are now: code, closure cells, defaults and the globals
their text names.  Classes do where another process could not import them: those defined in
functions, in `__main__`, a notebook, or a module that is not imported to its end yet, whose import
there would start over what is under way here.  All else is pickled as usual.

A function may hold itself (a recursive closure), so it is made empty first and filled then:

    make(code, globals, ...)  ->  memo  ->  fill(function, state)
"""

from __future__ import annotations

import builtins
import importlib
import io
import marshal
import pickle
import types
import weakref
from enum import EnumMeta
from functools import cached_property, lru_cache
from types import (
    CellType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MappingProxyType,
    MemberDescriptorType,
    ModuleType,
    new_class,
)
from typing import Any, Generic, TypeVar, is_typeddict

from enfold.data.fingerprint.captures import MISSING, content
from enfold.data.fingerprint.code import uses
from enfold.data.fingerprint.origin import home, importable, library, named

loads = pickle.loads

_MADE = {"__dict__", "__weakref__", "__slots__", "_abc_impl", "__classcell__"}
_ENUM_OWN = {"_member_map_", "_member_names_", "_value2member_map_", "_unhashable_values_",
             "_use_args_", "_member_type_", "_value_repr_", "_hashable_values_",
             "_unhashable_values_map_", "_new_member_", "__new__", "_generate_next_value_"}


def dumps(thing: Any) -> bytes:
    """Pickle `thing`; `loads` in a process that has enfold brings it back."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(thing)
    return buffer.getvalue()


class _Pickler(pickle.Pickler):
    """Functions of one module share their globals on the other side, as they do here."""

    def __init__(self, file: io.BytesIO, protocol: int) -> None:
        super().__init__(file, protocol)
        self.shared: dict[int, tuple[Any, dict[str, Any]]] = {}

    def reducer_override(self, thing: Any) -> Any:
        if isinstance(thing, FunctionType):
            return NotImplemented if _fixed(thing) else self.function(thing)
        if isinstance(thing, type):
            if thing.__module__ == "builtins":  # `function`, `cell`, ... have names only in types
                return (getattr, (types, _HIDDEN[thing])) if thing in _HIDDEN else NotImplemented
            place = named(thing)
            return NotImplemented if place and importable(place[0]) else _class(thing)
        if isinstance(thing, CodeType):
            return marshal.loads, (marshal.dumps(thing),)
        if isinstance(thing, CellType):
            return CellType, (), [content(thing)], None, None, _fill_cell
        if isinstance(thing, ModuleType):
            return importlib.import_module, (thing.__name__,)
        return _rest(thing)

    def function(self, function: FunctionType) -> Any:
        original = function.__globals__
        _, shared = self.shared.setdefault(id(original), (original, {}))
        used = uses(function.__code__)
        names = set(original) if used.open else {chain[0] for chain in used.globals}
        state = {
            "globals": {name: original[name] for name in sorted(names - {"__builtins__"})
                        if name in original},
            "attributes": {name: getattr(function, name) for name in
                           ("__defaults__", "__kwdefaults__", "__doc__", "__module__",
                            "__qualname__", "__annotations__")},
            "dict": vars(function),
        }
        made = (function.__code__, shared, home(function), function.__name__,
                function.__closure__)
        return _make_function, made, state, None, None, _fill_function


def _fixed(function: FunctionType) -> bool:
    """Whether a library offers the function under its name."""
    place = named(function)
    return place is not None and (
        library(place[0]) is not None or place[0].partition(".")[0] == "enfold")


def _make_function(code: CodeType, shared: dict[str, Any], module: str | None, name: str,
                   cells: tuple[CellType, ...] | None) -> FunctionType:
    shared.setdefault("__name__", module)
    shared.setdefault("__builtins__", builtins)  # C code that imports something looks for it here
    return FunctionType(code, shared, name, None, cells)


def _fill_function(function: FunctionType, state: dict[str, Any]) -> None:
    function.__globals__.update(state["globals"])
    for name, value in state["attributes"].items():
        setattr(function, name, value)
    function.__dict__.update(state["dict"])


def _fill_cell(cell: CellType, held: list[Any]) -> None:
    if held[0] is not MISSING:
        cell.cell_contents = held[0]


def _class(cls: type) -> Any:
    """A class by value: made empty with its bases, then given its attributes."""
    if isinstance(cls, EnumMeta):
        members = {name: member.value for name, member in cls.__members__.items()}  # type: ignore[var-annotated]
        state = {name: value for name, value in vars(cls).items()
                 if name not in _MADE | _ENUM_OWN and name not in members}
        return _make_enum, (cls.__bases__, cls.__name__, members), state, None, None, _fill_class
    skipped = (GetSetDescriptorType, MemberDescriptorType)
    state = {name: value for name, value in vars(cls).items()
             if name not in _MADE and not isinstance(value, skipped)}
    state["__qualname__"] = cls.__qualname__
    slots = vars(cls).get("__slots__")
    generic = Generic in cls.__bases__ or is_typeddict(cls)
    bases = cls.__orig_bases__ if generic else cls.__bases__  # type: ignore[attr-defined]
    made = (type(cls), cls.__name__, bases, cls.__module__, slots)
    return _make_class, made, state, None, None, _fill_class


def _make_class(meta: type, name: str, bases: tuple[Any, ...], module: str, slots: Any) -> type:
    body = {"__module__": module} | ({} if slots is None else {"__slots__": slots})
    return new_class(name, bases, {"metaclass": meta}, lambda space: space.update(body))


def _make_enum(bases: tuple[type, ...], name: str, members: dict[str, Any]) -> type:
    space = EnumMeta.__prepare__(name, bases)
    for member, value in members.items():
        space[member] = value
    return EnumMeta(name, bases, space)


def _fill_class(cls: type, state: dict[str, Any]) -> None:
    for name, value in state.items():
        setattr(cls, name, value)


def _rest(thing: Any) -> Any:
    """Parts of classes and functions that pickle has no way for."""
    if isinstance(thing, property):
        return property, (thing.fget, thing.fset, thing.fdel, thing.__doc__)
    if isinstance(thing, cached_property):  # holds a lock up to Python 3.11
        return _make_cached_property, (thing.func, thing.attrname)
    if isinstance(thing, weakref.WeakKeyDictionary):  # what singledispatch remembers
        return weakref.WeakKeyDictionary, (dict(thing),)
    if isinstance(thing, TypeVar) and not named(thing):
        return _make_type_variable, (thing.__name__, thing.__constraints__, thing.__bound__)
    if isinstance(thing, (staticmethod, classmethod)):
        return type(thing), (thing.__func__,)
    if isinstance(thing, MappingProxyType):
        return MappingProxyType, (dict(thing),)
    if isinstance(thing, _LRU) and not named(thing):
        return _make_lru, (thing.__wrapped__, thing.cache_parameters())
    return NotImplemented


def _make_cached_property(function: Any, name: str | None) -> Any:
    made = cached_property(function)
    made.attrname = name
    return made


def _make_type_variable(name: str, constraints: tuple[Any, ...], bound: Any) -> Any:
    return TypeVar(name, *constraints, bound=bound)  # type: ignore[misc]


def _make_lru(function: Any, parameters: dict[str, Any]) -> Any:
    return lru_cache(**parameters)(function)


_HIDDEN = {thing: name for name, thing in vars(types).items()
           if isinstance(thing, type) and not hasattr(builtins, thing.__name__)}
_LRU = type(lru_cache(dumps))
