"""Tokens of Arrow tables and arrays: the same for any chunks, offsets and bytes under nulls.

A column is read in windows of rows.  Of each array, down through lists and structs, the digest
takes the validity if there are nulls, then what is not null, packed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

Tokens = Iterator[Any]  # see digest.py
Update = Callable[[Any], None]
_WINDOW = 1 << 16  # rows


def describe_schema(schema: pa.Schema) -> Tokens:
    """Names, types, nullability, metadata."""
    yield b"schema"
    yield "fields", "", list(schema)
    yield "metadata", "", schema.metadata


def describe_field(field: pa.Field) -> Tokens:
    """Name, type, nullability, metadata."""
    yield b"field"
    yield "field", "", (field.name, field.type, field.nullable, field.metadata)


def describe_type(kind: pa.DataType) -> Tokens:
    """A type as it prints; of an extension also its storage and parameters."""
    import pyarrow as pa

    yield b"type"
    yield "type", "", str(kind)
    if isinstance(kind, pa.BaseExtensionType):
        parameters = getattr(kind, "__arrow_ext_serialize__", bytes)()
        yield "storage", "", (kind.extension_name, parameters, kind.storage_type)


def describe_scalar(scalar: pa.Scalar) -> Tokens:
    """An array of one."""
    import pyarrow as pa

    yield b"scalar"
    yield "value", "", pa.array([scalar.as_py()], scalar.type)


def describe_table(table: pa.Table | pa.RecordBatch) -> Tokens:
    """A table or record batch."""
    yield b"table"
    yield "schema", "", table.schema
    for name, column in zip(table.schema.names, table.columns, strict=True):
        yield "column", name, column


def describe_array(array: pa.Array | pa.ChunkedArray) -> Tokens:
    """An array, in chunks or not."""
    import pyarrow as pa

    from enfold.data.features.arrow import storage_type

    yield b"arrow"
    yield "type", "", (array.type, len(array))
    digest = hashlib.blake2b(digest_size=32)
    bare = storage_type(array.type)  # pyarrow can't drop the nulls of lists of extension types
    for start in range(0, len(array), _WINDOW):
        window = array.slice(start, _WINDOW)
        window = window if bare == array.type else window.cast(bare)
        if isinstance(window, pa.ChunkedArray):
            chunks = window.chunks
            window = chunks[0] if len(chunks) == 1 else pa.concat_arrays(chunks)
        _feed(digest.update, window)
    yield digest.digest()


def _feed(update: Update, array: pa.Array) -> None:
    """One array's content, with the lengths that keep neighbours apart."""
    import pyarrow as pa
    import pyarrow.types as kinds  # type: ignore[import-untyped]

    if isinstance(array.type, pa.BaseExtensionType):
        array = array.storage
    if kinds.is_string_view(array.type) or kinds.is_binary_view(array.type):
        array = array.cast(pa.large_binary())
    kind, nulls = array.type, array.null_count
    update(b"%d %d;" % (len(array), nulls))
    if kinds.is_null(kind) or not len(array):
        return
    if any(test(kind) for test in (kinds.is_map, kinds.is_union, kinds.is_run_end_encoded,
                                   kinds.is_list_view, kinds.is_large_list_view)):
        update(repr(array.to_pylist()).encode("utf-8", "surrogatepass"))
        return
    if nulls:
        _feed(update, array.is_valid())
        array = array.drop_null()
    if kinds.is_dictionary(kind):
        _feed(update, array.dictionary_decode())
    elif kinds.is_boolean(kind):
        _feed(update, array.cast("uint8"))
    elif kinds.is_primitive(kind) or kinds.is_decimal(kind) or kinds.is_fixed_size_binary(kind):
        width = kind.bit_width // 8
        update(array.buffers()[1][array.offset * width:(array.offset + len(array)) * width])
    else:
        _feed_variable(update, array)


def _feed_variable(update: Update, array: pa.Array) -> None:
    """Text and bytes, nested types."""
    import pyarrow.compute as pc  # type: ignore[import-untyped]
    import pyarrow.types as kinds

    kind = array.type
    if any(test(kind) for test in (kinds.is_string, kinds.is_large_string, kinds.is_binary,
                                   kinds.is_large_binary)):
        _feed(update, pc.binary_length(array).cast("int64"))
        update(_text(array, 8 if str(kind).startswith("large") else 4))
    elif kinds.is_list(kind) or kinds.is_large_list(kind):
        _feed(update, pc.list_value_length(array).cast("int64"))
        _feed(update, array.flatten())
    elif kinds.is_fixed_size_list(kind):
        _feed(update, array.flatten())
    elif kinds.is_struct(kind):
        for field in array.flatten():
            _feed(update, field)
    else:
        raise TypeError(f"Arrow arrays of type {kind} are not known here")


def _text(array: pa.Array, width: int) -> Any:
    """The bytes of all values, without what lies before and after this slice."""
    import numpy

    _, offsets, data = array.buffers()
    places = numpy.frombuffer(offsets, f"i{width}", len(array) + 1, array.offset * width)
    return data[int(places[0]):int(places[-1])] if data is not None else b""
