"""Which builder reads what a name stands for.

    a format's name             PackagedDatasetModuleFactory
    a folder                    LocalDatasetModuleFactory
    user/name, hf://datasets/   HubDatasetModuleFactory; ...WithParquetExport where a repository
                                holds a loading script, which nothing here runs
    buckets/user/name/folder    HubBucketDatasetModuleFactory
    what the Hub can't be       CachedDatasetModuleFactory: what was prepared before
    asked for
"""

from __future__ import annotations

import os
from logging import getLogger
from pathlib import Path
from typing import Any

from enfold.data import config
from enfold.data.datafiles import (
    DataFilesDict,
    DataFilesNotFoundError,
    get_data_patterns,
    sanitize_patterns,
    storage_of,
)
from enfold.data.download import DownloadConfig, DownloadMode
from enfold.data.download.cached import one_of
from enfold.data.fingerprint import digest
from enfold.data.load import hub
from enfold.data.load.errors import DatasetNotFoundError
from enfold.data.load.files import CARD_FILES, Place, local_texts, module_of, remote_texts
from enfold.data.load.modules import (
    BuilderConfigsParameters,
    DatasetModule,
    create_builder_configs_from_metadata_configs,
)
from enfold.data.load.parquet import exported_configs
from enfold.data.packaged import MODULES, module_hash
from enfold.data.packaged.cache import cached_folders
from enfold.data.splits import camelcase_to_snakecase
from enfold.errors import ArgumentError

_log = getLogger(__name__)
WITHOUT_FILES = ("sql", "iceberg")  # formats that read from somewhere else


class PackagedDatasetModuleFactory:
    """A format by its name, with data_files or data_dir."""

    def __init__(self, name: str, data_dir: str | None = None, data_files: Any = None,
                 download_config: Any = None, download_mode: Any = None) -> None:
        self.name, self.data_dir, self.data_files = name, data_dir, data_files
        self.download_config, self.download_mode = download_config, download_mode

    def get_module(self) -> DatasetModule:
        """Raises EmptyDatasetError, FileNotFoundError."""
        arguments: dict[str, Any] = {"dataset_name": self.name}
        if self.name not in WITHOUT_FILES:
            base = self.data_dir or ""
            if "://" not in base:
                base = Path(base).expanduser().resolve().as_posix()
            patterns = sanitize_patterns(self.data_files) if self.data_files is not None else (
                get_data_patterns(base, self.download_config))
            arguments["data_files"] = DataFilesDict.from_patterns(
                patterns, base_path=base, download_config=self.download_config)
        return DatasetModule(MODULES[self.name], module_hash(self.name), arguments)


class LocalDatasetModuleFactory:
    """A folder of data files, with a README.md or without."""

    def __init__(self, path: str, data_dir: str | None = None, data_files: Any = None,
                 download_mode: Any = None) -> None:
        if data_dir and os.path.isabs(data_dir):
            raise ArgumentError(f"`data_dir` must be relative to a dataset directory's root: "
                                f"{path}. Got {data_dir}")
        self.path, self.name = Path(path).as_posix(), Path(path).stem
        self.data_dir, self.data_files, self.download_mode = data_dir, data_files, download_mode

    def get_module(self) -> DatasetModule:
        """Raises EmptyDatasetError, DataError."""
        root = Path(self.path).expanduser().resolve().as_posix()
        module = module_of(Place(self.path, root, self.data_dir, self.data_files,
                                 local_texts(root)), base_path=self.path)
        told = module.builder_configs_parameters
        # patterns tell nothing of the files, so a card's configurations take in all of them
        files = DataFilesDict.from_patterns({"all": ["**"]}, root) if told.metadata_configs else {}
        module.hash = digest([module.dataset_infos, told.builder_configs, files])
        return module


