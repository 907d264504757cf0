"""Which files a prepared dataset's splits lie in, and which of their rows an instruction means.

    squad-train.arrow                               one file
    squad-train-00000-of-00002.arrow, ...           several: `shard_lengths` tells their rows
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from enfold.data.sources.patterns import check_split
from enfold.data.sources.splits import AbsoluteInstruction, ReadInstruction
from enfold.errors import DataError


class SplitSizes(Protocol):
    """What is needed of a SplitInfo."""

    name: str
    num_examples: int
    shard_lengths: list[int] | None


@dataclass(frozen=True)
class FileInstructions:
    """The rows to read: num_examples in all, and per file {"filename", "skip", "take"}.

    take: a number of rows, or -1 for all that follow.
    """

    num_examples: int
    file_instructions: list[dict[str, Any]]


def make_file_instructions(name: str, split_infos: Iterable[SplitSizes],
                           instruction: str | ReadInstruction, filetype_suffix: str | None = None,
                           prefix_path: str | None = None) -> FileInstructions:
    """The files and rows of a dataset's splits that an instruction means.

    name: of the dataset.  filetype_suffix: "arrow" or "parquet".  prefix_path: the files' folder.
    Raises TypeError, DataError.
    """
    if not isinstance(name, str):
        raise TypeError(f"Expected str 'name', but got: {type(name).__name__}")
    if not name:
        raise DataError("Expected non-empty str 'name'")
    infos = {info.name: info for info in split_infos}
    if not isinstance(instruction, ReadInstruction):
        instruction = ReadInstruction.from_spec(instruction)
    total, parts = 0, []
    for part in instruction.to_absolute({key: one.num_examples for key, one in infos.items()}):
        shards = infos[part.splitname].shard_lengths
        names = filenames_for_dataset_split(prefix_path or "", name, part.splitname,
                                            filetype_suffix, shards)
        for file, skip, take, rows in _taken(part, names, shards):
            parts.append({"filename": file, "skip": skip, "take": take})
            total += rows
    return FileInstructions(total, parts)


def _taken(part: AbsoluteInstruction, names: Sequence[str],
           shards: Sequence[int] | None) -> Iterable[tuple[str, int, int, int]]:
    """(file, skip, take, rows) for each file with rows in the part."""
    if shards is None:
        if part.to != part.from_:
            rows = part.to - part.from_
            yield names[0], part.from_, rows, rows
        return
    start = 0
    for name, length in zip(names, shards, strict=True):
        skip, end = max(part.from_ - start, 0), min(part.to - start, length)
        if skip < end:
            yield name, skip, -1 if part.to >= start + length else end - skip, end - skip
        start += length


def filenames_for_dataset_split(path: str, dataset_name: str, split: str,
                                filetype_suffix: str | None = None,
                                shard_lengths: Sequence[int] | None = None) -> list[str]:
    """The paths of a split's files, in order."""
    stem = os.path.join(path, filename_prefix_for_split(dataset_name, split))
    suffix = f".{filetype_suffix}" if filetype_suffix else ""
    if shard_lengths is None or len(shard_lengths) < 2:
        return [stem + suffix]
    count = len(shard_lengths)
    return [f"{stem}-{shard:05d}-of-{count:05d}{suffix}" for shard in range(count)]


def filename_prefix_for_split(name: str, split: str) -> str:
    """`squad-train` for the split "train" of "Squad".  Raises DataError for a path."""
    if os.path.basename(name) != name:
        raise DataError(f"Should be a dataset name, not a path: {name}")
    return f"{camelcase_to_snakecase(name)}-{check_split(split)}"


def camelcase_to_snakecase(name: str) -> str:
    """`my_csv_data` for "MyCSVData"."""
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z\d])([A-Z])", r"\1_\2", name).lower()


def snakecase_to_camelcase(name: str) -> str:
    """`MyCsvData` for "my_csv_data"."""
    return "".join(word.capitalize() for word in re.split(r"_+", name) if word)
