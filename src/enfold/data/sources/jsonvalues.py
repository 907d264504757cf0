"""JSON values one after another out of a stream of text, and as tables.

    [{...}, {...}]      an array: its items, without the whole array in memory
    {...} {...}         objects, on lines of their own or over many lines
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyarrow import types as t

from enfold.data.sources import schema as schemas
from enfold.data.sources.blocks import SIZE, Readable
from enfold.data.sources.schema import STEP, Path

SPACE = " \t\r\n"
LITERAL = 16  # more than `-Infinity` or `\\u1234`: an error closer to the end may be a cut value


class BadJson(ValueError):  # noqa: N818
    """Text that is no JSON; `line`: counted from 1 in the stream."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.line = line


class Values:
    """The values in a stream of UTF-8: (line, value) pairs.  Raises BadJson."""

    def __init__(self, stream: Readable, line: int = 1) -> None:
        self.stream, self.line = stream, line
        self.text, self.at, self.final = "", 0, False
        self.decode = json.JSONDecoder().raw_decode

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        array = self._next() == "["
        if array:
            self.at += 1
        first = True
        while (mark := self._next()) and not (array and mark == "]"):
            if array and not first:
                if mark != ",":
                    raise BadJson("expected ',' or ']' after an item of the array", self._line())
                self.at += 1
                self._next()
            first = False
            line = self._line()
            yield line, self._value()
        if array and not mark:
            raise BadJson("the array is not closed: ']' is missing at the end", self._line())
        self.at += array
        if array and self._next():
            raise BadJson("there is more after the array's end", self._line())

    def _next(self) -> str:
        """The next character that is no space, left there; "" at the end."""
        while True:
            rest = self.text[self.at:self.at + 256].lstrip(SPACE)
            if rest:
                self.at += len(self.text[self.at:self.at + 256]) - len(rest)
                return rest[0]
            if self.at + 256 < len(self.text):
                self.at += 256
            elif not self._more():
                return ""

    def _value(self) -> Any:
        while True:
            try:
                value, end = self.decode(self.text, self.at)
            except json.JSONDecodeError as error:
                line = self._line(error.pos)
                left = len(self.text[error.pos:].rstrip(SPACE))
                cut = left < LITERAL or error.msg.startswith("Unterminated")
                if not (cut and self._more()):
                    raise BadJson(error.msg[:1].lower() + error.msg[1:], line) from error
                continue
            if end == len(self.text) and self._more():
                continue  # a number may go on
            self.at = end
            return value

    def _more(self) -> bool:
        """Drop what was read and read on; whether there was something."""
        if self.final:
            return False
        self.line, self.text, self.at = self._line(), self.text[self.at:], 0
        raw = self.stream.read(max(SIZE // 4, len(self.text)))
        while raw and (short := _cut_character(raw)):
            more = self.stream.read(short)
            if not more:
                break
            raw += more
        self.final = not raw
        self.text += raw.decode()
        return not self.final

    def _line(self, at: int | None = None) -> int:
        return self.line + self.text.count("\n", 0, self.at if at is None else at)


def _cut_character(raw: bytes) -> int:
    """How many bytes the last character of UTF-8 lacks."""
    for back in range(1, min(4, len(raw) + 1)):
        byte = raw[-back]
        if byte & 0xC0 != 0x80:
            length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
            return max(length - back, 0)
    return 0


def repeated_key(data: bytearray) -> tuple[int, str]:
    """The first of some lines whose object has a key twice, from 0, and that key."""
    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        found.extend({name for name in names if names.count(name) > 1})
        return dict(pairs)

    found: list[str] = []
    for number, line in enumerate(data.split(b"\n")):
        if line.strip():
            json.loads(line, object_pairs_hook=check)
        if found:
            return number, found[0]
    raise ValueError("no key is there twice")


def mixed(values: Sequence[Any], keys: bool, path: Path = ()) -> list[tuple[Path, str]]:
    """Where values have no common Arrow type, and why.

    "scalars": text, numbers and booleans; "nested": objects or lists and something else; "keys",
    where they count: objects with different keys, or none, other than the rows themselves.
    """
    given = [value for value in values if value is not None]
    kinds = {_kind(value) for value in given}
    if len(kinds) > 1:
        return [(path, "nested" if kinds & {"object", "list"} else "scalars")]
    if kinds == {"list"}:
        return mixed([item for value in given for item in value], keys, (*path, STEP))
    if kinds != {"object"}:
        return []
    if keys and path and (not given[0] or any(v.keys() != given[0].keys() for v in given)):
        return [(path, "keys")]
    names = dict.fromkeys(name for value in given for name in value)
    return [found for name in names
            for found in mixed([v[name] for v in given if name in v], keys, (*path, name))]


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    kinds: dict[type, str] = {dict: "object", list: "list", str: "text"}
    return kinds.get(type(value), "number")


def is_text(value: Any) -> bool:
    """Whether all strings in it can be written: none holds half of a surrogate pair."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def example(kind: Any) -> Any:
    """A row with text where a schema (a type) has text, and nothing elsewhere."""
    if isinstance(kind, pa.Schema) or t.is_struct(kind):
        return {field.name: example(field.type) for field in kind}
    if schemas.is_list(kind):
        return [example(kind.value_type)]
    return "" if schemas.is_string(kind) else None


def encode(value: Any, path: Path, text: bool = False) -> Any:
    """`value` with what lies at `path` as JSON text; text: leave strings as they are."""
    if value is None:
        return None
    if not path:
        if text and isinstance(value, str):
            return value
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if path[0] == STEP and isinstance(value, list):
        return [encode(item, path[1:], text) for item in value]
    if not isinstance(value, dict) or path[0] not in value:
        return value
    return {**value, path[0]: encode(value[path[0]], path[1:], text)}
