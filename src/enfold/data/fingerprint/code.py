"""What a code object says, and which names outside of itself it uses.

Positions, file names, comments, docstrings and annotations leave no trace in a digest; bytecode,
constants and names do.  Bytecode differs between versions of Python, and so do these digests.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import resolve_name
from types import CodeType
from typing import Any, NamedTuple

Chain = tuple[str, ...]  # ("helpers", "clean") for `helpers.clean` in the text

_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_CELL = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_STORED = {"STORE_GLOBAL", "DELETE_GLOBAL"}
_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_CONSTANT = {"LOAD_CONST", "RETURN_CONST"}
_OWN = {"__name__", "__doc__", "__spec__", "__loader__", "__package__", "__builtins__"}
_OPEN = {"globals", "eval", "exec", "vars"}  # reach globals that the text does not name


class Uses(NamedTuple):
    """The names that a function's text uses, with those of the functions and classes in it.

    globals, cells: with the attributes taken from them.  imports: modules imported when it runs,
    each as (level, name, names taken from it).  open: it may reach any global, by `eval` and such.
    """

    globals: tuple[Chain, ...]
    cells: tuple[Chain, ...]
    imports: tuple[tuple[int, str, tuple[str, ...]], ...]
    open: bool


@lru_cache(maxsize=4096)
def uses(code: CodeType) -> Uses:
    """The names that `code` uses from outside, sorted."""
    cells: set[Chain] = set()
    names: set[Chain] = set()
    imports: set[tuple[int, str, tuple[str, ...]]] = set()
    for inner in (code, *_inner(code)):
        steps = list(dis.get_instructions(inner))
        for place, step in enumerate(steps):
            if step.opname in _GLOBAL:
                names.add((step.argval, *_attributes(steps, place)))
            elif step.opname in _CELL:
                cells.add((step.argval, *_attributes(steps, place)))
            elif step.opname in _STORED:
                names.add((step.argval,))
            elif step.opname == "IMPORT_NAME":
                level, taken = steps[place - 2].argval, steps[place - 1].argval
                imports.add((int(level or 0), step.argval, tuple(taken or inner.co_names)))
    named = {chain for chain in names if chain[0] not in _OWN}
    return Uses(tuple(sorted(named)), tuple(sorted(cells)), tuple(sorted(imports)),
                any(chain[0] in _OPEN for chain in names))


def absolute(level: int, name: str, package: str | None) -> str:
    """The full name of a module that is imported as `name` with so many leading dots."""
    return resolve_name("." * level + name, package) if level else name


def describe_code(code: CodeType) -> Iterator[Any]:
    """The tokens of a code object (see digest.py)."""
    yield b"code"
    counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    names = (code.co_varnames, code.co_names, code.co_freevars, code.co_cellvars)
    yield "arguments", "", counts
    yield "names", "", names
    yield code.co_code
    yield code.co_exceptiontable
    skipped = _docstring(code)
    for place, constant in enumerate(code.co_consts):
        yield "constant", place, None if place == skipped else constant


def _inner(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _inner(constant)


def _attributes(steps: list[dis.Instruction], place: int) -> Iterator[str]:
    """The names in `.a.b` that follow a load."""
    for step in steps[place + 1:]:
        if step.opname not in _ATTRIBUTE:
            return
        yield step.argval


def _docstring(code: CodeType) -> int | None:
    """The place of the docstring among the constants, unless the code also uses that constant."""
    if sys.version_info >= (3, 13):
        there = bool(code.co_flags & 0x4000000)  # CO_HAS_DOCSTRING
    else:
        optimized = code.co_flags & 0x1 and not code.co_name.startswith("<")
        there = bool(optimized and code.co_consts and isinstance(code.co_consts[0], str))
    loaded = there and any(step.opname in _CONSTANT and step.arg == 0
                           for step in dis.get_instructions(code))
    return 0 if there and not loaded else None
