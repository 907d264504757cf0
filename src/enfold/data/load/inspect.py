"""What a dataset has, without its data being prepared: configurations, splits, infos."""

from __future__ import annotations

import os
from typing import Any

from enfold.data.download import DownloadConfig, StreamingDownloadManager
from enfold.data.info import DatasetInfo
from enfold.data.load.dataset import DataFiles, load_dataset_builder
from enfold.data.load.factories import dataset_module_factory
from enfold.data.load.modules import get_dataset_builder_class
from enfold.errors import DataError


class SplitsNotFoundError(DataError):
    """The names of a configuration's splits can't be told."""


def get_dataset_infos(path: str, data_files: Any = None, download_config: Any = None,
                      download_mode: Any = None, revision: Any = None,
                      token: bool | str | None = None, **config_kwargs: Any
                      ) -> dict[str, DatasetInfo]:
    """{configuration: its DatasetInfo}; the arguments are those of `load_dataset`."""
    common: dict[str, Any] = {
        "data_files": data_files, "download_config": download_config,
        "download_mode": download_mode, "revision": revision, "token": token}
    return {name: get_dataset_config_info(path, name, **common, **config_kwargs)
            for name in get_dataset_config_names(path, **common)}


def get_dataset_config_names(path: str, revision: Any = None, download_config: Any = None,
                             download_mode: Any = None, data_files: Any = None,
                             **download_kwargs: Any) -> list[str]:
    """The configurations of a dataset.  download_kwargs: of DownloadConfig, such as token."""
    module, builder = _found(path, revision, download_config, download_mode, data_files,
                             download_kwargs)
    return list(builder.builder_configs) or [
        module.builder_kwargs.get("config_name", builder.DEFAULT_CONFIG_NAME or "default")]


def get_dataset_default_config_name(path: str, revision: Any = None, download_config: Any = None,
                                    download_mode: Any = None, data_files: Any = None,
                                    **download_kwargs: Any) -> str | None:
    """The configuration meant where none is named; None where there are several."""
    _, builder = _found(path, revision, download_config, download_mode, data_files,
                        download_kwargs)
    names = list(builder.builder_configs)
    only = names[0] if len(names) == 1 else "default" if not names else None
    return builder.DEFAULT_CONFIG_NAME or only


def _found(path: str, revision: Any, download_config: Any, download_mode: Any, data_files: Any,
           download_kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """The module and the builder's class."""
    module = dataset_module_factory(
        path, revision=revision, download_config=download_config, download_mode=download_mode,
        data_files=data_files, **download_kwargs)
    return module, get_dataset_builder_class(module, dataset_name=os.path.basename(path))


def get_dataset_config_info(path: str, config_name: str | None = None,
                            data_files: DataFiles | None = None, download_config: Any = None,
                            download_mode: Any = None, revision: Any = None,
                            token: bool | str | None = None, **config_kwargs: Any) -> DatasetInfo:
    """What is known of a configuration.  Raises SplitsNotFoundError."""
    builder = load_dataset_builder(
        path, name=config_name, data_files=data_files, download_config=download_config,
        download_mode=download_mode, revision=revision, token=token, **config_kwargs)
    info: DatasetInfo = builder.info
    if info.splits is None:
        used = download_config.copy() if download_config else DownloadConfig()
        if token is not None:
            used.token = token
        manager = StreamingDownloadManager(base_path=builder.base_path, download_config=used)
        try:
            found = builder._split_generators(manager)
        except Exception as error:
            raise SplitsNotFoundError(f"The split names could not be parsed from the dataset "
                                      f"config: {error}") from error
        info.splits = {split.name: {"name": split.name,  # type: ignore[assignment]
                                    "dataset_name": path} for split in found}
    return info


def get_dataset_split_names(path: str, config_name: str | None = None,
                            data_files: DataFiles | None = None, download_config: Any = None,
                            download_mode: Any = None, revision: Any = None,
                            token: bool | str | None = None, **config_kwargs: Any) -> list[str]:
    """The splits of a configuration.  Raises SplitsNotFoundError."""
    info = get_dataset_config_info(
        path, config_name=config_name, data_files=data_files, download_config=download_config,
        download_mode=download_mode, revision=revision, token=token, **config_kwargs)
    return list(info.splits or ())
