"""JSON values one after another out of a stream of text, and as tables.

    [{...}, {...}]      an array: its items, without the whole array in memory
    {...} {...}         objects, on lines of their own or over many lines
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.json as pajson
from pyarrow import types as t

from enfold.data.features import cast_array, feature_of
from enfold.data.sources import schema as schemas
from enfold.data.sources.blocks import SIZE, Readable

SPACE = " \t\r\n"
LITERAL = 16  # more than `-Infinity` or `\\u1234`: an error closer to the end may be a cut value
STEP = 0  # in a path: into a list's items
Path = tuple[Any, ...]


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


def paths_of(kind: Any, test: Callable[[Any], bool], path: Path = ()) -> list[Path]:
    """The paths in a schema or type to what passes a test."""
    if isinstance(kind, pa.Schema) or t.is_struct(kind):
        return [found for f in kind for found in paths_of(f.type, test, (*path, f.name))]
    if schemas.is_list(kind):
        return paths_of(kind.value_type, test, (*path, STEP))
    return [path] if test(kind) else []


def table(rows: Sequence[dict[str, Any]], hint: pa.Schema, jsons: Sequence[Path],
          texts: Sequence[Path]) -> Any:
    """Rows as a table, JSON text at `jsons`, plain text at `texts`, else of the types in `hint`.

    What the hint makes text is text; its other types are left where a value does not fit.
    """
    for path in jsons:
        rows = [encode(row, path) for row in rows]
    for path in [*texts, *paths_of(hint, schemas.is_string)]:
        rows = [encode(row, path, text=True) for row in rows]
    data = "\n".join(json.dumps(row) for row in rows).encode()
    encoded = {path[0] for path in jsons}
    read = _parsed(data, [field for field in hint if field.name not in encoded])
    try:
        read.validate(full=True)
    except pa.ArrowInvalid:  # pyarrow 26 loses items of [null, {..}]
        read = pa.concat_tables([pa.Table.from_pylist([row]) for row in rows],
                                promote_options="permissive")
    for number, field in enumerate(read.schema):
        if own := [path[1:] for path in jsons if path[0] == field.name]:
            kind = _with_json(field.type, own)
            column = cast_array(read.column(number).combine_chunks(), feature_of(kind))
            read = read.set_column(number, pa.field(field.name, kind), column)
    return read


def _parsed(data: bytes, hint: Sequence[pa.Field]) -> Any:
    """Lines with all types of the hint, or where a value does not fit with those of its text."""
    text = [field for field in map(_only_text, hint) if field is not None]
    plain = [field for field in text if not t.is_nested(field.type)]
    for fields in (hint, text):
        try:
            return parse(data, pa.schema(fields))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
    return parse(data, pa.schema(plain))


def _only_text(field: pa.Field) -> pa.Field | None:
    """A field with nothing in it but text, or None."""
    kind = field.type
    if t.is_struct(kind):
        inner = [f for f in map(_only_text, kind) if f is not None]
        return pa.field(field.name, pa.struct(inner)) if inner else None
    if schemas.is_list(kind):
        item = _only_text(kind.value_field)
        return pa.field(field.name, pa.list_(item)) if item is not None else None
    return field if schemas.is_string(kind) else None


def parse(text: bytes | bytearray, explicit: pa.Schema) -> Any:
    """JSON lines by pyarrow, with the types of `explicit` and its own for further columns.

    Raises pyarrow.ArrowInvalid or ArrowNotImplementedError.
    """
    size = max(SIZE // 32, 16 << 10)
    while True:
        try:
            return pajson.read_json(
                pa.BufferReader(text), pajson.ReadOptions(block_size=size),
                pajson.ParseOptions(explicit_schema=explicit, unexpected_field_behavior="infer"))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            apart = "straddling" in str(error) or "JSON conversion to" in str(error)
            if not apart or size > len(text):
                raise
            size *= 4  # an object, or a column's first value, needs a longer block


def _with_json(kind: Any, paths: Sequence[tuple[Any, ...]]) -> Any:
    if () in paths:
        return pa.json_()
    if schemas.is_list(kind):
        return pa.list_(_with_json(kind.value_type, [path[1:] for path in paths]))
    if not t.is_struct(kind):
        return kind
    own = {f.name: [path[1:] for path in paths if path[0] == f.name] for f in kind}
    return pa.struct([pa.field(f.name, _with_json(f.type, own[f.name]) if own[f.name] else f.type)
                      for f in kind])
