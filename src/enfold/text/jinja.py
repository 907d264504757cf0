"""The sandbox that chat templates run in.  Templates are code from strangers: they see plain data
(str, numbers, lists, dicts) and none of Python's insides.

Dialect: trim_blocks, lstrip_blocks, break and continue, `{% generation %}`, `tojson` that leaves
HTML characters alone, `raise_exception(text)`, `strftime_now(format)`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.ext import Extension
from jinja2.ext import loopcontrols as LoopControls
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Namespace

START, END = "\U000f0002", "\U000f0003"  # around what an assistant wrote, while rendering


class Generation(Extension):
    """`{% generation %} ... {% endgeneration %}`: marks what the assistant wrote."""

    tags = {"generation"}  # noqa: RUF012 - jinja's attribute

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        call = self.call_method("_mark", [nodes.ContextReference()])
        return nodes.CallBlock(call, [], [], body).set_lineno(line)

    @staticmethod
    def _mark(context: Any, caller: Callable[[], str]) -> str:
        text = caller()
        return f"{START}{text}{END}" if context.get("_mark_generation") else text


class SafeNamespace(Namespace):
    """jinja's namespace without attributes that begin with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # `namespace(self=...)` is legal
        self, *rest = args
        attributes = dict(*rest, **kwargs)
        for name in attributes:
            _public(name)
        Namespace.__init__(self, attributes)

    def __setitem__(self, name: str, value: Any) -> None:
        _public(name)
        super().__setitem__(name, value)


class DictMaker:
    """`dict(...)` in a template: makes dicts and is not the class."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)

    def fromkeys(self, *args: Any) -> dict[Any, Any]:
        return dict.fromkeys(*args)


@lru_cache(maxsize=128)
def compiled(template: str) -> jinja2.Template:
    """A template ready to render."""
    return _environment().from_string(template)


@lru_cache(maxsize=1)
def _environment() -> ImmutableSandboxedEnvironment:
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                         extensions=[Generation, LoopControls])
    made.filters["tojson"] = _tojson
    made.globals.update(raise_exception=_raise, strftime_now=_now, dict=DictMaker(),
                        namespace=SafeNamespace)
    return made


def split_marks(text: str) -> tuple[str, list[tuple[int, int]]]:
    """A text without its marks, and the (start, end) characters that they held."""
    out: list[str] = []
    spans, length, start = [], 0, 0
    for piece in text.split(START):
        inside, _, outside = piece.partition(END) if out else ("", "", piece)
        if out:
            spans.append((start, start + len(inside)))
        out.append(inside + outside)
        length += len(inside) + len(outside)
        start = length
    return "".join(out), spans


def plain(value: Any) -> Any:
    """A copy made of JSON's types; other objects become their type's name, e.g. "<Image>"."""
    if value is None or type(value) in (str, bool, int, float):
        return value
    if isinstance(value, str):  # an enum or numpy scalar: its value, without its methods
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [plain(item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if type(value).__module__ == "numpy" and not getattr(value, "ndim", 1):
        return plain(value.item())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name))
                for field in dataclasses.fields(value)}
    if callable(getattr(value, "model_dump", None)):  # pydantic
        return plain(value.model_dump())
    return f"<{type(value).__name__}>"


def _public(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise SecurityError(f"a chat template may not set {name!r} on a namespace: names that "
                            "begin with an underscore are Python's own")


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None,
            separators: tuple[str, str] | None = None, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _now(form: str) -> str:
    return datetime.now().strftime(form)
