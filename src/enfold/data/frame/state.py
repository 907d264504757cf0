"""Frames pickled: columns in files by their path, others by value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.frame.files import open_file, with_types
from enfold.data.frame.frame import Column, Frame, Piece, table_of


def frame_state(frame: Frame) -> dict[str, Any]:
    """A frame in a form that can be pickled; small for one in files."""
    rows: dict[int, Any] = {}
    columns = {}
    for name, column in frame.columns.items():
        if column.rows is not None:
            rows[id(column.rows)] = _path_of(column.rows)
        data: Any = column.files if column.files is not None else _stored(column.data)
        columns[name] = (data, id(column.rows) if column.rows is not None else None)
    return {"columns": columns, "rows": rows, "num_rows": frame.num_rows}


def frame_of(state: dict[str, Any]) -> Frame:
    """The frame of such a state, its files mapped anew."""
    opened: dict[str, pa.Table] = {}
    rows = {key: np.load(found, mmap_mode="r") if isinstance(found, str) else found
            for key, found in state["rows"].items()}
    columns = {}
    for name, (data, key) in state["columns"].items():
        files = data if isinstance(data, tuple) else None
        chunked = _mapped(files, opened) if files is not None else _read(data)
        columns[name] = Column(chunked, rows.get(key), files)
    return Frame(columns, state["num_rows"])


def _mapped(pieces: tuple[Piece, ...], opened: dict[str, pa.Table]) -> pa.ChunkedArray:
    chunks = []
    for piece in pieces:
        if piece.path not in opened:
            opened[piece.path] = open_file(piece.path)
        column = opened[piece.path].column(piece.name).slice(piece.start, piece.length)
        chunks += column.chunks
        arrow = column.type
    return pa.chunked_array(chunks, arrow)


def _stored(data: pa.ChunkedArray) -> bytes:
    table = table_of({"": data}, len(data))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _read(data: bytes) -> pa.ChunkedArray:
    return with_types(pa.ipc.open_stream(data).read_all()).column(0)


def _path_of(rows: np.ndarray) -> Any:
    """The file of row numbers that are mapped, else themselves."""
    return str(rows.filename) if isinstance(rows, np.memmap) and rows.filename else rows
