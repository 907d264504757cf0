"""Splits saved to folders, read from files, pushed to the Hub."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

from enfold.data.dataset import Dataset
from enfold.data.dict.splits import Splits, checked_shards
from enfold.data.features import Features
from enfold.data.push.mixins import PushedSplits

Path = str | os.PathLike[str]
Paths = Mapping[str, Path]


class Storing(Splits[Dataset], PushedSplits):
    """Where splits come from and go to."""

    def save_to_disk(self, dataset_dict_path: Path, max_shard_size: str | int | None = None,
                     num_shards: Mapping[str, int] | None = None, num_proc: int | None = None,
                     storage_options: dict[str, Any] | None = None) -> None:
        """Save each split to a folder of its name, in the format of `datasets`.

        dataset_dict_path: a folder or URL.  num_shards: files, by split; by default as many as
        `max_shard_size` ("500MB") makes.  storage_options: of the URL's fsspec filesystem.
        """
        from enfold.data.saving import save_dataset_dict

        checked_shards(num_shards)
        self._checked()
        save_dataset_dict(self, dataset_dict_path, max_shard_size, num_shards, num_proc,
                          storage_options)

    @classmethod
    def load_from_disk(cls, dataset_dict_path: Path, keep_in_memory: bool | None = None,
                       storage_options: dict[str, Any] | None = None) -> Self:
        """What `save_to_disk` saved, of this library or of `datasets`.

        Raises `FileMissing` if it is not there.
        """
        from enfold.data.saving import load_dataset_dict

        return load_dataset_dict(  # type: ignore[no-any-return]
            cls, Dataset, dataset_dict_path, keep_in_memory, storage_options)

    @classmethod
    def from_csv(cls, path_or_paths: Paths, features: Features | None = None,
                 cache_dir: str | None = None, keep_in_memory: bool = False,
                 **kwargs: Any) -> Self:
        """Of CSV files, by split; kwargs: those of `load_dataset("csv", ..)`."""
        return cls._read("csv", path_or_paths, features, cache_dir, keep_in_memory, kwargs)

    @classmethod
    def from_json(cls, path_or_paths: Paths, features: Features | None = None,
                  cache_dir: str | None = None, keep_in_memory: bool = False,
                  **kwargs: Any) -> Self:
        """Of JSON files, by split."""
        return cls._read("json", path_or_paths, features, cache_dir, keep_in_memory, kwargs)

    @classmethod
    def from_parquet(cls, path_or_paths: Paths, features: Features | None = None,
                     cache_dir: str | None = None, keep_in_memory: bool = False,
                     columns: list[str] | None = None, **kwargs: Any) -> Self:
        """Of Parquet files, by split.  columns: read only these."""
        options = {**kwargs, "columns": columns}
        return cls._read("parquet", path_or_paths, features, cache_dir, keep_in_memory, options)

    @classmethod
    def from_text(cls, path_or_paths: Paths, features: Features | None = None,
                  cache_dir: str | None = None, keep_in_memory: bool = False,
                  **kwargs: Any) -> Self:
        """Of the lines of text files, by split."""
        return cls._read("text", path_or_paths, features, cache_dir, keep_in_memory, kwargs)

    @classmethod
    def _read(cls, kind: str, paths: Any, features: Features | None, cache_dir: str | None,
              keep_in_memory: bool, options: Mapping[str, Any]) -> Self:
        from enfold.data.load import load_dataset

        return cls(load_dataset(kind, data_files=paths, features=features, cache_dir=cache_dir,
                                keep_in_memory=keep_in_memory, **options))
