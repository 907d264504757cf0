"""`datasets.io.abc`: a reader of files of one format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from enfold.data.features import Features
from enfold.data.io.readers import read_files


class AbstractDatasetReader:
    """`read()` gives a dataset, of a dict {split: paths} a dict of them."""

    kind: ClassVar[str]

    def __init__(self, path_or_paths: Any, split: Any = None, features: Features | None = None,
                 cache_dir: Any = None, keep_in_memory: bool = False, streaming: bool = False,
                 num_proc: int | None = None, **kwargs: Any) -> None:
        self.path_or_paths, self.features, self.cache_dir = path_or_paths, features, cache_dir
        self.split = split if split or isinstance(path_or_paths, Mapping) else "train"
        self.keep_in_memory, self.streaming, self.num_proc = keep_in_memory, streaming, num_proc
        self.kwargs = kwargs

    def read(self) -> Any:
        """The dataset."""
        return read_files(self.kind, self.path_or_paths, self.split, self.features,
                          self.cache_dir, self.keep_in_memory, self.streaming, self.num_proc,
                          **self.kwargs)


class DatasetWriter:
    """`write()` gives what the dataset's own method returns."""

    method: ClassVar[str]

    def __init__(self, dataset: Any, *place: Any, num_proc: int | None = None,
                 **kwargs: Any) -> None:
        from enfold.data.io.ordered import processes

        processes(num_proc)
        self.dataset, self.place = dataset, place
        self.kwargs = kwargs if num_proc is None else {"num_proc": num_proc, **kwargs}

    def write(self) -> int:
        """Write the rows."""
        method = getattr(self.dataset, self.method)
        return method(*self.place, **self.kwargs)  # type: ignore[no-any-return]
