"""Which configuration a builder gets: a named one, perhaps altered, or a new one."""

from __future__ import annotations

import posixpath
from copy import copy
from typing import TYPE_CHECKING, Any

from enfold.data.datafiles import DataFilesDict, sanitize_patterns
from enfold.data.features import Features
from enfold.errors import DataError, nearest

if TYPE_CHECKING:
    from enfold.data.builder.base import DatasetBuilder


def create(builder: DatasetBuilder, config_name: str | None, custom_features: Features | None,
           config_id: str | None, given: dict[str, Any]) -> tuple[Any, str]:
    """The configuration and the name of its cache folder.  Raises DataError."""
    known = builder.builder_configs
    named = known.get(_chosen(builder, known, config_name, given))
    made = _new(builder, config_name, given) if named is None else _altered(named, given)
    if not made.name or not made.version:
        raise DataError(f"{type(made).__name__}: name is {made.name!r} and version "
                        f"{made.version!r}. Expected both")
    if config_id is None:
        config_id = made.create_config_id(given, custom_features=custom_features)
    if config_id in known and made != known[config_id]:
        raise DataError(f"Cannot name a custom configuration {config_id!r} as an available one. "
                        f"Do: change the name. Available: {list(known)}")
    made._resolve_data_files(builder.base_path, builder._downloads())
    return made, config_id


def resolved(builder: DatasetBuilder, data_files: Any) -> DataFilesDict:
    """The files that `data_files=` stands for."""
    if isinstance(data_files, DataFilesDict):
        return data_files
    return DataFilesDict.from_patterns(sanitize_patterns(data_files), builder.base_path,
                                       download_config=builder._downloads())


def check_files(builder: DatasetBuilder) -> None:
    """Raises DataError where files of a repository's configuration are not in the repository."""
    if builder.repo_id is None:
        return
    for files in (builder.config.data_files or {}).values():
        for file in files:
            inside = posixpath.normpath(file.removeprefix("hf://"))
            if not inside.startswith(f"datasets/{builder.repo_id}@"):
                raise DataError(f"Data files don't belong to {builder.repo_id}: {file}. Expected "
                                f"paths relative to the repository, in its README.md too")


def _chosen(builder: DatasetBuilder, known: dict[str, Any], config_name: str | None,
            given: dict[str, Any]) -> str | None:
    """The named configuration that is meant; None for a new one."""
    if config_name is not None or not known:
        if known and config_name not in known:
            raise DataError(f"BuilderConfig {config_name!r} not found"
                            f"{nearest(str(config_name), known)}. Available: {list(known)}")
        return config_name
    if builder.DEFAULT_CONFIG_NAME is not None or len(known) == 1:
        return builder.DEFAULT_CONFIG_NAME or next(iter(known))
    if not given:
        raise DataError(f"Config name is missing.\nPlease pick one among the available configs: "
                        f"{list(known)}\nExample of usage:\n\t`load_dataset("
                        f"'{builder.repo_id or builder.dataset_name}', '{next(iter(known))}')`")
    return None


def _altered(named: Any, given: dict[str, Any]) -> Any:
    made = copy(named)
    for key, value in given.items():
        if value is not None:
            if not hasattr(made, key):
                raise DataError(f"BuilderConfig {made.name!r} doesn't have a '{key}' key"
                                f"{nearest(key, vars(made))}. Expected some of {list(vars(made))}")
            setattr(made, key, value)
    return made


def _new(builder: DatasetBuilder, config_name: str | None, given: dict[str, Any]) -> Any:
    name = config_name or (None if given else builder.DEFAULT_CONFIG_NAME)
    options = {**given, **({"name": name} if name else {})}
    if builder.VERSION:
        options.setdefault("version", builder.VERSION)
    return builder.BUILDER_CONFIG_CLASS(**options)
