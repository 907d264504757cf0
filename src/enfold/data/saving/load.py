"""load_from_disk: saved datasets, their Arrow files mapped."""

from __future__ import annotations

import json
import logging
import os
import shutil
import tempfile
import weakref
from typing import Any

from enfold.data.config import setting
from enfold.data.features import FeatureError, Features
from enfold.data.frame import Frame, open_file, read_memory
from enfold.data.info import DatasetInfo
from enfold.data.saving.places import DICT, INFO, STATE, LocalPlace, Place, place_of
from enfold.data.splits import Split
from enfold.errors import DataFileError, FileMissing

_log = logging.getLogger(__name__)
_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"  # of an Arrow stream
Options = dict[str, Any]


class NotSaved(FileMissing, FileNotFoundError):  # noqa: N818 - as FileMissing
    """A folder that holds no saved dataset."""


class _Copy:
    """A folder of this machine that is there as long as this is."""

    def __init__(self) -> None:
        self.name = tempfile.mkdtemp(prefix="enfold-")
        weakref.finalize(self, shutil.rmtree, self.name, ignore_errors=True)


def load_from_disk(dataset_path: Any, keep_in_memory: bool | None = None,
                   storage_options: Options | None = None) -> Any:
    """The Dataset or DatasetDict that `save_to_disk` wrote to a folder or URL.

    keep_in_memory: read it rather than map its files; by default only below `IN_MEMORY_MAX_SIZE`.
    storage_options: of the URL's fsspec filesystem.
    """
    from enfold.data.dataset import Dataset
    from enfold.data.dict import DatasetDict

    place = place_of(dataset_path, storage_options)
    if not place.system.exists(place.folder):
        raise NotSaved(f"Directory {place} not found. Expected a folder that save_to_disk() wrote")
    if place.has(STATE) and place.has(INFO):
        return load_saved(Dataset, dataset_path, keep_in_memory, storage_options)
    if place.has(DICT):
        return load_dataset_dict(DatasetDict, Dataset, dataset_path, keep_in_memory,
                                 storage_options)
    raise NotSaved(f"Directory {place} is neither a `Dataset` directory nor a `DatasetDict` "
                   f"directory{_killed(place)}. Do: load_dataset() for a folder of data files")


def load_dataset_dict(kind: Any, of: Any, path: Any, keep_in_memory: bool | None = None,
                      storage_options: Options | None = None) -> Any:
    """A `kind` of the splits, each an `of`, in a folder or URL."""
    place = place_of(path, storage_options)
    if not place.has(DICT):
        place_of_one = place.has(STATE) and place.has(INFO)
        got = ("Expected to load a `DatasetDict` object, but got a `Dataset`. Please use either "
               "`load_from_disk` or `Dataset.load_from_disk` instead" if place_of_one else
               "Expected to load a `DatasetDict` object, but provided path is not a `DatasetDict`")
        raise NotSaved(f"No such file: '{place.join(str(place), DICT)}'. {got}{_killed(place)}")
    splits = _json(place, DICT).get("splits")
    if not isinstance(splits, list):
        raise DataFileError(f"{place.join(str(place), DICT)}: 'splits' is {splits!r}. Expected a "
                            "list of names. Do: save the dataset again")
    return kind({split: load_saved(of, str(place.inside(split)), keep_in_memory, storage_options)
                 for split in splits})


