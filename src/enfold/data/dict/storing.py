"""Splits saved to folders, read from files, pushed to the Hub."""

from __future__ import annotations

import json
import os
import posixpath
from collections.abc import Mapping
from typing import Any, Self

from enfold.data.dataset import Dataset
from enfold.data.dict.splits import Splits, checked_shards
from enfold.data.features import Features
from enfold.errors import DataFileError, FileMissing
from enfold.lazy import require

_NAMES = "dataset_dict.json"
Path = str | os.PathLike[str]
Paths = Mapping[str, Path]


class Storing(Splits[Dataset]):
    """Where splits come from and go to."""

    def save_to_disk(self, dataset_dict_path: Path, max_shard_size: str | int | None = None,
                     num_shards: Mapping[str, int] | None = None, num_proc: int | None = None,
                     storage_options: dict[str, Any] | None = None) -> None:
        """Save each split to a folder of its name, in the format of `datasets`.

        dataset_dict_path: a folder or URL.  num_shards: files, by split; by default as many as
        `max_shard_size` ("500MB") makes.  storage_options: of the URL's fsspec filesystem.
        """
        checked_shards(num_shards)
        self._checked()
        where = os.fspath(dataset_dict_path)
        system, folder = _filesystem(where, storage_options)
        system.makedirs(folder, exist_ok=True)
        with system.open(posixpath.join(folder, _NAMES), "w", encoding="utf-8") as file:
            json.dump({"splits": list(self)}, file)
        for split, dataset in self.items():
            dataset.save_to_disk(
                posixpath.join(where, split), num_shards=(num_shards or {}).get(split),
                max_shard_size=max_shard_size, num_proc=num_proc, storage_options=storage_options)

    @classmethod
    def load_from_disk(cls, dataset_dict_path: Path, keep_in_memory: bool | None = None,
                       storage_options: dict[str, Any] | None = None) -> Self:
        """What `save_to_disk` saved, of this library or of `datasets`.

        Raises `FileMissing` if it is not there.
        """
        where = os.fspath(dataset_dict_path)
        system, folder = _filesystem(where, storage_options)
        names = posixpath.join(folder, _NAMES)
        if not system.isfile(names):
            one = system.isfile(posixpath.join(folder, "state.json"))
            raise _NoDictError(
                f"No such file: {names!r}. Expected to load a `DatasetDict` object, but "
                + ("got a `Dataset`. Do: load_from_disk or Dataset.load_from_disk instead" if one
                   else "provided path is not a `DatasetDict`"))
        try:
            splits = json.loads(system.cat_file(names))["splits"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataFileError(f"{names}: the list of splits can't be read: {error}. Do: save the "
                                "dataset again") from error
        return cls({split: Dataset.load_from_disk(
            posixpath.join(where, split), keep_in_memory=keep_in_memory,
            storage_options=storage_options) for split in splits})

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


class _NoDictError(FileMissing, FileNotFoundError):
    """No saved DatasetDict; also what Python raises for a file that is not there."""


def _filesystem(path: str, options: dict[str, Any] | None) -> tuple[Any, str]:
    return require("fsspec.core").url_to_fs(path, **(options or {}))  # type: ignore[no-any-return]
