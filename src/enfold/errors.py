"""What enfold raises.  Every message says what failed, what it got, what it expected, what to do.

    EnfoldError
    ├── ConfigError      (ValueError)   a config.json, or an attribute of one, that can't be used
    ├── CheckpointError  (ValueError)   tensors missing, unexpected, misshapen, truncated
    │   └── UnsafePickle                a pickle that asks for code to run
    ├── FileMissing      (OSError)      a file, folder or repository not there, or not reachable
    ├── TokenizerError   (ValueError)   a vocabulary that can't be read, text that can't be encoded
    ├── GenerationError  (ValueError)   generate() arguments against each other or the model
    ├── TaskError        (KeyError)     a pipeline task that does not exist or fit the model
    ├── InputError       (ValueError)   an input of the wrong kind, shape or length
    ├── DataError        (ValueError)   data, a split or a schema that can't be used as asked
    │   └── DataFileError               a data file that is damaged or malformed
    ├── FunctionError    (TypeError)    what a function given to map() or filter() returned
    ├── Unhashable       (TypeError)    what has no content to tell a cached result by
    ├── CacheFull        (OSError)      no room for a result on the disk of the cache
    ├── ArgumentError    (TypeError)    an argument that does not exist
    └── DependencyError  (ImportError)  an optional package that is not installed

Each is also the built-in exception in brackets: `except ValueError` written for another library
still works.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class EnfoldError(Exception):
    """The root: `except EnfoldError` catches all that enfold raises on purpose."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError would print a repr


class ConfigError(EnfoldError, ValueError):
    """A configuration that can't be read or is inconsistent."""


class CheckpointError(EnfoldError, ValueError):
    """Weights that are incomplete, of another shape, damaged or unreadable."""


class UnsafePickle(CheckpointError):  # noqa: N818 - reads as what it is
    """A pickle file that would execute code when loaded."""


class FileMissing(EnfoldError, OSError):  # noqa: N818
    """A file, folder or repository that is not there, or can't be reached from here."""


class TokenizerError(EnfoldError, ValueError):
    """A vocabulary that can't be read, or text that can't be encoded as asked."""


class GenerationError(EnfoldError, ValueError):
    """Generation settings that contradict each other or the model."""


class TaskError(EnfoldError, KeyError):
    """A pipeline task that does not exist or does not fit the model."""


class InputError(EnfoldError, ValueError):
    """A model or pipeline input of the wrong kind, shape or length."""


class DataError(EnfoldError, ValueError):
    """Data, a split, a pattern or a schema that can't be used as asked."""


class DataFileError(DataError):
    """A data file that is damaged, malformed or does not fit; says which file and which line."""


class FunctionError(EnfoldError, TypeError):
    """A function given to map() or filter() returned what can't be stored."""


class Unhashable(EnfoldError, TypeError):  # noqa: N818
    """Something without content to hash, such as a lock, a generator or an open file."""


class CacheFull(EnfoldError, OSError):  # noqa: N818
    """There is no room for a result on the disk of the cache."""


class ArgumentError(EnfoldError, TypeError):
    """An argument that the function does not have."""


class DependencyError(EnfoldError, ImportError):
    """An optional package that is needed and not installed."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` (nearest: 'x', 'y')` for a misspelt name, or an empty string if nothing is near."""
    found = get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f" (nearest: {', '.join(map(repr, found))})" if found else ""


def unknown_arguments(function: str, unknown: Iterable[str], known: Iterable[str]) -> ArgumentError:
    """The error for keyword arguments that `function` does not take, each with its near names.

    All names are listed only if one of the unknown ones is near to none.
    """
    options = sorted({name for name in known if not name.startswith("_")})
    near = {name: nearest(name, options) for name in unknown}
    parts = ", ".join(f"{name!r}{names}" for name, names in near.items())
    listed = "" if all(near.values()) else f". Expected one of: {', '.join(options)}"
    return ArgumentError(f"{function}: unknown argument {parts}{listed}")
