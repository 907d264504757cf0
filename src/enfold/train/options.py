"""Dataclass fields as options of argparse: what `enfold.train.parser` adds for each."""

from __future__ import annotations

import dataclasses
import json
import types
from argparse import ArgumentTypeError
from collections.abc import Callable
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from enfold.errors import InputError

MISSING = dataclasses.MISSING


def HfArg(  # noqa: N802 - its name elsewhere
    *,
    aliases: str | list[str] | None = None,
    help: str | None = None,
    default: Any = MISSING,
    default_factory: Any = MISSING,
    metadata: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    """A dataclass field with the help and the other names (`-e`) of its option."""
    extra = {"aliases": aliases, "help": help}
    metadata = {**(metadata or {}), **{k: v for k, v in extra.items() if v is not None}}
    if default is not MISSING:
        kwargs["default"] = default
    if default_factory is not MISSING:
        kwargs["default_factory"] = default_factory
    return dataclasses.field(metadata=metadata, **kwargs)


def add_field(parser: Any, field: dataclasses.Field[Any], hint: Any) -> None:
    """One field as an option."""
    options = dict(field.metadata)
    aliases = options.pop("aliases", [])
    aliases = [aliases] if isinstance(aliases, str) else aliases
    if isinstance(options.get("help"), str):
        options["help"] = options["help"].replace("%", "%%").replace("%%%%", "%%")
    kind = _kind(field.name, hint)
    default = field.default
    if field.default_factory is not MISSING:
        default = field.default_factory()
    if kind is bool:
        _add_flag(parser, field, hint, default, aliases, options)
        return
    origin = get_origin(kind) or kind
    if origin is list:
        options.setdefault("nargs", "+")
        kind = _kind(field.name, (get_args(kind) or (str,))[0])
    choices = _choices(kind)
    if choices:
        options.setdefault("choices", choices)
    options["type"] = reader(kind)
    options |= {"required": True} if default is MISSING else {"default": default}
    parser.add_argument(*flags(field.name), *aliases, **options)


def _add_flag(
    parser: Any,
    field: dataclasses.Field[Any],
    hint: Any,
    default: Any,
    aliases: list[str],
    options: dict[str, Any],
) -> None:
    """A yes or no: `--flag`, `--flag false`, and `--no_flag` if it is True by default."""
    optional = hint is not bool and default in (None, MISSING)
    whole = {"type": to_bool, "default": None if optional else default}
    if not optional:
        whole |= {"nargs": "?", "const": True}
        whole["default"] = False if default is MISSING else default
    elif default is MISSING:
        whole = {"type": to_bool, "required": True}
    parser.add_argument(*flags(field.name), *aliases, **{**whole, **options})
    if default is True:
        names = [f"--no_{field.name}", f"--no-{field.name.replace('_', '-')}"]
        parser.add_argument(
            *names, action="store_false", dest=field.name, default=True, help=options.get("help")
        )


def to_bool(word: str | bool) -> bool:
    """yes, true, t, y, 1 or no, false, f, n, 0."""
    if isinstance(word, bool):
        return word
    if word.lower() in ("yes", "true", "t", "y", "1"):
        return True
    if word.lower() in ("no", "false", "f", "n", "0"):
        return False
    raise ArgumentTypeError(f"got {word!r}, expected yes or no, true or false, 1 or 0")


def _kind(name: str, hint: Any) -> Any:
    """The one type that a field's text is read as."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    options = [option for option in get_args(hint) if option is not type(None)]
    enums = [option for option in options if _choices(option)]
    if len(options) == 1 or (str in options and enums and type(None) not in get_args(hint)):
        return enums[0] if enums else options[0]
    if bool in options and str in options and len(options) == 2:
        return str
    if str in options:
        return str
    raise InputError(
        f"EnfoldArgumentParser: field {name!r} is of type {hint}; expected one type, perhaps with "
        "None or str, as the command line can't tell more apart"
    )


def _choices(kind: Any) -> list[Any]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [member.value for member in kind]
    return []


def reader(kind: Any) -> Callable[[str], Any]:
    """What turns a word into a value of `kind`."""
    choices = {str(choice): choice for choice in _choices(kind)}
    if choices:
        return lambda word: choices.get(str(word), word)
    if kind is bool:
        return to_bool
    if (get_origin(kind) or kind) is dict:
        return json.loads
    read: Callable[[str], Any] = str if kind is Any else kind
    return read


def flags(name: str) -> list[str]:
    """The spellings of an option: `--a_b` and `--a-b`."""
    return [f"--{name}"] + ([f"--{name.replace('_', '-')}"] if "_" in name else [])
