"""The formats by name; the module of one is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from enfold.data.formatting.formatter import Formatter
from enfold.errors import DataError, nearest

_HERE = "enfold.data.formatting."
_FORMATTERS: dict[str | None, type[Formatter] | tuple[str, str]] = {
    None: ("formatter", "PythonFormatter"), "arrow": ("formatter", "ArrowFormatter"),
    "custom": ("formatter", "CustomFormatter"), "numpy": ("numpy_formatter", "NumpyFormatter"),
    "pandas": ("pandas_formatter", "PandasFormatter"),
    "polars": ("polars_formatter", "PolarsFormatter"),
    "torch": ("torch_formatter", "TorchFormatter"),
    "tensorflow": ("tf_formatter", "TFFormatter"), "jax": ("jax_formatter", "JaxFormatter")}
_ALIASES: dict[str, str | None] = {
    "python": None, "pa": "arrow", "pyarrow": "arrow", "np": "numpy", "pd": "pandas",
    "pl": "polars", "pt": "torch", "pytorch": "torch", "tf": "tensorflow"}


def get_format_type_from_alias(format_type: str | None) -> str | None:
    """The name of a format of which this may be an alias: "torch" for "pt"."""
    return format_type if format_type is None else _ALIASES.get(format_type, format_type)


def get_formatter(format_type: str | None, **format_kwargs: Any) -> Formatter:
    """The formatter of a name or alias; raises `DataError` with the near names."""
    return formatter_class(format_type)(**format_kwargs)


def formatter_class(format_type: str | None) -> type[Formatter]:
    """The class of a format; raises `DataError` with the near names."""
    name = get_format_type_from_alias(format_type)
    if name not in _FORMATTERS:
        known = [*(each for each in _FORMATTERS if each), *_ALIASES]
        raise DataError(f"no format is named {format_type!r}{nearest(str(format_type), known)}. "
                        f"Expected None or one of: {', '.join(known)}. Do: register_formatter("
                        "YourFormatter, name) for one of your own")
    found = _FORMATTERS[name]
    if isinstance(found, tuple):
        found = _FORMATTERS[name] = getattr(import_module(_HERE + found[0]), found[1])
    return found


def register_formatter(formatter_cls: type[Formatter], format_type: str | None,
                       aliases: Iterable[str] = ()) -> None:
    """Make a format of one's own known under a name and aliases."""
    _FORMATTERS[format_type] = formatter_cls
    _ALIASES.update(dict.fromkeys(aliases, format_type))
