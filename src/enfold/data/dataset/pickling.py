"""Datasets pickled: columns in files by their path, others by value.  What is left to run is run."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from enfold.data.frame import Column, Frame, open_file
from enfold.data.frame.files import with_types
from enfold.data.frame.frame import Piece, table_of
from enfold.data.plan import Loaded


def state_of(dataset: Any) -> dict[str, Any]:
    """What a dataset is, without open files."""
    node = dataset._node
    state = {name: value for name, value in dataset.__dict__.items()
             if name not in ("_node", "_view")}
    return {**state, "_frame": frame_state(node.frame()), "_features": node.features,
            "_durable": node.durable, "_key": node._fingerprint}


def restore(dataset: Any, state: dict[str, Any]) -> None:
    """The dataset of such a state."""
    state = dict(state)
    frame, features = frame_of(state.pop("_frame")), state.pop("_features")
    durable, key = state.pop("_durable"), state.pop("_key")
    dataset.__dict__.update(state)
    dataset._view = None
    dataset._node = Loaded(frame, features, durable=durable, fingerprint=key)
    dataset._node.users.add(dataset)


def frame_state(frame: Frame) -> dict[str, Any]:
    """A frame in a form that can be pickled; small for one in files."""
    rows: dict[int, Any] = {}
    columns = {}
    for name, column in frame.columns.items():
        if column.rows is not None:
            rows[id(column.rows)] = column.rows
        data: Any = column.files if column.files is not None else _stored(column.data)
        columns[name] = (data, id(column.rows) if column.rows is not None else None)
    return {"columns": columns, "rows": rows, "num_rows": frame.num_rows}


def frame_of(state: dict[str, Any]) -> Frame:
    """The frame of such a state, its files mapped anew."""
    opened: dict[str, pa.Table] = {}
    columns = {}
    for name, (data, rows) in state["columns"].items():
        files = data if isinstance(data, tuple) else None
        chunked = _mapped(files, opened) if files is not None else _read(data)
        columns[name] = Column(chunked, state["rows"].get(rows), files)
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
