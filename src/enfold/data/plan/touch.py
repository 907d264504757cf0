"""Which columns a function reads of its row, where its text tells that beyond doubt.

    lambda x: {"n": len(x["text"])}        reads "text", and can do nothing else with the row
    def f(x): g(x); ...                    the row goes elsewhere: not known

Only those columns are then decoded, and the row need not be looked at for changes afterwards.
"""

from __future__ import annotations

import dis
from collections.abc import Callable
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

_VARARGS = 0x04 | 0x20 | 0x80 | 0x100 | 0x200  # *args, generators and coroutines

_LOOKS_AROUND = {"locals", "vars", "dir", "eval", "exec", "inspect", "sys", "_getframe"}


def columns_read(function: Callable[..., Any]) -> frozenset[str] | None:
    """The columns, or None where the text does not tell."""
    if not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        return None
    return _of_code(function.__code__)


@lru_cache(maxsize=1024)
def _of_code(code: CodeType) -> frozenset[str] | None:
    if code.co_flags & _VARARGS or not code.co_argcount or _LOOKS_AROUND & set(code.co_names):
        return None
    row = code.co_varnames[0]
    if row in code.co_cellvars:
        return None
    steps = [step for step in dis.get_instructions(code)
             if step.opname not in ("CACHE", "RESUME", "NOP", "PRECALL")]
    found = set()
    for number, step in enumerate(steps):
        if not _mentions(step, row):
            continue
        key = steps[number + 1] if number + 1 < len(steps) else step
        use = steps[number + 2] if number + 2 < len(steps) else step
        subscript = use.opname == "BINARY_SUBSCR" or (use.opname == "BINARY_OP"
                                                      and use.argrepr == "[]")
        if not (step.opname.startswith("LOAD_FAST") and step.argval == row and subscript
                and key.opname == "LOAD_CONST" and isinstance(key.argval, str)):
            return None
        found.add(key.argval)
    return frozenset(found)


def _mentions(step: dis.Instruction, name: str) -> bool:
    """Whether an instruction is about a variable; some are about two."""
    value = step.argval
    return "CONST" not in step.opname and (value == name or (isinstance(value, tuple)
                                                             and name in value))
