"""A pass as other processes run it: the base by its files, the steps by value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from enfold.data.features import Features
from enfold.data.frame import Column, Frame, open_file, write
from enfold.data.frame.frame import Piece
from enfold.data.frame.state import frame_of, frame_state
from enfold.data.plan.ops import bare
from enfold.data.plan.segments import Writer, asdict_of
from enfold.data.plan.stages import Base, Step, pipeline

_ROWS = 1 << 16


class PassJob:
    """Runs steps on stretches of a frame; see `executor.run.Job`.

    ranked: the functions are told which worker runs them.  scratch: where data that is not in
    files goes when the job is pickled; None sends it along.
    """

    def __init__(self, base: Frame, features: Features, ops: Sequence[Any], folder: Path | None,
                 ranked: bool, scratch: Path | None = None) -> None:
        self.base, self.features, self.folder, self.ranked = base, features, folder, ranked
        self.ops, self.scratch = list(ops), scratch

    def __getstate__(self) -> dict[str, Any]:
        base = self.base if self.scratch is None else spilled(self.base, self.scratch)
        return {**self.__dict__, "base": frame_state(base), "ops": [bare(op) for op in self.ops]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.base = frame_of(state["base"])

    def open(self, rank: int) -> None:
        """Tell the functions their rank."""
        for op in self.ops if self.ranked else ():
            op.call = replace(op.call, rank=rank)

    def run(self, task: tuple[int, int, int], progress: Callable[[int], None]) -> Any:
        """(what was written of rows start to stop, its features)."""
        number, start, stop = task
        writer = Writer(self.folder, f"{number:05d}-")
        below = Base(self.base, self.features, start, stop, ahead=True)
        at, features = start, None
        for chunk in pipeline([Step(op) for op in self.ops], below, replay=False):
            progress(below.at - at)
            at, features = below.at, chunk.features
            if self.folder is not None:
                writer.add(chunk)
        return [asdict_of(segment) for segment in writer.close()], features


def spilled(base: Frame, folder: Path) -> Frame:
    """The frame with all its data in files, and its row numbers mapped."""
    loose = {name: column.data for name, column in base.columns.items() if column.files is None}
    columns = dict(base.columns)
    by_length: dict[int, list[str]] = {}
    for name, data in loose.items():
        by_length.setdefault(len(data), []).append(name)
    for number, names in enumerate(by_length.values()):
        path = folder / f"base-{number}.arrow"
        table = Frame.of(_table({name: loose[name] for name in names}))
        write(path, table.batches(_ROWS), table.slice(0, 0).schema)
        mapped = open_file(path)
        for name in names:
            piece = Piece(str(path), name, 0, mapped.num_rows)
            columns[name] = Column(mapped.column(name), base.columns[name].rows, (piece,))
    return Frame(_with_rows_in_files(columns, folder), base.num_rows, base.holds)


def _with_rows_in_files(columns: dict[str, Column], folder: Path) -> dict[str, Column]:
    kept: dict[int, np.ndarray] = {}
    for name, column in columns.items():
        if column.rows is None:
            continue
        if id(column.rows) not in kept:
            path = folder / f"rows-{len(kept)}.npy"
            np.save(path, column.rows)
            kept[id(column.rows)] = np.load(path, mmap_mode="r")
        columns[name] = Column(column.data, kept[id(column.rows)], column.files)
    return columns


def _table(columns: dict[str, Any]) -> Any:
    from enfold.data.frame.frame import table_of

    return table_of(columns, len(next(iter(columns.values()))))
