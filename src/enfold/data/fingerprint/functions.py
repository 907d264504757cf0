"""Tokens of functions, methods, classes and modules.

A library's are told by name and version.  The user's are told by what they say: code, defaults,
closure cells, and whatever the code names, down through helper functions and classes.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cached_property
from types import (
    BuiltinFunctionType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

from enfold.data.fingerprint.captures import captures
from enfold.data.fingerprint.origin import bound_by_name, home, library, named

Tokens = Iterator[Any]  # see digest.py

_NOISE = {"__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__annotate__",
          "__annotate_func__", "__annotations_cache__", "__firstlineno__", "__static_attributes__",
          "_abc_impl", "_value2member_map_", "__dataclass_params__",
          "__match_args__", "__orig_bases__", "__parameters__"}


def by_name(thing: Any) -> tuple[str, str, str] | None:
    """(module, name, version) of a library's function or class."""
    place = named(thing)
    version = library(place[0]) if place else None
    return (*place, version) if place and version else None


def describe_function(function: FunctionType) -> Tokens:
    """By name, or code and captures."""
    if told := by_name(function):
        yield b"library"
        yield "name", "", told
        return
    if home(function) == "functools" and hasattr(function, "registry"):  # singledispatch
        yield b"singledispatch"
        yield "implementations", "", dict(function.registry)
        return
    yield b"function"
    yield "version", "", library(home(function))
    yield "code", "", function.__code__
    for kind, name, value in captures(function):
        yield f"{kind} {name}".encode()
        yield kind, name, value


def describe_method(method: MethodType) -> Tokens:
    """A function and the object it is bound to."""
    if place := bound_by_name(method):
        yield b"library"
        yield "name", "", (*place, library(place[0]))
    else:
        yield b"method"
        yield "method", method.__func__.__name__, method.__func__
        yield "self", "", method.__self__


def describe_builtin(function: BuiltinFunctionType) -> Tokens:
    """A function or method written in C: its name and what it is bound to, if to a value."""
    place = bound_by_name(function)
    owner = function.__self__
    if place or owner is None or isinstance(owner, ModuleType):
        module = place[0] if place else function.__module__ or getattr(owner, "__name__", None)
        yield b"library"
        yield "name", "", (module, function.__qualname__, library(module))
    else:
        yield b"method"
        yield "method", "", function.__qualname__
        yield "self", "", owner


def describe_descriptor(slot: Any) -> Tokens:
    """`str.lower`, `int.__add__`, a slot of a class: the class and the name."""
    yield b"slot"
    yield "name", "", slot.__name__
    yield "class", slot.__objclass__.__name__, slot.__objclass__


def describe_class(cls: type) -> Tokens:
    """By name, or bases, metaclass and what its body defines."""
    told = by_name(cls)
    if told or cls.__module__ == "builtins":
        yield b"library"
        yield "name", "", told or cls.__qualname__
        return
    yield b"class"
    yield "name", "", cls.__name__
    yield "metaclass", type(cls).__name__, type(cls)
    for base in cls.__bases__:
        yield "base class", base.__name__, base
    for name, value in sorted(vars(cls).items()):
        slot = isinstance(value, (GetSetDescriptorType, MemberDescriptorType))
        if name not in _NOISE and not slot:
            yield name.encode()
            yield "class attribute", name, value


def describe_wrapper(wrapper: staticmethod[Any, Any] | classmethod[Any, Any, Any]) -> Tokens:
    """staticmethod and classmethod."""
    yield type(wrapper).__name__.encode()
    yield "function", wrapper.__func__.__name__, wrapper.__func__


def describe_property(made: property) -> Tokens:
    """property: its three functions."""
    yield b"property"
    yield "property", "", [made.fget, made.fset, made.fdel]


def describe_cached_property(made: cached_property[Any]) -> Tokens:
    """functools.cached_property, without its lock (up to Python 3.11)."""
    yield b"cached_property"
    yield "function", made.func.__name__, made.func


def describe_lru_cache(cached: Any) -> Tokens:
    """A function under lru_cache: what it computes, not what it remembers."""
    yield b"lru_cache"
    yield "cache", "", cached.cache_parameters()
    yield "function", cached.__wrapped__.__name__, cached.__wrapped__


def describe_module(module: ModuleType) -> Tokens:
    """A library's: name and version.  A user's, handed on as a whole: the code of its file."""
    yield b"module"
    yield "name", "", (module.__name__, library(module.__name__))
    if library(module.__name__) is None:
        spec = module.__spec__ or importlib.util.find_spec(module.__name__)
        read = getattr(getattr(spec, "loader", None), "get_code", None)
        if read is None:
            raise TypeError("a module without a source file can't be hashed")
        yield "code", "", read(module.__name__)
