"""`DatasetBuilder`: a configuration, its cache folder, and what makes and reads what is in it.

    <cache>/<name>/<config id>/<version>/<hash>/dataset_info.json
                                                <name>-train.arrow
"""

from __future__ import annotations

import os
import posixpath
from abc import ABC, abstractmethod
from inspect import getfile, getmodule, signature
from logging import getLogger
from pathlib import Path
from typing import Any, ClassVar

from enfold.data import config
from enfold.data.builder import configuring, prepare, reading, streams
from enfold.data.builder.config import BuilderConfig
from enfold.data.builder.verify import VerificationMode
from enfold.data.download import DownloadConfig, DownloadManager, DownloadMode
from enfold.data.features import Features
from enfold.data.info import DatasetInfo
from enfold.data.sources.opening import is_url
from enfold.data.splits import SplitGenerator, camelcase_to_snakecase
from enfold.errors import DataError, EnfoldError
from enfold.lazy import require

_log = getLogger(__name__)


class ClassProperty(property):
    """A property of a class."""

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self.fget(owner)  # type: ignore[misc]


class DatasetBuilder(ABC):
    """Makes a dataset's files, once, and reads them.

    cache_dir: where prepared datasets lie.  dataset_name: if it is another than the builder's.
    config_name: one of BUILDER_CONFIGS, or a new one.  hash: part of the cache folder, changes with
    the builder's code.  base_path: of relative paths.  info, features: in the place of what
    `_info` tells.  token, storage_options: to read remote files.  repo_id: the Hub's name of it.
    data_files, data_dir: what it is made of.  writer_batch_size: rows of a record batch.
    config_kwargs: fields of the configuration.
    """

    VERSION: ClassVar[Any] = None
    BUILDER_CONFIG_CLASS: ClassVar[Any] = BuilderConfig
    BUILDER_CONFIGS: ClassVar[list[Any]] = []
    DEFAULT_CONFIG_NAME: ClassVar[str | None] = None
    DEFAULT_WRITER_BATCH_SIZE: ClassVar[int | None] = None

    def __init__(self, cache_dir: str | os.PathLike[str] | None = None,
                 dataset_name: str | None = None, config_name: str | None = None,
                 hash: str | None = None, base_path: str | None = None,
                 info: DatasetInfo | None = None, features: Features | None = None,
                 token: bool | str | None = None, repo_id: str | None = None,
                 data_files: Any = None, data_dir: str | None = None,
                 storage_options: dict[str, Any] | None = None,
                 writer_batch_size: int | None = None, config_id: str | None = None,
                 **config_kwargs: Any) -> None:
        self.name = camelcase_to_snakecase(type(self).__module__.split(".")[-1])
        self.hash, self.base_path, self.token, self.repo_id = hash, base_path, token, repo_id
        self.storage_options = storage_options or {}
        self.dataset_name = camelcase_to_snakecase(dataset_name) if dataset_name else self.name
        self._writer_batch_size = writer_batch_size or self.DEFAULT_WRITER_BATCH_SIZE
        given = dict(config_kwargs)
        if features is not None and "features" in signature(self.BUILDER_CONFIG_CLASS).parameters:
            given["features"] = features
        if data_files is not None:
            given["data_files"] = configuring.resolved(self, data_files)
        if data_dir is not None:
            given["data_dir"] = data_dir
        self.config_kwargs = given
        self.config, self.config_id = self._create_builder_config(
            config_name=config_name, custom_features=features, config_id=config_id, **given)
        configuring.check_files(self)
        self.info = self._filled(info if info is not None else self._info(), features)
        self._cache_dir_root = cache_root(cache_dir)
        self._cache_downloaded_dir = posixpath.join(
            self._cache_dir_root, config.DOWNLOADED_DATASETS_DIR) if cache_dir else str(
                config.setting("DOWNLOADED_DATASETS_PATH"))
        self._cache_dir = self._build_cache_dir()
        self._load_known_info()
        self._output_dir = self._cache_dir
        self._fs: Any = require("fsspec").filesystem("file")
        self.dl_manager: Any = None
        self._record_checksums = False
        self._file_format: str | None = None

    # -- what a builder defines

    @abstractmethod
    def _info(self) -> DatasetInfo:
        """What is known of the dataset before it is made."""

    @abstractmethod
    def _split_generators(self, dl_manager: Any) -> list[SplitGenerator]:
        """The splits, with the arguments to make each; downloads what that needs."""

    @abstractmethod
    def _prepare_split(self, split_generator: SplitGenerator, file_format: str = "arrow",
                       num_proc: int | None = None, max_shard_size: int | str | None = None,
                       **kwargs: Any) -> None:
        """Write the files of a split to `self._output_dir`, and tell their rows."""

    def _get_examples_iterable_for_split(self, split_generator: SplitGenerator) -> Any:
        """The rows of a split as the source of an IterableDataset."""
        raise NotImplementedError(f"{type(self).__name__} has no rows to stream. Do: use a "
                                  f"GeneratorBasedBuilder or ArrowBasedBuilder")

    def _make_split_generators_kwargs(self, prepare_split_kwargs: dict[str, Any]) -> dict[str, Any]:
        """More arguments for `_split_generators`."""
        return {}

    # -- making and reading

    def download_and_prepare(self, output_dir: str | os.PathLike[str] | None = None,
                             download_config: DownloadConfig | None = None,
                             download_mode: DownloadMode | str | None = None,
                             verification_mode: VerificationMode | str | None = None,
                             dl_manager: DownloadManager | None = None,
                             base_path: str | None = None, file_format: str = "arrow",
                             max_shard_size: int | str | None = None,
                             num_proc: int | None = None,
                             storage_options: dict[str, Any] | None = None,
                             **download_and_prepare_kwargs: Any) -> None:
        """Make the dataset's files, unless they are there and whole.

        output_dir: a folder or URL (default: the cache folder).  download_mode,
        verification_mode: see there.  file_format: "arrow" or "parquet".  max_shard_size: of a
        file, in bytes or as "500MB".  num_proc: processes.  storage_options: of the output's
        filesystem.  Raises DatasetGenerationError and what downloads raise.
        """
        prepare.download_and_prepare(
            self, output_dir, download_config, download_mode, verification_mode, dl_manager,
            base_path, file_format, storage_options, max_shard_size=max_shard_size,
            num_proc=num_proc, **download_and_prepare_kwargs)

    def _download_and_prepare(self, dl_manager: Any, verification_mode: VerificationMode,
                              **prepare_split_kwargs: Any) -> None:
        prepare.prepare_splits(self, dl_manager, verification_mode, prepare_split_kwargs)

    def as_dataset(self, split: Any = None, in_memory: bool = False) -> Any:
        """The prepared dataset: a Dataset for a split, slice or sum of splits, else a DatasetDict.

        split: also a list of them.  in_memory: read the files instead of mapping them.  Raises
        PathMissing where nothing is prepared, FileFormatError.
        """
        return reading.as_dataset(self, split, in_memory)

    def as_streaming_dataset(self, split: Any = None, base_path: str | None = None) -> Any:
        """The rows as they are made: an IterableDataset for a split, else an IterableDatasetDict.

        split: a split, a sum of splits or "all".  Raises DataError for others.  The paths that
        `_generate_examples` gets may be URLs: `enfold.data.download.xopen` opens both.
        """
        return streams.as_streaming_dataset(self, split, base_path)

    def _as_streaming_dataset_single(self, splits_generator: SplitGenerator) -> Any:
        return streams.one_split(self, splits_generator)

    # -- names and places

    @ClassProperty
    def builder_configs(cls: Any) -> dict[str, Any]:  # noqa: N805
        """The named configurations.  Raises DataError for two of one name."""
        configs = {one.name: one for one in cls.BUILDER_CONFIGS}
        if len(configs) < len(cls.BUILDER_CONFIGS):
            raise DataError(f"Names in BUILDER_CONFIGS must not be duplicated. Got "
                            f"{[one.name for one in cls.BUILDER_CONFIGS]}")
        return configs

    @property
    def cache_dir(self) -> str:
        """The folder of the prepared dataset."""
        return self._cache_dir

    @classmethod
    def get_imported_module_dir(cls) -> str:
        """The folder of the builder's module."""
        return os.path.dirname(getfile(getmodule(cls) or cls))

    def _relative_data_dir(self, with_version: bool = True, with_hash: bool = True) -> str:
        namespace, slash, _ = (self.repo_id or "").partition("/")
        parts = [f"{namespace}___{self.dataset_name}" if slash else self.dataset_name,
                 self.config_id]
        if with_version:
            parts.append(str(self.config.version))
        if with_hash and isinstance(self.hash, str) and self.hash:
            parts.append(self.hash)
        return posixpath.join(*parts)

    def _build_cache_dir(self) -> str:
        return posixpath.join(self._cache_dir_root, self._relative_data_dir())

    @property
    def _is_remote(self) -> bool:
        local = require("fsspec.implementations.local").LocalFileSystem
        return not isinstance(self._fs, local)

    def _rename(self, src: str, dst: str) -> None:
        if self._is_remote:
            self._fs.mv(src, dst, recursive=True)
        else:
            os.replace(src, dst)

    def _load_info(self) -> DatasetInfo:
        return DatasetInfo.from_directory(self._output_dir, self._fs.storage_options)

    def _save_info(self) -> None:
        self.info.write_to_directory(self._output_dir, storage_options=self._fs.storage_options)

    def _downloads(self) -> DownloadConfig:
        return DownloadConfig(token=self.token, storage_options=dict(self.storage_options))

    def _create_builder_config(self, config_name: str | None = None,
                               custom_features: Features | None = None,
                               config_id: str | None = None,
                               **config_kwargs: Any) -> tuple[Any, str]:
        """The configuration and the name of its cache folder.  Raises DataError."""
        return configuring.create(self, config_name, custom_features, config_id, config_kwargs)

    def _filled(self, info: DatasetInfo, features: Features | None) -> DatasetInfo:
        info.builder_name, info.dataset_name = self.name, self.dataset_name
        info.config_name, info.version = self.config.name, self.config.version
        if features is not None:
            info.features = features
        info.__post_init__()
        return info

    def _load_known_info(self) -> None:
        """The info of the dataset if it is prepared already."""
        path = Path(self._cache_dir) / config.DATASET_INFO_FILENAME
        if not is_url(self._cache_dir) and path.is_file():
            try:
                self.info = DatasetInfo.from_directory(self._cache_dir)
            except EnfoldError as error:  # it will be made again
                _log.warning("%s is not used: %s", path, error)


def cache_root(cache_dir: str | os.PathLike[str] | None = None) -> str:
    """The folder of prepared datasets."""
    root = str(cache_dir or config.setting("HF_DATASETS_CACHE"))
    return root if is_url(root) else os.path.expanduser(root)
