"""Whether a function can do nothing to the process that runs it, where its text tells that.

    lambda x: {"n": len(x["text"])}              plain values only: it can raise, or never end
    lambda x: {"ids": tokenizer.encode(x)}       libraries that neither end a process nor take a
                                                 device; functions, classes and objects of the
                                                 user's own that use nothing else
    def f(x): os._exit(1)                        not known, as anything that is not on the lists

Such a function need not be kept in a process of its own: the caller's may begin with it at once.
"""

from __future__ import annotations

import sys
from abc import ABCMeta
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from enum import Enum, EnumMeta
from functools import lru_cache, partial
from types import (
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any

import numpy as np

from enfold.data.fingerprint.captures import MISSING, Capture, captures
from enfold.data.fingerprint.origin import home, library
from enfold.data.plan.call import Call
from enfold.data.plan.tamelists import BUILTINS, DEVICES, ERRORS, allowed, listed, sorted_out
from enfold.data.plan.tametext import known_names, known_uses, plain_text

_PLAIN = frozenset({type(None), bool, int, float, complex, bytes, range, date, time, datetime,
                    timedelta})
_GROUPS = (list, tuple, set, frozenset, deque)
_MUTABLE = (list, dict, set, deque, bytearray)
_LOOKS = 20_000  # objects that are looked at before it is given up
_LARGEST = 1 << 28  # bytes of a tensor: a copy is made
_CACHED = type(lru_cache(len))
_DESCRIPTORS = (GetSetDescriptorType, MemberDescriptorType, staticmethod, classmethod, property)
_CLOSED = frozenset({"logging", "enfold"})  # whose objects hold locks, and nothing of the user's
_FORMATS = frozenset({"jax", "tensorflow"})  # whose values may go to a device


def tame(call: Call) -> bool:
    """Whether the function of a call, given rows as that gives them, is known to be harmless."""
    return call.format.type not in _FORMATS and not call.is_async \
        and not (call.format.type == "torch" and _elsewhere()) \
        and _Look().all((call.function, *call.fn_kwargs.values(), *call.format.kwargs.values()))


def _elsewhere() -> bool:
    """Whether torch makes tensors on a device if nothing is said."""
    torch = sys.modules.get("torch")
    return torch is not None and torch.get_default_device().type != "cpu"


class _Look:
    """One look at a function and all that it reaches; what was seen is not looked at again."""

    def __init__(self) -> None:
        self.seen: dict[int, Any] = {}

    def all(self, values: Iterable[Any]) -> bool:
        return all(map(self.harmless, values))

    def harmless(self, value: Any) -> bool:
        kind = type(value)
        if kind is str:
            return DEVICES.fullmatch(value) is None
        if kind in _PLAIN or value is MISSING or isinstance(value, np.generic):
            return True
        if id(value) in self.seen:
            return True
        self.seen[id(value)] = value
        return len(self.seen) < _LOOKS and self._known(value)

    def _known(self, value: Any) -> bool:
        if isinstance(value, ModuleType):
            return listed(value.__name__) and not sorted_out(value.__name__)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, MethodType):
            return self.all((value.__func__, value.__self__))
        if isinstance(value, FunctionType):
            return self._function(value)
        if isinstance(value, _CACHED):
            return self.harmless(value.__wrapped__)
        if isinstance(getattr(value, "__name__", None), str) and callable(value):
            return self._compiled(value)
        return self.harmless(type(value)) and self._state(value)

    def _function(self, function: FunctionType) -> bool:
        if library(home(function)) is not None:
            return allowed(home(function), function.__name__)
        return plain_text(function.__code__) and known_names(function) and all(
            self._reached(function, found) for found in captures(function))

    def _reached(self, function: FunctionType, found: Capture) -> bool:
        if found.kind == "import":
            return True  # its text was looked at
        if isinstance(found.value, ModuleType) and sorted_out(found.value.__name__):
            return known_uses(function, found.name, found.value.__name__)
        return self.harmless(found.value)

    def _compiled(self, value: Any) -> bool:
        """`len`, `TOKENIZER.encode`, `str.lower`, `np.add`."""
        owner = getattr(value, "__objclass__", getattr(value, "__self__", None))
        if owner is not None and not isinstance(owner, ModuleType):
            cls = owner if isinstance(owner, type) else type(owner)
            return (cls.__module__ == "builtins" or allowed(cls.__module__, value.__name__)) \
                and self.harmless(owner)
        module = value.__module__ or ("numpy" if isinstance(value, np.ufunc) else None)
        if module == "builtins":
            return value.__name__ in BUILTINS
        return allowed(module, value.__name__) and self.all(_held(value))

    def _class(self, cls: type) -> bool:
        if cls.__module__ == "builtins":
            return cls.__name__ in BUILTINS | ERRORS or cls in (*_PLAIN, BaseException)
        if library(cls.__module__) is not None:
            return allowed(cls.__module__, cls.__name__)
        return type(cls) in (type, ABCMeta, EnumMeta) and self.all(cls.__mro__[1:]) \
            and self.all(_members(cls))

    def _state(self, value: Any) -> bool:
        """What an object of a harmless class holds."""
        if isinstance(value, np.ndarray):
            return not value.dtype.hasobject
        if isinstance(value, partial):
            return self.all((value.func, *value.args, *value.keywords.values()))
        if isinstance(value, defaultdict) and not self.harmless(value.default_factory):
            return False
        if isinstance(value, dict):
            if not (self._items([*value]) and self._items([*value.values()])):
                return False
        elif isinstance(value, _GROUPS) and not self._items(value):
            return False
        origin = type(value).__module__.partition(".")[0]
        if origin == "torch":
            return _on_cpu(value)
        return origin in _CLOSED or self.all(_held(value))

    def _items(self, values: Any) -> bool:
        kinds = set(map(type, values))
        if kinds == {str}:
            return not any(map(DEVICES.fullmatch, values))
        return kinds <= {int, float} or self.all(values)


def _members(cls: type) -> Iterator[Any]:
    """What a class has: functions, and values.  One that could be changed is told as `sys`."""
    for name, value in vars(cls).items():
        if isinstance(value, _DESCRIPTORS):
            parts = (getattr(value, part, None) for part in ("__func__", "fget", "fset", "fdel"))
            yield from (part for part in parts if part is not None)
        elif isinstance(value, FunctionType):
            yield value
        elif not (name.startswith("__") or name in ("_abc_impl", "_field_defaults")
                  or issubclass(cls, Enum)):
            yield sys if isinstance(value, _MUTABLE) else value


def _held(value: Any) -> Iterator[Any]:
    """The attributes of an object."""
    yield from getattr(value, "__dict__", {}).values()
    for cls in type(value).__mro__:
        slots = () if library(cls.__module__) else vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            yield getattr(value, name, None)


def _on_cpu(value: Any) -> bool:
    """Whether something of torch's lies in memory, and is no network or the like."""
    from torch import Tensor, device, dtype

    if isinstance(value, device):
        return value.type == "cpu"
    if type(value) is Tensor:
        return value.device.type == "cpu" and value.untyped_storage().nbytes() < _LARGEST
    return isinstance(value, dtype)
