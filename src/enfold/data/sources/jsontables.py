"""JSON as tables: lines parsed by pyarrow, and Python's values by way of lines.

pyarrow 26 drops the nulls of `[null, 1]` where it learns the type on the way, and of `[null, null]`
always; `parse` reads such text again with the types told, and with another type for null.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.json as pajson
from pyarrow import types as t

from enfold.data.features import cast_array, feature_of
from enfold.data.sources import schema as schemas
from enfold.data.sources.blocks import SIZE
from enfold.data.sources.jsonvalues import encode
from enfold.data.sources.schema import Path


def table(rows: Sequence[dict[str, Any]], hint: pa.Schema, jsons: Sequence[Path],
          texts: Sequence[Path]) -> Any:
    """Rows as a table, JSON text at `jsons`, plain text at `texts`, else of the types in `hint`.

    What the hint makes text is text; its other types are left where a value does not fit.
    """
    for path in jsons:
        rows = [encode(row, path) for row in rows]
    for path in [*texts, *schemas.paths_of(hint, schemas.is_string)]:
        rows = [encode(row, path, text=True) for row in rows]
    data = "\n".join(json.dumps(row) for row in rows).encode()
    encoded = {path[0] for path in jsons}
    read = _parsed(data, [field for field in hint if field.name not in encoded])
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
    read = _read(text, explicit)
    try:
        read.validate()
    except pa.ArrowInvalid:
        wanted = read.schema
        read = _read(text, pa.schema([(f.name, _without_null(f.type)) for f in wanted]))
        columns = [pa.chunked_array([_with_null(chunk, field.type) for chunk in column.chunks],
                                    field.type)
                   for column, field in zip(read.columns, wanted, strict=True)]
        return pa.Table.from_arrays(columns, schema=wanted)
    return read


def _without_null(kind: Any) -> Any:
    """The type with bool for null."""
    if t.is_list(kind):
        return pa.list_(_without_null(kind.value_type))
    if t.is_struct(kind):
        return pa.struct([(f.name, _without_null(f.type)) for f in kind])
    return pa.bool_() if t.is_null(kind) else kind


def _with_null(array: Any, kind: Any) -> Any:
    """What was read as bool for null as null."""
    if array.type == kind:
        return array
    if t.is_list(kind):
        inner = _with_null(array.values, kind.value_type)
        return pa.ListArray.from_arrays(array.offsets, inner, mask=array.is_null())
    if t.is_struct(kind):
        fields = [_with_null(array.field(i), f.type) for i, f in enumerate(kind)]
        return pa.StructArray.from_arrays(fields, fields=list(kind), mask=array.is_null())
    return pa.nulls(len(array))


def _read(text: bytes | bytearray, explicit: pa.Schema) -> Any:
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
