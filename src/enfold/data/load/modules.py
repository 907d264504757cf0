"""What the factories find: a builder's module with the arguments for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from logging import getLogger
from typing import Any

from enfold.data.datafiles import (
    DataFilesPatternsDict,
    EmptyDatasetError,
    get_data_patterns,
    sanitize_patterns,
)
from enfold.data.info import DatasetInfosDict, MetadataConfigs
from enfold.data.packaged import import_main_class, known_extensions
from enfold.data.splits import snakecase_to_camelcase
from enfold.errors import DataError

_log = getLogger(__name__)


@dataclass
class BuilderConfigsParameters:
    """The configurations of a dataset: as its card says them, and made for the builder."""

    metadata_configs: MetadataConfigs | None = None
    builder_configs: list[Any] | None = None
    default_config_name: str | None = None


@dataclass
class DatasetModule:
    """The module of a builder, what changes with the data, and the builder's arguments."""

    module_path: str
    hash: str
    builder_kwargs: dict[str, Any]
    builder_configs_parameters: BuilderConfigsParameters = field(
        default_factory=BuilderConfigsParameters)
    dataset_infos: DatasetInfosDict | None = None


def get_dataset_builder_class(dataset_module: DatasetModule,
                              dataset_name: str | None = None) -> Any:
    """The builder's class, with the dataset's configurations where it has some."""
    found = import_main_class(dataset_module.module_path)
    told = dataset_module.builder_configs_parameters
    if not told.builder_configs:
        return found
    name = dataset_name or dataset_module.builder_kwargs.get("dataset_name")
    if name is None:
        raise DataError("dataset_name should be specified but got None")
    return configure_builder_class(found, told.builder_configs, told.default_config_name, name)


def configure_builder_class(builder_cls: Any, builder_configs: Sequence[Any],
                            default_config_name: str | None, dataset_name: str) -> Any:
    """A subclass of a builder with these configurations; its instances can be pickled."""
    def reduce(self: Any) -> tuple[Any, ...]:
        made = (builder_cls, self.BUILDER_CONFIGS, self.DEFAULT_CONFIG_NAME, self.dataset_name)
        return _unpickled, made, self.__dict__.copy()

    name = builder_cls.__name__.lower().capitalize() + snakecase_to_camelcase(dataset_name)
    return type(name, (builder_cls,), {
        "BUILDER_CONFIGS": builder_configs, "DEFAULT_CONFIG_NAME": default_config_name,
        "__module__": builder_cls.__module__, "__reduce__": reduce,
        "__doc__": builder_cls.__doc__})


def _unpickled(builder_cls: Any, *configured: Any) -> Any:
    made = configure_builder_class(builder_cls, *configured)
    return made.__new__(made)


def create_builder_configs_from_metadata_configs(
        module_path: str, metadata_configs: MetadataConfigs, base_path: str | None = None,
        default_builder_kwargs: dict[str, Any] | None = None,
        download_config: Any = None) -> tuple[list[Any], str | None]:
    """The configurations that a dataset's card says, and the default one's name."""
    config_class = import_main_class(module_path).BUILDER_CONFIG_CLASS
    made = []
    for name, told in metadata_configs.items():
        options = {**(default_builder_kwargs or {}), **told}
        ignored = [key for key in told if key != "default" and not hasattr(config_class, key)]
        if ignored:
            _log.warning("Some datasets params were ignored: %s. Make sure to use only valid "
                         "params for the dataset builder", ignored)
        made.append(config_class(
            name=name, data_dir=told.get("data_dir"),
            data_files=_patterns(name, told, base_path or "", download_config),
            **{key: value for key, value in options.items() if hasattr(config_class, key)
               and key not in ("default", "data_files", "data_dir")}))
    return made, metadata_configs.get_default_config_name()


def _patterns(name: str, told: dict[str, Any], base_path: str,
              download_config: Any) -> DataFilesPatternsDict:
    files, folder = told.get("data_files"), told.get("data_dir")
    base = f"{base_path.rstrip('/')}/{folder}" if folder and base_path else folder or base_path
    try:
        found = sanitize_patterns(files) if files is not None else get_data_patterns(
            base, download_config)
    except EmptyDatasetError as error:
        raise EmptyDatasetError(
            f"Dataset at '{base_path}' doesn't contain data files matching the patterns for "
            f"config '{name}', check `data_files` and `data_dir` parameters in the `configs` YAML "
            f"field in README.md. ") from error
    return DataFilesPatternsDict.from_patterns(found, allowed_extensions=known_extensions())
