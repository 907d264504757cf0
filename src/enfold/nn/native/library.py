"""The native library: compiled kernels reached through ctypes, the best level that runs here.

    scale = declare("enfold_scale", P, I64, INT)       # once, at module level
    call = scale()                                     # the C function, or None without a library

ENFOLD_NATIVE=0 turns the library off, ENFOLD_NATIVE=avx2 chooses a level; ENFOLD_NATIVE_PATH is a
folder of libraries to use instead of those of the package.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from enfold.errors import ArgumentError
from enfold.nn.native.build import HERE, LEVELS, interface, library_name

P, INT, I64, F32 = ctypes.c_void_p, ctypes.c_int, ctypes.c_int64, ctypes.c_float
Call = Callable[..., Any]
OFF = ("0", "off", "no", "false")
_UNSET = "unset"
_level: str | None = _UNSET


def level() -> str | None:
    """The level in use ("amx", "avx512bf16", "avx512", "avx2", "base"), or None: torch does it."""
    global _level
    if _level is _UNSET:
        _level = choose(os.environ.get("ENFOLD_NATIVE", ""))
    return _level


def known() -> bool:
    """Whether a level is in use; also "no" before anybody has asked for it: what code that a
    compiler traces may ask, where a library can't be opened.
    """
    return _level not in (None, _UNSET)


def choose(wanted: str) -> str | None:
    """The level that a setting means: "" is the best one, "0" none."""
    if wanted.lower() in OFF:
        return None
    if wanted in ("", "1"):
        return next((each for each in LEVELS if opened(each) is not None), None)
    if wanted not in LEVELS:
        raise ArgumentError(f"ENFOLD_NATIVE: got {wanted!r}, expected 0, 1 or one of "
                            f"{', '.join(LEVELS)}")
    if wanted not in levels():
        raise ArgumentError(f"ENFOLD_NATIVE: {wanted} was asked for, but {reason(wanted)}")
    return wanted


def levels() -> list[str]:
    """The levels that are built and run on this processor, best first."""
    return [each for each in LEVELS if opened(each) is not None]


@contextmanager
def using(wanted: str | None) -> Iterator[None]:
    """A block that runs another level, or none: for comparisons; not for threads side by side."""
    global _level
    before = level()
    _level = choose("0" if wanted is None else wanted)
    try:
        yield
    finally:
        _level = before


def declare(name: str, *arguments: Any, result: Any = None) -> Callable[[], Call | None]:
    """A C function by its name and ctypes; calling what is returned gives it at today's level."""
    def bind(wanted: str) -> Call | None:
        library = opened(wanted)
        function = None if library is None else getattr(library, name, None)
        if function is not None:
            function.argtypes, function.restype = arguments, result
        return function

    bound: dict[str, Call | None] = {}

    def function() -> Call | None:
        now = level()
        if now is None:
            return None
        if now not in bound:
            bound[now] = bind(now)
        return bound[now]

    return function


@cache
def opened(wanted: str) -> ctypes.CDLL | None:
    """A level's library; None if it is not built or this processor can't run it."""
    import torch  # noqa: F401  its OpenMP has to be there first: both then share its threads

    path = folder() / library_name(wanted)
    if not path.exists():
        return None
    try:
        library = ctypes.CDLL(str(path))
        current = _current(library)
    except (OSError, AttributeError):
        return None  # `reason` says why
    return library if current and library.enfold_supported() else None


def _current(library: ctypes.CDLL) -> bool:
    """Whether a library has the functions that the sources beside it declare, if there are any."""
    told = library.enfold_interface
    told.restype = ctypes.c_char_p
    return interface() in ("", told().decode())


def folder() -> Path:
    """Where the libraries are."""
    return Path(os.environ.get("ENFOLD_NATIVE_PATH") or HERE)


def reason(wanted: str) -> str:
    """Why a level can't be used."""
    path = folder() / library_name(wanted)
    if not path.exists():
        return f"it is not built ({path}). Do: python -m enfold.nn.native.build"
    try:
        if not _current(ctypes.CDLL(str(path))):
            return "it was built from other sources. Do: python -m enfold.nn.native.build"
    except (OSError, AttributeError) as error:
        return f"it can't be loaded: {error}"
    return "this processor lacks its instructions"


def describe() -> str:
    """One line for `enfold env`."""
    try:
        now = level()
    except ArgumentError as error:
        return f"none: {error}"
    if now is not None:
        others = [each for each in levels() if each != now]
        return now + (f" (also {', '.join(others)})" if others else "")
    if os.environ.get("ENFOLD_NATIVE", "").lower() in OFF:
        return "off (ENFOLD_NATIVE)"
    return f"none, torch does the work: {reason('base')}"
