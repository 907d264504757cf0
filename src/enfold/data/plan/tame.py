"""Whether a function can do nothing to the process that runs it, where its text tells that.

    lambda x: {"n": len(x["text"])}              plain values only: it can raise, or never end
    lambda x: {"ids": tokenizer.encode(x)}       and libraries that neither end a process nor
                                                 take a device
    def f(x): os._exit(1)                        not known, as anything that is not on the lists

Such a function need not be kept in a process of its own: the caller's may begin with it at once.
"""

from __future__ import annotations

import builtins
import dis
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from functools import lru_cache, partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from enfold.data.fingerprint.captures import MISSING, captures
from enfold.data.fingerprint.code import uses
from enfold.data.fingerprint.origin import home, library
from enfold.data.plan.call import Call

_LIBRARIES = frozenset({
    "math", "cmath", "re", "json", "string", "itertools", "functools", "collections", "operator",
    "unicodedata", "datetime", "calendar", "time", "decimal", "fractions", "statistics", "hashlib",
    "base64", "binascii", "html", "textwrap", "copy", "bisect", "heapq", "difflib", "uuid",
    "typing", "numbers", "struct", "urllib.parse", "numpy", "pyarrow", "regex", "tokenizers",
    "enfold.text"})
_BUILTINS = frozenset({
    "abs", "all", "any", "ascii", "bin", "bool", "bytearray", "bytes", "callable", "chr",
    "complex", "dict", "divmod", "enumerate", "filter", "float", "format", "frozenset", "hash",
    "hex", "id", "int", "isinstance", "issubclass", "iter", "len", "list", "map", "max", "min",
    "next", "object", "oct", "ord", "pow", "print", "range", "repr", "reversed", "round", "set",
    "slice", "sorted", "str", "sum", "tuple", "zip", "NotImplemented", "Ellipsis"})
_ERRORS = frozenset(name for name, value in vars(builtins).items()
                    if isinstance(value, type) and issubclass(value, Exception))
_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, range, date, time, datetime,
                    timedelta})
_GROUPS = frozenset({list, tuple, set, frozenset})
_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR"}
_REFUSED = frozenset({"random", "ctypes", "ctypeslib", "f2py"})  # of numpy's
_DEVICES = frozenset({"torch", "jax", "tensorflow"})  # formats whose values may go to a device


def tame(call: Call) -> bool:
    """Whether the function of a call, given rows as that gives them, is known to be harmless."""
    return call.format.type not in _DEVICES and not call.is_async \
        and _Look().all((call.function, *call.fn_kwargs.values(), *call.format.kwargs.values()))


class _Look:
    """One look at a function and all that it reaches; what was seen is not looked at again."""

    def __init__(self) -> None:
        self.seen: dict[int, Any] = {}

    def all(self, values: Iterable[Any]) -> bool:
        return all(map(self.harmless, values))

    def harmless(self, value: Any) -> bool:
        kind = type(value)
        if kind in _PLAIN or value is MISSING or isinstance(value, np.generic):
            return True
        if id(value) in self.seen:
            return True
        self.seen[id(value)] = value
        if kind in _GROUPS:
            return set(map(type, value)) <= {str, int, float} or self.all(value)
        if kind is dict:
            return self.harmless(list(value)) and self.harmless(list(value.values()))
        if isinstance(value, partial):
            return self.all((value.func, *value.args, *value.keywords.values()))
        if isinstance(value, (FunctionType, MethodType)):
            return self._function(value)
        return self._of_library(value)

    def _function(self, function: Any) -> bool:
        if isinstance(function, MethodType):
            return self.all((function.__func__, function.__self__))
        if library(home(function)) is not None:
            return _listed(home(function))
        return _text(function.__code__) and self._names(function) and all(
            _listed(found.name) if found.kind == "import" else self.harmless(found.value)
            for found in captures(function))

    def _names(self, function: FunctionType) -> bool:
        """Whether what it takes of Python's own names is listed."""
        names = {chain[0] for chain in uses(function.__code__).globals}
        return names - function.__globals__.keys() <= _BUILTINS | _ERRORS

    def _of_library(self, value: Any) -> bool:
        if isinstance(value, ModuleType):
            return _listed(value.__name__)
        if isinstance(value, np.ndarray):
            return not value.dtype.hasobject
        if isinstance(value, type):
            return _listed(value.__module__) or (
                value.__module__ == "builtins" and value.__name__ in _BUILTINS | _ERRORS)
        if isinstance(value, BuiltinFunctionType) and not isinstance(value.__self__, ModuleType):
            return value.__self__ is not None and self.harmless(value.__self__)  # an object's
        named = getattr(value, "__module__", None) if callable(value) else None
        if named == "builtins":
            return value.__name__ in _BUILTINS
        owner = getattr(value, "__objclass__", None)  # str.lower
        return owner in _PLAIN | _GROUPS | {dict} or _listed(named or type(value).__module__)


def _listed(module: str | None) -> bool:
    """Whether a module is one of the libraries, or of the parts of one that are listed."""
    parts = (module or "").lstrip("_").split(".")
    return any(".".join(parts[:end]) in _LIBRARIES for end in range(1, len(parts) + 1)) \
        and not any(part in _REFUSED for part in parts)


@lru_cache(maxsize=1024)
def _text(code: CodeType) -> bool:
    """Whether a text makes no class, reaches nothing by names made up, and nothing private."""
    if uses(code).open or not all(_listed(name) for _, name, _ in uses(code).imports):
        return False
    inner: list[CodeType] = [found for found in code.co_consts if isinstance(found, CodeType)]
    for step in dis.get_instructions(code):
        if step.opname == "LOAD_BUILD_CLASS":
            return False
        if step.opname in _ATTRIBUTES and (step.argval.startswith("_") or step.argval in _REFUSED):
            return False
    return all(map(_text, inner))
