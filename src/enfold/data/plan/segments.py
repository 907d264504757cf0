"""What a pass leaves behind: new columns in Arrow files, and the rows of the base they go with.

    <key>/data.arrow/00000.arrow     new columns, and "__rows__" where rows were dropped
                     layout.json     features, the base, and per segment: file, rows, shared columns

A segment is a stretch of the result with the same columns new.  A column that turned out to
change only after a while is new from there on; before, it is filled in from the base.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from enfold.data.features import Features, arrow_type, cast_array
from enfold.data.frame import Column, Frame, open_file
from enfold.data.frame.files import BatchWriter, open_stream
from enfold.data.frame.frame import Piece, table_of
from enfold.data.frame.gather import joined
from enfold.data.plan.chunk import Chunk
from enfold.errors import DataFileError

LAYOUT = "layout.json"
ROWS = "__rows__"


@dataclass
class Segment:
    """file: of the new columns.  shared: result column -> base column.  span: the rows of the base,
    where they are a stretch; else they are in the file, or the rows are no longer the base's."""

    file: str
    rows: int
    shared: dict[str, str]
    span: tuple[int, int] | None
    table: Any = field(default=None, repr=False)
    path: str | None = None

    def origin(self) -> np.ndarray | range | None:
        """The rows of the base."""
        if self.span is not None:
            return range(*self.span)
        if self.table is not None and ROWS in self.table.column_names:
            return self.table.column(ROWS).to_numpy()  # type: ignore[no-any-return]
        return None


class Writer:
    """Writes chunks as segments: to files in `folder`, or to memory where that is None."""

    def __init__(self, folder: Path | None, prefix: str = "") -> None:
        self.folder, self.prefix = folder, prefix
        self.segments: list[Segment] = []
        self.stored: set[str] = set()
        self._open: _OpenSegment | None = None
        self.rows = 0

    def add(self, chunk: Chunk) -> None:
        """The next rows."""
        if not chunk.num_rows and self.rows:
            return
        self.rows += chunk.num_rows
        self.stored |= {name for name, value in chunk.columns.items()
                        if not isinstance(value, str)}
        layout = _Layout(chunk, self.stored)
        if self._open is None or not self._open.takes(layout):
            self._close()
            self._open = _OpenSegment(self.folder, f"{self.prefix}{len(self.segments):05d}.arrow",
                                      layout)
        self._open.add(chunk, layout)

    def _close(self) -> None:
        if self._open is not None:
            self.segments.append(self._open.close())
            self._open = None

    def close(self) -> list[Segment]:
        """Everything written."""
        self._close()
        return self.segments


class _Layout:
    """Which columns of a chunk go to the file, and how its rows are told."""

    def __init__(self, chunk: Chunk, stored: set[str]) -> None:
        self.shared = {name: value for name, value in chunk.columns.items()
                       if isinstance(value, str) and name not in stored}
        self.spanned = isinstance(chunk.origin, range)
        names = [name for name in chunk.columns if name not in self.shared]
        table = self.table = chunk.table(names)
        if self.shared and not self.spanned:
            rows = pa.array(np.asarray(chunk.origin, dtype=np.int64))
            self.table = table_of({**dict(zip(names, table.columns, strict=True)), ROWS: rows},
                                  chunk.num_rows)
        self.schema = self.table.schema
        self.rows = chunk.num_rows


class _OpenSegment:
    def __init__(self, folder: Path | None, name: str, layout: _Layout) -> None:
        self.layout, self.name = layout, name
        self.path = folder / name if folder is not None else None
        self.sink = pa.OSFile(str(self.path), "wb") if self.path else pa.BufferOutputStream()
        self.writer = BatchWriter(self.sink, layout.schema)
        self.start: int | None = None
        self.rows = 0

    def takes(self, layout: _Layout) -> bool:
        mine = self.layout
        return (layout.shared == mine.shared and layout.spanned == mine.spanned
                and layout.schema == mine.schema)

    def add(self, chunk: Chunk, layout: _Layout) -> None:
        if isinstance(chunk.origin, range) and self.start is None:
            self.start = chunk.origin.start
        self.writer.add(layout.table)
        self.rows += layout.rows

    def close(self) -> Segment:
        self.writer.close()
        span = (self.start, self.start + self.rows) if self.start is not None else None
        segment = Segment(self.name, self.rows, self.layout.shared, span)
        if self.path is None:
            segment.table = open_stream(pa.BufferReader(self.sink.getvalue()))
        self.sink.close()
        return segment


def save_layout(folder: Path, segments: Sequence[Segment], features: Features, base: str) -> None:
    """Write down what the files hold."""
    notes = [asdict_of(segment) for segment in segments]
    text = json.dumps({"base": base, "features": features.to_dict(), "names": list(features),
                       "segments": notes})
    (folder / LAYOUT).write_text(text)


