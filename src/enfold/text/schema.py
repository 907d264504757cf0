"""A Python function as the JSON schema of a tool: type hints and a Google-style docstring."""

from __future__ import annotations

import inspect
import json
import re
import types
from collections.abc import Callable, Hashable, Sequence
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from enfold.errors import TokenizerError

SCALARS = {int: "integer", float: "number", str: "string", bool: "boolean", type(None): "null"}
BARE: dict[Any, dict[str, str]] = {
    **{kind: {"type": name} for kind, name in SCALARS.items()},
    list: {"type": "array"}, tuple: {"type": "array"}, dict: {"type": "object"}, Any: {}}
BY_NAME = {"PIL.Image.Image": {"type": "image"}, "torch.Tensor": {"type": "audio"}}
HEADER = re.compile(r"^\s*(Args|Returns|Raises):\s*$", re.MULTILINE)
ARGUMENT = re.compile(r"^([ \t]*)(\w+):[ \t]*")
CHOICES = re.compile(r"\(choices:\s*(.*?)\)\s*$", re.IGNORECASE)


def get_json_schema(function: Callable[..., Any]) -> dict[str, Any]:
    """The schema a chat template's `tools` takes.

    Needs a docstring with every argument under `Args:`, and a type hint for each.  `(choices:
    ["a", "b"])` at the end of an argument's text becomes an enum.  Raises TokenizerError.
    """
    name = getattr(function, "__name__", "operation")
    doc = inspect.getdoc(function)
    if not doc:
        raise TokenizerError(f"tool {name}: it has no docstring, which the model reads. Do: "
                             "say what it does, with an Args: section for its arguments")
    about, described, returned = _read_doc(doc.strip())
    hints = get_type_hints(function)
    parameters = _parameters(function, name)
    properties = {}
    for key in parameters:
        if key not in described:
            raise TokenizerError(f"tool {name}: its docstring has no description of {key!r}. Do: "
                                 f"add a line '{key}: ...' under Args:")
        properties[key] = _described(_schema(hints[key], f"tool {name}, {key}"), described[key])
    required = [key for key, one in parameters.items() if one.default is inspect.Parameter.empty]
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    out: dict[str, Any] = {"name": name, "description": about, "parameters": schema}
    out |= _returned(hints, returned)
    return {"type": "function", "function": out}


def _parameters(function: Callable[..., Any], name: str) -> dict[str, inspect.Parameter]:
    """The arguments a caller gives; a bare `self` or `cls` is not one."""
    found = dict(inspect.signature(function).parameters)
    empty = inspect.Parameter.empty
    for key, one in list(found.items()):
        if one.annotation is not empty:
            continue
        if key in ("self", "cls") and key == next(iter(found)):
            del found[key]
            continue
        raise TokenizerError(f"tool {name}: {key!r} has no type hint. Do: def {name}({key}: str)")
    return found


def _returned(hints: dict[str, Any], text: str | None) -> dict[str, Any]:
    """The `return` entry, where its hint can be told; no model has to write it."""
    if "return" not in hints:
        return {}
    try:
        schema = _schema(hints["return"], "return")
    except TokenizerError:
        return {}
    return {"return": {**schema, **({"description": text} if text is not None else {})}}


def _described(schema: dict[str, Any], text: str) -> dict[str, Any]:
    if found := CHOICES.search(text):
        choices = json.loads(found.group(1))
        schema["enum"] = [one.strip() if isinstance(one, str) else one for one in choices]
        text = text[: found.start()].strip()
    return {**schema, "description": text}


def _schema(hint: Any, where: str) -> dict[str, Any]:
    """The JSON type of a type hint."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is None:
        return _bare(hint, where)
    if origin in (Union, types.UnionType):
        return _union(args, where)
    if origin is Literal:
        return _enum(args, where)
    if origin is list:
        return {"type": "array", "items": _schema(args[0], where)}
    if origin is tuple:
        return _tuple(args, where)
    if origin is dict:
        return {"type": "object", **({"additionalProperties": _schema(args[1], where)}
                                     if len(args) == 2 else {})}
    raise _unknown(hint, where)


def _bare(hint: Any, where: str) -> dict[str, Any]:
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _enum([member.value for member in hint], where)
    full = f"{getattr(hint, '__module__', '')}.{getattr(hint, '__qualname__', '')}"
    found = BY_NAME.get(full, BARE.get(hint) if isinstance(hint, Hashable) else None)
    if found is None:
        raise _unknown(hint, where)
    return dict(found)


def _enum(values: Sequence[Any], where: str) -> dict[str, Any]:
    kinds = list(dict.fromkeys(SCALARS.get(type(value)) for value in values))
    if None in kinds or not kinds:
        raise TokenizerError(f"{where}: the choices {list(values)!r} must be str, int, float, bool "
                             "or None, and at least one")
    return {"type": kinds[0] if len(kinds) == 1 else kinds, "enum": list(values)}


def _union(args: tuple[Any, ...], where: str) -> dict[str, Any]:
    parts = [_schema(arg, where) for arg in args if arg is not type(None)]
    simple = all(part.keys() == {"type"} and isinstance(part["type"], str) for part in parts)
    out: dict[str, Any] = {"anyOf": parts}
    if len(parts) == 1:
        out = parts[0]
    elif simple:
        names = sorted({part["type"] for part in parts})
        out = {"type": names[0] if len(names) == 1 else names}
    return {**out, "nullable": True} if type(None) in args else out


def _tuple(args: tuple[Any, ...], where: str) -> dict[str, Any]:
    if len(args) == 1 or ... in args:
        raise TokenizerError(f"{where}: a tuple of one or of any number has no schema. "
                             "Do: use list[...]")
    return {"type": "array", "prefixItems": [_schema(arg, where) for arg in args]}


def _unknown(hint: Any, where: str) -> TokenizerError:
    return TokenizerError(f"{where}: the type {hint!r} has no JSON schema. Expected str, int, "
                          "float, bool, Enum, Literal, list, tuple, dict or unions of them. "
                          "Do: use one, or pass the tool's schema as a dict")


def _read_doc(doc: str) -> tuple[str, dict[str, str], str | None]:
    """A docstring's description, arguments, and return value."""
    heads = list(HEADER.finditer(doc))
    ends = [*(head.start() for head in heads[1:]), len(doc)]
    parts = {head[1]: doc[head.end():end] for head, end in zip(heads, ends, strict=False)}
    about = doc[: heads[0].start()] if heads else doc
    returned = parts.get("Returns")
    return about.strip(), _read_args(parts.get("Args", "")), returned and returned.strip()


def _read_args(text: str) -> dict[str, str]:
    """`name: text` lines; lines indented deeper than the first name belong to the one above."""
    found: dict[str, list[str]] = {}
    indent, current = None, ""
    for line in filter(str.strip, text.split("\n")):
        head = ARGUMENT.match(line)
        if head and (indent is None or len(head[1]) <= len(indent)):
            indent, current = head[1], head[2]
            found[current] = [line[head.end():].strip()]
        elif current:
            found[current].append(line.strip())
    return {name: " ".join(filter(None, lines)) for name, lines in found.items()}