class HubDatasetModuleFactory:
    """A repository's data files at one commit."""

    def __init__(self, name: str, commit_hash: str, data_dir: str | None = None,
                 data_files: Any = None, download_config: Any = None, download_mode: Any = None,
                 use_exported_dataset_infos: bool = False,
                 files: tuple[str, ...] | None = None) -> None:
        self.name, self.commit_hash, self.data_dir = name, commit_hash, data_dir
        self.data_files, self.download_config = data_files, download_config
        self.download_mode, self.files = download_mode, files
        self.use_exported_dataset_infos = use_exported_dataset_infos

    def get_module(self) -> DatasetModule:
        """Raises DatasetNotFoundError, EmptyDatasetError, DataError."""
        repo = hub.Repository(self.name, self.commit_hash, self.files) if (
            self.files is not None) else hub.repository(self.name, self.commit_hash,
                                                        self.download_config)
        texts = {name: hub.read(repo, name, self.download_config)
                 for name in CARD_FILES if name in repo.files}
        place = Place(self.name, repo.root, self.data_dir, self.data_files, texts,
                      self.download_config)
        module = module_of(place, base_path=place.base_path, repo_id=self.name)
        module.hash = self.commit_hash
        return module


class HubDatasetModuleFactoryWithParquetExport:
    """A repository's data as the Hub converted it to Parquet, for those with a loading script."""

    def __init__(self, name: str, commit_hash: str | None = None,
                 download_config: Any = None) -> None:
        self.name, self.commit_hash, self.download_config = name, commit_hash, download_config

    def get_module(self) -> DatasetModule:
        """Raises DatasetNotFoundError where there is no conversion."""
        repo = hub.repository(self.name, hub.PARQUET, self.download_config)
        configs = exported_configs(repo)
        made, default = create_builder_configs_from_metadata_configs(
            MODULES["parquet"], configs, repo.root, download_config=self.download_config)
        arguments = {"base_path": repo.root, "repo_id": self.name,
                     "dataset_name": camelcase_to_snakecase(Path(self.name).name)}
        return DatasetModule(MODULES["parquet"], repo.commit, arguments,
                             BuilderConfigsParameters(configs, made, default))


class CachedDatasetModuleFactory:
    """A dataset of the Hub that was prepared before."""

    def __init__(self, name: str, cache_dir: str | None = None) -> None:
        self.name, self.cache_dir = name, cache_dir

    def get_module(self) -> DatasetModule:
        """Raises FileNotFoundError where it never was."""
        if not cached_folders(self.name, self.cache_dir):
            raise DatasetNotFoundError(f"Dataset {self.name} is not cached in "
                                       f"{self.cache_dir or config.setting('HF_DATASETS_CACHE')}")
        _log.warning("Using the latest cached version of the dataset since %s couldn't be found "
                     "on the Hugging Face Hub%s", self.name, " (offline mode is enabled)."
                     if config.setting("HF_HUB_OFFLINE") else "")
        arguments = {"repo_id": self.name, "dataset_name": self.name.split("/")[-1],
                     "version": "auto"}
        return DatasetModule("enfold.data.packaged.cache", "auto", arguments)


class HubBucketDatasetModuleFactory:
    """A folder of a storage bucket on the Hub: `buckets/user/name/folder`."""

    def __init__(self, path: str, data_dir: str | None = None, data_files: Any = None,
                 download_config: Any = None, download_mode: Any = None) -> None:
        self.path, self.name = Path(path).as_posix(), Path(path).stem
        self.data_dir, self.data_files = data_dir, data_files
        self.download_config, self.download_mode = download_config, download_mode

    def get_module(self) -> DatasetModule:
        """Raises EmptyDatasetError, DataError."""
        root = f"hf://{self.path}"
        texts = hub.asking(self.path, None, lambda: remote_texts(
            root, storage_of(root, self.download_config)))
        place = Place(self.path, root, self.data_dir, self.data_files, texts,
                      self.download_config)
        module = module_of(place, base_path=place.base_path)
        told = module.builder_configs_parameters
        module.hash = digest([module.dataset_infos, told.builder_configs])
        return module