def asdict_of(segment: Segment) -> dict[str, Any]:
    """A segment without what is open in this process."""
    return {"file": segment.file, "rows": segment.rows, "shared": segment.shared,
            "span": segment.span}


def load_layout(folder: Path) -> tuple[list[Segment], Features, str]:
    """(segments, features, fingerprint of the base) of a result in files."""
    try:
        notes = json.loads((folder / LAYOUT).read_text())
        features = Features.from_dict(notes["features"])
        features = Features({name: features[name] for name in notes["names"]})
        segments = [Segment(**note) for note in notes["segments"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataFileError(f"{folder / LAYOUT}: the description of a cached result can't be read: "
                            f"{error}. Do: `enfold cache verify`") from error
    return open_all(folder, segments), features, notes["base"]


def open_all(folder: Path | None, segments: list[Segment]) -> list[Segment]:
    """The segments with their files mapped."""
    if folder is None:
        return segments
    for segment in segments:
        segment.path = str(folder / segment.file)
        segment.table = open_file(segment.path)
        segment.span = (segment.span[0], segment.span[1]) if segment.span else None
    return segments


def fill(segments: list[Segment], base: Frame, features: Features,
         folder: Path | None) -> list[Segment]:
    """Segments that all have the same columns new; what some lacked is written from the base."""
    stored = {name for segment in segments for name in segment.table.column_names} - {ROWS}
    return [_filled(segment, stored, base, features, folder)
            if stored & segment.shared.keys() else segment for segment in segments]


def _filled(segment: Segment, stored: set[str], base: Frame, features: Features,
            folder: Path | None) -> Segment:
    writer = Writer(folder, f"filled-{segment.file.removesuffix('.arrow')}-")
    writer.stored = set(stored)
    origin = segment.origin()
    for start in range(0, segment.rows, 1 << 16):
        stop = min(start + (1 << 16), segment.rows)
        columns: dict[str, Any] = {}
        for name in features:
            columns[name] = segment.shared[name] if name in segment.shared else \
                _one(segment.table.column(name).slice(start, stop - start))
        rows = origin[start:stop] if origin is not None else None
        writer.add(Chunk(base, rows, columns, stop - start, features))
    if folder is not None:
        (folder / segment.file).unlink()
    return open_all(folder, writer.close())[0]


def _one(column: pa.ChunkedArray) -> pa.Array:
    return joined(column.chunks, column.type)


def assemble(base: Frame, segments: Sequence[Segment], features: Features,
             holds: Iterable[Any] = ()) -> Frame:
    """The result as a frame: new columns from the segments, the others shared with the base."""
    count = sum(segment.rows for segment in segments) if features else 0
    shared: dict[str, str] = dict(segments[0].shared) if segments else {}
    rows = _rows(segments) if shared else None
    behind: dict[int, np.ndarray] = {}
    columns: dict[str, Column] = {}
    for name, feature in features.items():
        if name in shared:
            columns[name] = _shared(base.columns[shared[name]], rows, count, behind)
        else:
            columns[name] = _new(segments, name, arrow_type(feature), feature)
    return Frame(columns, count, (*base.holds, *holds))


def _rows(segments: Sequence[Segment]) -> np.ndarray | range:
    """The rows of the base that the whole result is of."""
    origins = [segment.origin() for segment in segments]
    spans = [origin for origin in origins if isinstance(origin, range)]
    if len(spans) == len(origins) and all(one.stop == other.start
                                          for one, other in pairwise(spans)):
        return range(spans[0].start, spans[-1].stop)
    if len(origins) == 1:
        return origins[0]  # type: ignore[return-value]
    return np.concatenate([np.asarray(origin, dtype=np.int64) for origin in origins])


def _shared(column: Column, rows: Any, count: int, behind: dict[int, np.ndarray]) -> Column:
    if isinstance(rows, range):
        if column.rows is None:
            return column if len(column.data) == count else column.slice(rows.start, count)
        return column.behind(behind.setdefault(id(column.rows),
                                               column.rows[rows.start:rows.stop]))
    if column.rows is None:
        return column.behind(rows)
    if id(column.rows) not in behind:
        behind[id(column.rows)] = column.rows[rows]
    return column.behind(behind[id(column.rows)])


def _new(segments: Sequence[Segment], name: str, arrow: pa.DataType, feature: Any) -> Column:
    chunks, pieces = [], []
    for segment in segments:
        column = segment.table.column(name)
        same = column.type == arrow
        chunks += column.chunks if same else cast_array(column, feature, column=name).chunks
        if segment.path is not None and same:
            pieces.append(Piece(segment.path, name, 0, segment.rows))
    files = tuple(pieces) if len(pieces) == len(segments) and segments else None
    return Column(pa.chunked_array(chunks, arrow), None, files)
