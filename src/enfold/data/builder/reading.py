"""Prepared files as a `Dataset`, memory-mapped."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from enfold.data.builder.errors import FileFormatError
from enfold.data.download.paths import PathMissing
from enfold.data.features import Features, cast_table
from enfold.data.fingerprint import digest
from enfold.data.frame import Frame, open_file, open_stream
from enfold.data.nested import map_nested
from enfold.data.splits import ReadInstruction, Split, SplitBase, SplitDict, make_file_instructions
from enfold.errors import DataError

if TYPE_CHECKING:
    from enfold.data.builder.base import DatasetBuilder


def as_dataset(builder: DatasetBuilder, split: Any, in_memory: bool) -> Any:
    """See `DatasetBuilder.as_dataset`."""
    if builder._file_format not in (None, "arrow"):
        raise FileFormatError(f"Loading a dataset not written in the 'arrow' format is not "
                              f"supported: this one is {builder._file_format!r}. Do: "
                              f"load_dataset({builder._file_format!r}, data_files=...)")
    if builder._is_remote:
        raise NotImplementedError(f"Loading a dataset cached in a {type(builder._fs).__name__} is "
                                  f"not supported. Do: load_dataset with its files' URLs")
    if not os.path.exists(builder._output_dir):
        raise PathMissing(f"Dataset {builder.dataset_name}: could not find data in "
                          f"{builder._output_dir}. Do: call builder.download_and_prepare(), or "
                          f"load_dataset()")
    wanted = {name: name for name in builder.info.splits or {}} if split is None else split
    found = map_nested(lambda one: one_dataset(builder, one, in_memory), wanted)
    if not isinstance(found, dict):
        return found
    from enfold.data.dict import DatasetDict

    return DatasetDict(found)


def one_dataset(builder: DatasetBuilder, split: Any, in_memory: bool) -> Any:
    """The Dataset of a split, a slice or a sum of splits.  Raises DataError for no rows."""
    from enfold.data.dataset import Dataset

    splits = builder.info.splits or SplitDict()
    if isinstance(split, SplitBase):
        split = split.spec()
    if not isinstance(split, ReadInstruction):
        split = "+".join(splits) if str(split) == "all" else str(split)
    files = make_file_instructions(builder.dataset_name, splits.values(), split, "arrow",
                                   builder._output_dir).file_instructions
    features = builder.info.features
    if not files and not _rowless(split, splits):
        raise DataError(f'Instruction "{split}" corresponds to no data! The splits have '
                        f"{ {name: one.num_examples for name, one in splits.items()} } rows")
    frames = [_frame(file, in_memory, features) for file in files]
    if not frames:
        frames = [Frame.of((features or Features()).arrow_schema.empty_table())]
    return Dataset(Frame.below(frames), info=builder.info.copy(), split=Split(str(split)),
                   fingerprint=_fingerprint(builder, str(split), files))


def _frame(part: dict[str, Any], in_memory: bool, features: Features | None) -> Frame:
    path, skip, take = part["filename"], part["skip"], part["take"]
    if in_memory:
        with pa.OSFile(path) as file:  # into Arrow's memory, which its limits and counters see
            frame = Frame.of(_fitting(open_stream(file, path), features))
    else:
        table = open_file(path)
        whole = _fitting(table, features)
        frame = Frame.of(whole, path=path if whole is table else None)
    end = frame.num_rows if take == -1 else skip + take
    return frame.select(range(skip, end))


def _fitting(table: pa.Table, features: Features | None) -> pa.Table:
    if features is None or Features.from_arrow_schema(table.schema) == features:
        return table
    return cast_table(table, features)


def _rowless(split: Any, splits: Any) -> bool:
    """Whether whole splits are asked for that have no rows."""
    names = str(split).split("+")
    return all(name in splits and not splits[name].num_examples for name in names)


def _fingerprint(builder: DatasetBuilder, split: str, files: list[dict[str, Any]]) -> str:
    """Changes with the configuration, the split, and when the files are made anew."""
    made = [(stat.st_size, stat.st_mtime_ns) for stat in
            (os.stat(file["filename"]) for file in files)]
    return digest((builder._relative_data_dir(), split, made))