def dataset_module_factory(path: str, revision: Any = None, download_config: Any = None,
                           download_mode: Any = None, data_dir: str | None = None,
                           data_files: Any = None, cache_dir: str | None = None,
                           **download_kwargs: Any) -> DatasetModule:
    """The builder's module for a format's name, a folder, or a repository; see `load_dataset`.

    download_kwargs: fields of DownloadConfig.  Raises DatasetNotFoundError, ConnectionError,
    EmptyDatasetError, DataError.
    """
    download_config = download_config or DownloadConfig(**download_kwargs)
    mode = one_of(DownloadMode, download_mode, DownloadMode.REUSE_DATASET_IF_EXISTS,
                  "download_mode")
    download_config.force_download = mode == DownloadMode.FORCE_REDOWNLOAD
    options = {"data_dir": data_dir, "data_files": data_files, "download_mode": mode}
    remote = path.startswith(("hf://datasets/", "hf://buckets/"))
    path = path.removeprefix("hf://datasets/") if path.startswith("hf://datasets/") else (
        path.removeprefix("hf://") if remote else path)
    if path in MODULES and not remote:
        return PackagedDatasetModuleFactory(path, download_config=download_config,
                                            **options).get_module()
    _refuse_scripts(path)
    if os.path.isdir(path) and not remote:
        return LocalDatasetModuleFactory(path, **options).get_module()
    if path.startswith("buckets/"):
        return HubBucketDatasetModuleFactory(path, download_config=download_config,
                                             **options).get_module()
    if os.path.isabs(path) or "://" in path or path.count("/") > 1 or path.startswith(("./", "~")):
        raise DataFilesNotFoundError(_no_such_folder(path))
    try:
        return _hub_module(path, revision, download_config, options)
    except Exception as error:
        if isinstance(error, DatasetNotFoundError) and "Revision" in str(error):
            raise
        try:
            return CachedDatasetModuleFactory(path, cache_dir).get_module()
        except DatasetNotFoundError:
            raise error from None


def _hub_module(path: str, revision: Any, download_config: Any,
                options: dict[str, Any]) -> DatasetModule:
    repo = hub.repository(path, str(revision) if revision is not None else None, download_config,
                          known=MODULES)
    script = f"{path.rsplit('/', 1)[-1]}.py"
    if script in repo.files:
        _log.warning("The repository %s has a loading script, %s, which is not run: its data is "
                     "read from the Hub's conversion to Parquet (%s)", path, script, hub.PARQUET)
        return _converted(repo, script, download_config)
    return HubDatasetModuleFactory(repo.name, repo.commit, download_config=download_config,
                                   files=repo.files, **options).get_module()


def _converted(repo: hub.Repository, script: str, download_config: Any) -> DatasetModule:
    try:
        return HubDatasetModuleFactoryWithParquetExport(repo.name, repo.commit,
                                                        download_config).get_module()
    except DatasetNotFoundError as error:
        raise RuntimeError(
            f"Dataset scripts are no longer supported, but found {script} in {repo.name}, and the "
            f"Hub has no conversion of it to Parquet. Do: ask its author for Parquet files, or "
            f"run the script once with datasets<4 and load what save_to_disk() wrote") from error


def _refuse_scripts(path: str) -> None:
    name = path.replace(os.sep, "/").rstrip("/").rsplit("/", 1)[-1]
    script = name if name.endswith(".py") else f"{name}.py"
    if name.endswith(".py") or os.path.isfile(os.path.join(path, script)):
        raise RuntimeError(f"Dataset scripts are no longer supported, but found {script}. Do: "
                           f"Dataset.from_generator() with the script's generator, or pass the "
                           f"data files to load_dataset()")


def _no_such_folder(path: str) -> str:
    full = os.path.abspath(os.path.expanduser(path)) if "://" not in path else path
    if os.path.isfile(full):
        return (f"{path} is a file, and load_dataset() takes a folder, a repository or a format. "
                f"Do: load_dataset('csv', data_files={path!r}), with the file's format")
    return (f"Couldn't find any data file at {full}. Expected a folder, a repository on the Hub "
            f"(user/name) or a format such as 'csv'")
