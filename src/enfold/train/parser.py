"""EnfoldArgumentParser: dataclasses from the command line, a dict, JSON or YAML.

Each field is an option, `--name` and `--na-me`; its type says how the text is read:

    bool            --flag, --flag false; one that is True by default has --no_flag too
    list[X]         one or more values
    Enum, Literal   one of the values
    X | None        as X
    X | str         as X for an enum, otherwise as text

A dataclass with older spellings of its fields (TrainingArguments) takes those as options too.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import types
from argparse import SUPPRESS, ArgumentDefaultsHelpFormatter, ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin, get_type_hints

from enfold.errors import ConfigError, InputError, unknown_arguments
from enfold.lazy import require
from enfold.train.arguments.older import OLDER, OlderNames

MISSING = dataclasses.MISSING
DataClass: TypeAlias = Any


class EnfoldArgumentParser(ArgumentParser):
    """An argparse parser whose options are the fields of dataclasses; HfArgumentParser elsewhere.

    Options added by hand come back in a namespace after the dataclasses. A dataclass with an
    attribute `_argument_group_name` has its options in a group of that name.
    """

    def __init__(self, dataclass_types: type | Iterable[type] | None = None, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", ArgumentDefaultsHelpFormatter)
        super().__init__(**kwargs)
        single = dataclasses.is_dataclass(dataclass_types)
        given: Any = [dataclass_types] if single else dataclass_types or []
        self.dataclass_types: list[Any] = list(given)
        for kind in self.dataclass_types:
            self._add_dataclass(kind)

    def parse_args_into_dataclasses(
        self,
        args: Sequence[str] | None = None,
        return_remaining_strings: bool = False,
        look_for_args_file: bool = True,
        args_filename: str | None = None,
        args_file_flag: str | None = None,
    ) -> tuple[DataClass, ...]:
        """One instance of each dataclass, then a namespace if there are other options.

        Words come from `args` (default: the command line), after those of `args_filename`, or of
        the file named as the script with the ending `.args`, and of each file given by the option
        `args_file_flag`; later words win. Unknown words are returned last with
        `return_remaining_strings`, otherwise they raise InputError.
        """
        words = list(sys.argv[1:] if args is None else args)
        files: list[Path] = []
        if args_filename:
            files.append(Path(args_filename))
        elif look_for_args_file and sys.argv[0]:
            files.append(Path(sys.argv[0]).with_suffix(".args"))
        if args_file_flag:
            named, words = _files_named(args_file_flag, words)
            files += named
        words = [w for file in files if file.is_file() for w in file.read_text().split()] + words

        namespace, remaining = self.parse_known_args(words)
        values = vars(namespace)
        outputs = [_take(kind, values) for kind in self.dataclass_types]
        if values:
            outputs.append(namespace)
        if return_remaining_strings:
            return (*outputs, remaining)
        if remaining:
            raise InputError(
                f"EnfoldArgumentParser: no field for {remaining}; expected options of "
                f"{[kind.__name__ for kind in self.dataclass_types]} (see --help)"
            )
        return tuple(outputs)

    def parse_dict(
        self, args: Mapping[str, Any], allow_extra_keys: bool = False
    ) -> tuple[DataClass, ...]:
        """One instance of each dataclass from a dict; keys of no field raise, unless allowed."""
        values = dict(args)
        outputs = tuple(_take(kind, values, dict(args)) for kind in self.dataclass_types)
        if values and not allow_extra_keys:
            known = [name for kind in self.dataclass_types for name in _names(kind)]
            error = unknown_arguments("EnfoldArgumentParser", sorted(values), known)
            raise InputError(str(error))
        return outputs

    def parse_json_file(
        self, json_file: str | os.PathLike[str], allow_extra_keys: bool = False
    ) -> tuple[DataClass, ...]:
        """`parse_dict` of a JSON file."""
        text = Path(json_file).read_text(encoding="utf-8")
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(f"{json_file}: not JSON ({error})") from error
        return self.parse_dict(_mapping(json_file, values), allow_extra_keys)

    def parse_yaml_file(
        self, yaml_file: str | os.PathLike[str], allow_extra_keys: bool = False
    ) -> tuple[DataClass, ...]:
        """`parse_dict` of a YAML file; needs the package pyyaml."""
        yaml = require("yaml")
        try:
            values = yaml.safe_load(Path(yaml_file).read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise ConfigError(f"{yaml_file}: not YAML ({error})") from error
        return self.parse_dict(_mapping(yaml_file, values), allow_extra_keys)

    def _add_dataclass(self, kind: Any) -> None:
        group = getattr(kind, "_argument_group_name", None)
        parser: Any = self.add_argument_group(group) if group else self
        try:
            hints = get_type_hints(kind)
        except NameError as error:
            raise InputError(
                f"{kind.__name__}: can't tell the type of a field ({error}); define what it names "
                "where the dataclass is, at module level"
            ) from error
        for field in dataclasses.fields(kind):
            if field.init:
                _add_field(parser, field, hints[field.name])
        for name in _older(kind):
            flag = {"nargs": "?", "const": True} if OLDER[name].kind is bool else {}
            text = f"Older name of {OLDER[name].new}."
            parser.add_argument(
                *_flags(name), type=_reader(OLDER[name].kind), default=SUPPRESS, help=text, **flag
            )


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


def _add_field(parser: Any, field: dataclasses.Field[Any], hint: Any) -> None:
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
    options["type"] = _reader(kind)
    options |= {"required": True} if default is MISSING else {"default": default}
    parser.add_argument(*_flags(field.name), *aliases, **options)


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
    parser.add_argument(*_flags(field.name), *aliases, **{**whole, **options})
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


def _reader(kind: Any) -> Callable[[str], Any]:
    """What turns a word into a value of `kind`."""
    choices = {str(choice): choice for choice in _choices(kind)}
    if choices:
        return lambda word: choices.get(str(word), word)
    if kind is bool:
        return to_bool
    if (get_origin(kind) or kind) is dict:
        return json.loads
    reader: Callable[[str], Any] = str if kind is Any else kind
    return reader


def _flags(name: str) -> list[str]:
    return [f"--{name}"] + ([f"--{name.replace('_', '-')}"] if "_" in name else [])


def _older(kind: Any) -> list[str]:
    """Older spellings that `kind` takes and does not declare as fields of its own."""
    if not isinstance(kind, OlderNames):
        return []
    mine = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    return [name for name in OLDER if name not in mine and OLDER[name].new in mine]


def _names(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind) if field.init] + _older(kind)


def _take(kind: Any, values: dict[str, Any], source: dict[str, Any] | None = None) -> Any:
    """An instance of `kind` from its own keys; they are taken out of `values`.

    With a `source`, a key that two dataclasses share goes to both. Older spellings win over the
    newer one's default, which argparse fills in.
    """
    pool = values if source is None else source
    given = {name: pool[name] for name in _names(kind) if name in pool}
    for name in given:
        values.pop(name, None)
    if source is None:
        for name in [name for name in _older(kind) if name in given]:
            new = OLDER[name].new
            if new in given and given[new] == kind.__dataclass_fields__[new].default:
                del given[new]
    return kind(**given)


def _mapping(file: str | os.PathLike[str], values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: got a {type(values).__name__}, expected names with values")
    return values


def _files_named(flag: str, words: list[str]) -> tuple[list[Path], list[str]]:
    """The files that the option `flag` names, and the words without it."""
    parser = ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(flag, type=Path, action="append", dest="files", default=[])
    found, rest = parser.parse_known_args(words)
    return found.files, rest


HfArgumentParser = EnfoldArgumentParser
