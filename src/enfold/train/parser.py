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
from argparse import SUPPRESS, ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, get_type_hints

from enfold.errors import ConfigError, InputError, unknown_arguments
from enfold.lazy import require
from enfold.train.arguments.older import OLDER, OlderNames
from enfold.train.options import HfArg, add_field, flags, reader

__all__ = ["EnfoldArgumentParser", "HfArg", "HfArgumentParser"]

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
                add_field(parser, field, hints[field.name])
        for name in _older(kind):
            flag = {"nargs": "?", "const": True} if OLDER[name].kind is bool else {}
            text = f"Older name of {OLDER[name].new}."
            parser.add_argument(
                *flags(name), type=reader(OLDER[name].kind), default=SUPPRESS, help=text, **flag
            )


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
