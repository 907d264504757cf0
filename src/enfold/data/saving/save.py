"""save_to_disk: shards of Arrow streams, written by one process or several."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from enfold.data.dicts import asdict
from enfold.data.executor import Progress, run_parallel
from enfold.data.features import Features
from enfold.data.features.arrow import needs_embedding
from enfold.data.frame import Frame
from enfold.data.frame.files import BYTES, ROWS, BatchWriter
from enfold.data.io.embedding import NamedFileMissing, embedded
from enfold.data.io.ordered import Stretch
from enfold.data.io.sizes import estimate_nbytes, shard_count
from enfold.data.io.target import failed, is_url
from enfold.data.saving.places import Draft, LocalPlace, Place, place_of
from enfold.errors import DataError
from enfold.lazy import require

Options = dict[str, Any]
_CUT = 16  # a progress report per so many parts of a shard


def save_dataset(dataset: Any, path: Any, max_shard_size: int | str | None = None,
                 num_shards: int | None = None, num_proc: int | None = None,
                 storage_options: Options | None = None) -> None:
    """Save to a folder or URL, as `Dataset.save_to_disk` says."""
    place = place_of(path, storage_options)
    dataset.cache()  # what is left to run: its errors are not the folder's
    with _told(place), ExitStack() as stack:
        staged = _Staged(dataset, place, stack, max_shard_size, num_shards, num_proc)
        staged.write(num_proc)
        staged.publish()


def save_dataset_dict(splits: Mapping[str, Any], path: Any,
                      max_shard_size: int | str | None = None,
                      num_shards: Mapping[str, int | None] | None = None,
                      num_proc: int | None = None, storage_options: Options | None = None) -> None:
    """Save each split to a folder below, as `DatasetDict.save_to_disk` says."""
    if num_shards is not None and not isinstance(num_shards, Mapping):
        raise DataError(f"save_to_disk: got num_shards={num_shards!r}. Please provide one "
                        "`num_shards` per dataset in the dataset dictionary, e.g. {'train': 128, "
                        "'test': 4}")
    counts = dict(num_shards or {})
    place = place_of(path, storage_options)
    for dataset in splits.values():
        dataset.cache()
    with _told(place), place.made(), ExitStack() as stack:
        staged = [_Staged(dataset, place.inside(split), stack, max_shard_size, counts.get(split),
                          num_proc) for split, dataset in splits.items()]
        for one in staged:
            one.write(num_proc)
        for one in staged:
            one.publish()
        place.publish_dict(json.dumps({"splits": list(splits)}).encode())


class _Staged:
    """A dataset on its way into a folder."""

    def __init__(self, dataset: Any, place: Place, stack: ExitStack,
                 max_shard_size: int | str | None, num_shards: int | None,
                 num_proc: int | None) -> None:
        if max_shard_size is not None and num_shards is not None:
            raise DataError("save_to_disk: please specify either max_shard_size or num_shards, but "
                            "not both.")
        if dataset._indexes:
            raise DataError("save_to_disk: search indexes are not saved with a dataset. Please "
                            "remove all the indexes using `dataset.drop_index` before saving a "
                            "dataset; save_faiss_index() saves one")
        self.dataset, self.place = dataset, place
        self.format_kwargs = _jsonable(dataset.format["format_kwargs"])
        nbytes = estimate_nbytes(dataset)
        if num_shards is None:
            count = shard_count(nbytes, max_shard_size, num_proc)
            num_shards = max(1, min(len(dataset), count))
        self.row_bytes = nbytes // max(1, len(dataset))
        _not_itself(dataset, place)
        names = [f"data-{number:05d}-of-{num_shards:05d}.arrow" for number in range(num_shards)]
        self.draft: Draft = stack.enter_context(place.draft(names))

    def write(self, num_proc: int | None) -> None:
        """Write the shards."""
        rows, count = len(self.dataset), len(self.draft.names)
        size, more = divmod(rows, count)
        starts = [size * number + min(number, more) for number in range(count + 1)]
        tasks = list(enumerate(pairwise(starts)))
        batch = max(1, min(ROWS, BYTES // max(1, self.row_bytes)))
        job = _Job(self.dataset, self.draft.paths(), self.place.options, batch)
        with Progress(rows, f"Saving the dataset ({count} shards)") as bar:
            run_parallel(job, tasks, num_proc or 1, on_result=_nothing, on_progress=bar)

    def publish(self) -> None:
        """Let it be what is read from the folder."""
        dataset, shown = self.dataset, self.dataset._format
        state = {"_data_files": [{"filename": name} for name in self.draft.names],
                 "_fingerprint": dataset._node.fingerprint,  # of the data, without its format
                 "_format_columns": None if shown.columns is None else list(shown.columns),
                 "_format_kwargs": self.format_kwargs, "_format_type": shown.type,
                 "_output_all_columns": shown.output_all_columns,
                 "_split": None if dataset.split is None else str(dataset.split)}
        known = asdict(dataset.info)
        info = {name: known[name] for name in sorted(known)}  # the order of features stays
        self.place.publish(self.draft, json.dumps(info, indent=2).encode(),
                           json.dumps(state, indent=2, sort_keys=True).encode())


class _Job:
    """Writes shards; task: (number, (first row, the one after the last))."""

    def __init__(self, dataset: Any, paths: list[str], options: Options | None,
                 batch: int) -> None:
        self.dataset, self.paths, self.options, self.batch = dataset, paths, options, batch

    def open(self, rank: int) -> None:
        """Nothing: the dataset comes with the job."""

    def run(self, task: tuple[int, Stretch], progress: Callable[[int], None]) -> None:
        number, (start, stop) = task
        path = self.paths[number]
        if is_url(path):
            with require("fsspec").open(path, "wb", **(self.options or {})) as file:
                self._write(pa.PythonFile(file), start, stop, progress)
            return
        with pa.OSFile(path, "wb") as sink:
            self._write(sink, start, stop, progress)

    def _write(self, sink: IO[bytes], start: int, stop: int,
               progress: Callable[[int], None]) -> None:
        features: Features = self.dataset.features
        frame: Frame = self.dataset._frame
        embed = any(map(needs_embedding, features.values()))
        writer = BatchWriter(sink, features.arrow_schema, stream=True)
        for table in frame.batches(self.batch, start, stop):
            writer.add(embedded(table, features, remote_files=False) if embed else table)
            progress(table.num_rows)
        writer.close()


def _nothing(index: int, result: None) -> None:
    pass


@contextmanager
def _told(place: Place) -> Iterator[None]:
    """What a file system objects to, said with the folder and what is left there."""
    try:
        yield
    except OSError as error:
        if isinstance(error, (PermissionError, NamedFileMissing)) or not error.errno:
            raise
        raise failed(str(place), error) from error


def _jsonable(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    for name, value in kwargs.items():
        try:
            json.dumps(value)
        except TypeError as error:
            raise TypeError(f"save_to_disk: {error}. The format kwargs must be JSON serializable, "
                            f"but key '{name}' isn't. Do: reset_format() first") from None
    return dict(kwargs)


def _not_itself(dataset: Any, place: Place) -> None:
    if not isinstance(place, LocalPlace):
        return
    folder = place.path.resolve()
    if any(Path(file["filename"]).resolve().parent == folder for file in dataset.cache_files):
        raise PermissionError(f"Tried to overwrite {os.fspath(folder)} but a dataset can't "
                              "overwrite itself. Do: save it to another folder")
