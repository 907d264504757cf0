"""Optional dependencies, imported where they are used and named in the error when absent."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from enfold.errors import DependencyError


def require(module: str, extra: str | None = None) -> ModuleType:
    """Import `module`, or raise `DependencyError` with the command that installs it."""
    try:
        return import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        command = f"pip install 'enfold[{extra}]'" if extra else f"pip install {package}"
        raise DependencyError(f"this needs the package {package!r}, which is not installed. "
                              f"Do: {command}") from error