def load_saved(kind: Any, path: Any, keep_in_memory: bool | None = None,
               storage_options: Options | None = None) -> Any:
    """A `kind` of Dataset in a folder or URL."""
    place = place_of(path, storage_options)
    _check(place)
    holds: tuple[Any, ...] = ()
    if not isinstance(place, LocalPlace):
        copy = _Copy()
        place.system.get(place.folder.rstrip("/") + "/", copy.name, recursive=True)
        place, holds = LocalPlace(copy.name), (copy,)
    elif place.leftovers():
        _log.warning("%s: a save to this folder is at work or was killed. What is loaded is what "
                     "was saved before it", place)
    state = _json(place, STATE)
    try:
        files = [os.path.join(place.folder, file["filename"]) for file in state["_data_files"]]
        info = DatasetInfo.from_dict(_json(place, INFO))
        frame, features = _frame(files, info, keep_in_memory, holds)
        split = state["_split"]
        dataset = kind._loaded(frame, features, info, Split(split) if split is not None else None,
                               durable=not holds and _mapped(frame), origin=str(path),
                               fingerprint=state["_fingerprint"])
        dataset.set_format(state["_format_type"], state["_format_columns"],
                           state["_output_all_columns"], **state["_format_kwargs"])
    except KeyError as error:
        raise DataFileError(f"{place.join(str(place), STATE)}: has no {error}. Expected what "
                            "save_to_disk() writes. Do: save the dataset again") from error
    return dataset


def _check(place: Place) -> None:
    """Raise NotSaved unless a Dataset is saved there."""
    missing = [f"'{place.join(str(place), name)}'" for name in (INFO, STATE)
               if not place.has(name)]
    if not missing:
        return
    got = ("but got a `DatasetDict`. Please use either `load_from_disk` or "
           "`DatasetDict.load_from_disk` instead" if place.has(DICT)
           else "but provided path is not a `Dataset`")
    files = "No such file: " if len(missing) == 1 else "No such files: "
    raise NotSaved(f"{files}{', nor '.join(missing)} found. Expected to load a `Dataset` object, "
                   f"{got}{_killed(place)}")


def _killed(place: Place) -> str:
    if not place.leftovers():
        return ""
    return ". A save to it was begun and never finished: nothing was saved there before it"


def _json(place: Place, name: str) -> dict[str, Any]:
    try:
        found = json.loads(place.read(name))
    except ValueError as error:
        raise DataFileError(f"{place.join(str(place), name)}: is not JSON: {error}. Do: save the "
                            "dataset again") from error
    if not isinstance(found, dict):
        raise DataFileError(f"{place.join(str(place), name)}: holds a {type(found).__name__}. "
                            "Expected a JSON object")
    return found


def _frame(files: list[str], info: DatasetInfo, keep_in_memory: bool | None,
           holds: tuple[Any, ...]) -> tuple[Frame, Features]:
    for path in files:
        _check_whole(path)
    if keep_in_memory is None:
        keep_in_memory = sum(map(os.path.getsize, files)) < setting("IN_MEMORY_MAX_SIZE")
    tables = [read_memory(path) if keep_in_memory else open_file(path) for path in files]
    if not tables:
        features = info.features or Features()
        return Frame.of(features.arrow_schema.empty_table()), features
    frames = [Frame.of(table, holds, None if keep_in_memory else path)
              for table, path in zip(tables, files, strict=True)]
    return Frame.below(frames), _features(info, tables[0], files[0])


def _features(info: DatasetInfo, table: Any, path: str) -> Features:
    """The features of dataset_info.json; those of the data if the two do not fit."""
    from enfold.data.dataset.origin import agreed

    found = Features.from_arrow_schema(table.schema)
    if info.features is None:
        return found
    try:
        return agreed(info.features, found)
    except FeatureError as error:
        _log.warning("%s: what dataset_info.json says of its columns does not fit: %s. They are "
                     "read as the file says", path, error)
        return found


def _check_whole(path: str) -> None:
    """Raise DataFileError for an Arrow stream that was cut off, also between two batches."""
    try:
        with open(path, "rb") as file:
            head = file.read(6)
            file.seek(-min(8, os.path.getsize(path)), os.SEEK_END)
            tail = file.read()
    except FileNotFoundError as error:
        raise DataFileError(f"{path}: is named by state.json and is not there. Do: save the "
                            "dataset again, or copy the whole folder") from error
    if not head or (head.startswith(_END[:4]) and tail != _END):
        raise DataFileError(f"{path}: the file is cut off: it lacks the end of an Arrow stream. "
                            "Do: save the dataset again, or copy the whole folder anew")


def _mapped(frame: Frame) -> bool:
    return all(column.files is not None for column in frame.columns.values())
