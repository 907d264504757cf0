"""A dataset that was prepared before, found again in the cache: what is left when offline."""

from __future__ import annotations

import glob
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from logging import getLogger
from pathlib import Path
from typing import Any

import pyarrow as pa

from enfold.data.builder import ArrowBasedBuilder, BuilderConfig, Key, cache_root
from enfold.data.features import Features
from enfold.data.frame import open_file
from enfold.data.info import DatasetInfo
from enfold.data.splits import (
    SplitDict,
    SplitGenerator,
    camelcase_to_snakecase,
    filenames_for_dataset_split,
)
from enfold.errors import DataError

_log = getLogger(__name__)


def cached_folders(name: str, cache_dir: Any = None, config_id: str = "*") -> list[Path]:
    """The folders of prepared configurations of a dataset or repository, oldest first."""
    *namespace, last = name.split("/")
    place = "___".join([*namespace, camelcase_to_snakecase(last)])
    root = glob.escape(cache_root(cache_dir))
    found = [Path(path) for one in [place, *([] if namespace else [f"*___{place}"])]
             for path in glob.glob(os.path.join(root, one, config_id, "*", "*"))]
    return sorted((path for path in found if path.is_dir()), key=_time)


def _time(folder: Path) -> float:
    return folder.stat().st_mtime


class Cache(ArrowBasedBuilder):
    """`version="auto", hash="auto"` take the configuration that was prepared last.

    Raises DataError where there is none, or several to choose from.
    """

    def __init__(self, cache_dir: str | None = None, dataset_name: str | None = None,
                 config_name: str | None = None, version: str | None = "0.0.0",
                 hash: str | None = None, base_path: str | None = None,
                 info: DatasetInfo | None = None, features: Features | None = None,
                 token: bool | str | None = None, repo_id: str | None = None,
                 data_files: Any = None, data_dir: str | None = None,
                 storage_options: dict[str, Any] | None = None,
                 writer_batch_size: int | None = None, **config_kwargs: Any) -> None:
        name = repo_id or dataset_name
        if name is None:
            raise DataError("repo_id or dataset_name is required for the Cache dataset builder")
        given = {"data_files": data_files, "data_dir": data_dir}
        config_kwargs |= {key: value for key, value in given.items() if value is not None}
        if (hash == "auto") != (version == "auto"):
            raise NotImplementedError("Cache: pass both hash='auto' and version='auto', or both "
                                      "as they are in the cache")
        if hash == "auto":
            config_name, version, hash = _find(name, config_name, cache_dir, config_kwargs,
                                               features)
        super().__init__(cache_dir=cache_dir, dataset_name=dataset_name, config_name=config_name,
                         version=version, hash=hash, base_path=base_path, info=info, token=token,
                         repo_id=repo_id, storage_options=storage_options,
                         writer_batch_size=writer_batch_size)

    def _info(self) -> DatasetInfo:
        return DatasetInfo()

    def download_and_prepare(self, output_dir: Any = None, *args: Any,  # type: ignore[override]
                             **kwargs: Any) -> None:
        """Nothing is left to prepare.  Raises DataError where the folder is gone."""
        if not os.path.exists(self.cache_dir):
            raise DataError(f"Cache directory for {self.dataset_name} doesn't exist at "
                            f"{self.cache_dir}")
        if output_dir is not None and output_dir != self.cache_dir:
            shutil.copytree(self.cache_dir, output_dir)

    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        if not isinstance(self.info.splits, SplitDict):
            raise DataError(f"Missing splits info for {self.dataset_name} in cache directory "
                            f"{self.cache_dir}")
        return [SplitGenerator(split.name, {"files": filenames_for_dataset_split(
            self.cache_dir, dataset_name=self.dataset_name, split=split.name,
            filetype_suffix="arrow", shard_lengths=split.shard_lengths)})
            for split in self.info.splits.values()]

    def _generate_shards(self, files: Sequence[str]  # type: ignore[override]
                         ) -> Iterator[Any]:
        yield from files

    def _generate_tables(self, files: Sequence[str]  # type: ignore[override]
                         ) -> Iterator[tuple[Key, pa.Table]]:
        for number, file in enumerate(files):
            for part, batch in enumerate(open_file(file).to_batches()):
                yield Key(number, part), pa.Table.from_batches([batch])


def _find(name: str, name_of: str | None, cache_dir: Any, options: dict[str, Any],
          features: Features | None) -> tuple[str, str, str]:
    """(configuration, version, hash) of the folder that was prepared last."""
    wanted = BuilderConfig(name_of or "default").create_config_id(
        config_kwargs=options, custom_features=features) if name_of or options or features else None
    custom = bool(options or features)
    found = [folder for folder in cached_folders(name, cache_dir, wanted or "*")
             if custom or _is_plain(folder)]
    if not found:
        known = sorted({folder.parts[-3] for folder in cached_folders(name, cache_dir)})
        raise DataError(f"Couldn't find cache for {name}"
                        + (f" for config '{wanted}'" if wanted else "")
                        + (f"\nAvailable configs in the cache: {known}" if known else ""))
    last = found[-1]
    others = sorted({folder.parts[-3] for folder in found if folder.parts[-2:] == last.parts[-2:]})
    if not wanted and len(others) > 1:
        raise DataError(f"There are multiple '{name}' configurations in the cache: "
                        f"{', '.join(others)}\nPlease specify which configuration to reload from "
                        f"the cache, e.g.\n\tload_dataset('{name}', '{others[0]}')")
    _log.warning("Found the latest cached dataset configuration '%s' at %s (last modified on %s).",
                 last.parts[-3], last, time.ctime(_time(last)))
    return last.parts[-3], last.parts[-2], last.parts[-1]


def _is_plain(folder: Path) -> bool:
    """Whether it was prepared without extra parameters: then it is called as the configuration."""
    info = folder / "dataset_info.json"
    return info.exists() and json.loads(info.read_text("utf-8"))["config_name"] == folder.parts[-3]
