"""What the text of a function says of what it can do (see `tame`), read from its bytecode."""

from __future__ import annotations

import dis
from functools import lru_cache
from itertools import pairwise
from types import CodeType, FunctionType

from enfold.data.fingerprint.code import uses
from enfold.data.plan.tamelists import (
    BUILTINS,
    DEVICES,
    DUNDERS,
    ERRORS,
    PARTLY,
    REFUSED,
    allowed,
)

_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR"}
_SET = {"STORE_ATTR", "DELETE_ATTR"}


@lru_cache(maxsize=1024)
def plain_text(code: CodeType) -> bool:
    """Whether it names nothing refused, makes up no names, and sets nothing of a class."""
    used = uses(code)
    if used.open or not all(_import(*found) for found in used.imports):
        return False
    for before, step in pairwise(dis.get_instructions(code)):
        if step.opname in _ATTRIBUTES and not _attribute(step.argval):
            return False
        if step.opname in _SET and not _of_an_object(before):
            return False
    return not any(isinstance(held, str) and DEVICES.fullmatch(held) for held in code.co_consts) \
        and all(plain_text(held) for held in code.co_consts if isinstance(held, CodeType))


def known_names(function: FunctionType) -> bool:
    """Whether what it takes of Python's own names is listed."""
    names = {chain[0] for chain in uses(function.__code__).globals}
    return names - function.__globals__.keys() <= BUILTINS | ERRORS


def known_uses(function: FunctionType, name: str, module: str) -> bool:
    """Whether all that it takes of a module, which it reaches by `name`, is harmless."""
    used, begin = uses(function.__code__), tuple(name.split("."))
    taken = [chain[len(begin):] for chain in (*used.globals, *used.cells)
             if chain[:len(begin)] == begin]
    return bool(taken) and all(chain and allowed(module, chain[0]) for chain in taken)


def _attribute(name: str) -> bool:
    return name not in REFUSED and (not name.startswith("__") or name in DUNDERS)


def _of_an_object(before: dis.Instruction) -> bool:
    """Whether what an attribute is set of is a local variable, and no class."""
    return before.opname.startswith("LOAD_FAST") and before.argval != "cls"


def _import(level: int, name: str, taken: tuple[str, ...]) -> bool:
    """Whether an import within the text is of a library, and takes what is harmless of it.

    taken: `a, b` of `from name import a, b`; of `import name` all names that the text uses.
    """
    if level:
        return False
    if name.partition(".")[0] in PARTLY:
        return name not in taken and (name == "os.path" or all(
            allowed(name, each) for each in taken))
    return all(allowed(name, each) for each in taken)
